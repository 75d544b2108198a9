"""What two backends' outputs say: read and compared as a detector's and as a classifier's."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from three_boxes import rows_head, three_boxes
from tiny_classifier import write_classifier

from streamer.core.results import Classification
from streamer.infer.agreement import FASTER, Agreement
from streamer.infer.answers import BoxAnswers, ClassAnswers, answers_of, evidence_of, read_as
from streamer.infer.class_agreement import ClassAgreement
from streamer.infer.heads import Candidates
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Activation, Scoring, Task

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.infer.spec import ModelSpec

LABELS = ("red", "green", "blue")


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    path = write_classifier(tmp_path / "c.onnx", shape=("N", 3, 32, 32))
    return load_spec(str(path), options=SpecOptions(labels=LABELS, look="ultralytics"), task=Task.CLASSIFY)


def several(spec: ModelSpec, *thresholds: float) -> ModelSpec:
    return replace(spec, scoring=Scoring(activation=Activation.SIGMOID, thresholds=thresholds, reason="said"))


def test_a_models_task_decides_how_its_answers_are_read(spec: ModelSpec) -> None:
    assert isinstance(answers_of(spec, threshold=0.5, iou=0.5), ClassAnswers)
    assert isinstance(answers_of(load_spec("shapes"), threshold=0.5, iou=0.5), BoxAnswers)


def test_a_classifiers_answer_to_each_picture_of_a_batch(spec: ModelSpec) -> None:
    answers = answers_of(spec, threshold=0.5, iou=0.5)
    logits = np.log(np.array([[1, 2, 5], [6, 1, 1]], np.float32))
    first, second = (answers.read((logits,), picture) for picture in (0, 1))
    assert first == pytest.approx([0.125, 0.25, 0.625])
    assert second == pytest.approx([0.75, 0.125, 0.125])
    assert answers.compare([first, second], [first, first], FASTER) == ClassAgreement(frames=2, matched=1)
    assert answers.compare([], [], FASTER) == ClassAgreement()


def test_names_in_other_columns_are_compared_by_name(spec: ModelSpec) -> None:
    answers = answers_of(replace(spec, columns=4, ids=(3, 1, 2)), threshold=0.5, iou=0.5)
    read = answers.read((np.log(np.array([[9e9, 1, 2, 5]], np.float32)),), 0)
    assert np.argmax(read) == 0  # the first column has no name


def test_a_detectors_boxes_are_read_down_to_where_they_are_compared() -> None:
    answers = BoxAnswers(rows_head, threshold=0.5, iou=0.5)
    canvas = np.full((1, 16, 16, 3), 200, np.uint8)
    low = answers.read(three_boxes(canvas, score=0.46), 0)
    assert len(low) == 3
    assert answers.compare([low], [low], FASTER) == Agreement(frames=1)
    assert not answers.shows(low)
    high = answers.read(three_boxes(canvas), 0)
    assert answers.shows(high)
    assert answers.compare([high], [high], FASTER) == Agreement(frames=1, boxes=6, matched=6)
    assert not answers.shows(Candidates.empty())


def found(*scores: float) -> Classification:
    ids = np.arange(len(scores), dtype=np.int32)[::-1]
    return Classification(class_ids=ids.copy(), scores=np.array(scores, np.float32))


def test_every_picture_of_one_class_of_several_shows_something(spec: ModelSpec) -> None:
    assert answers_of(spec, threshold=0.5, iou=0.5).shows(found(0.2, 0.1, 0.1))


def test_of_classes_judged_each_for_itself_one_must_be_there(spec: ModelSpec) -> None:
    answers = answers_of(several(spec, 0.9, 0.5, 0.3), threshold=0.5, iou=0.5)
    assert answers.shows(found(0.4, 0.2, 0.1))  # the best is the third, from 0.3
    assert not answers.shows(found(0.2, 0.2, 0.1))


def test_a_proof_says_what_it_rests_on(spec: ModelSpec) -> None:
    assert read_as(load_spec("shapes")) == load_spec("shapes").head
    assert read_as(spec) == "classifier softmax"
    assert read_as(several(spec, 0.5, 0.25, 0.5)) == "classifier sigmoid 0.5,0.25,0.5"


@pytest.mark.parametrize(
    "evidence",
    [
        Agreement(frames=3, boxes=8, matched=7, score_off_sum=0.5),
        ClassAgreement(frames=60, matched=59, score_off_sum=0.5),
    ],
)
def test_evidence_is_read_back(evidence: Agreement | ClassAgreement) -> None:
    assert evidence_of(asdict(evidence)) == evidence
