"""From a network's numbers to classes, worked by hand; and a classifier in use on both runtimes."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_classifier import STRENGTH, write_classifier

from streamer.core.errors import ConfigError
from streamer.infer.classifier import ScoreReader, open_classifier, softmax
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Activation, Scoring, Task
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.core.frame import Picture
    from streamer.core.results import Classification
    from streamer.infer.spec import ModelSpec

BACKENDS = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]
PLAIN = SpecOptions(labels=("red", "green", "blue"), look="ultralytics")


def scoring(activation: Activation) -> Scoring:
    return Scoring(activation=activation, thresholds=(), reason="said")


def reader(activation: Activation, *, names: int, columns: int, ids: tuple[int, ...] | None = None) -> ScoreReader:
    return ScoreReader(scoring(activation), names=names, columns=columns, ids=ids)


def plain(red: int, green: int, blue: int) -> Picture:
    """A picture of one colour."""
    return picture_of_bgr(np.full((40, 60, 3), (blue, green, red), np.uint8))


def ask(spec: ModelSpec, pictures: list[Picture], backend: str = "onnxruntime") -> list[Classification]:
    opened = open_classifier(spec, backend=backend, precision="auto", latency=True, on_ready=lambda: None)
    with contextlib.closing(opened):
        return opened.collect(opened.submit(pictures))


def test_softmax_by_hand() -> None:
    numbers = np.log(np.array([[1, 2, 5]], np.float32))  # e**x is 1, 2, 5: eighths
    assert softmax(numbers) == pytest.approx(np.array([[0.125, 0.25, 0.625]]))
    assert softmax(np.array([[1000, 1000]], np.float32)) == pytest.approx(np.array([[0.5, 0.5]]))


def test_logits_become_shares_or_each_its_own_score() -> None:
    numbers = np.array([[0, math.log(3)]], np.float32)
    assert reader(Activation.SOFTMAX, names=2, columns=2)(numbers) == pytest.approx(np.array([[0.25, 0.75]]))
    assert reader(Activation.SIGMOID, names=2, columns=2)(numbers) == pytest.approx(np.array([[0.5, 0.75]]))


def test_what_is_a_score_already_stays_as_it_is() -> None:
    numbers = np.array([[0.25, 1.0001, -0.0001]], np.float32)
    assert reader(Activation.NONE, names=3, columns=3)(numbers) == pytest.approx(np.array([[0.25, 1, 0]]))


def test_one_number_speaks_for_the_second_of_two_names() -> None:
    numbers = np.array([[math.log(3)]], np.float32)
    assert reader(Activation.SIGMOID, names=2, columns=1)(numbers) == pytest.approx(np.array([[0.25, 0.75]]))
    assert reader(Activation.SIGMOID, names=1, columns=1)(numbers) == pytest.approx(np.array([[0.75]]))


def test_names_may_stand_in_other_columns() -> None:
    numbers = np.array([[0.1, 0.2, 0.7]], np.float32)
    read = reader(Activation.NONE, names=2, columns=3, ids=(2, 1))(numbers)
    assert read == pytest.approx(np.array([[0.7, 0.2]]))  # and column 0, the background, has no name


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_is_told_apart_and_ordered(tmp_path: Path, backend: str) -> None:
    path = write_classifier(tmp_path / "a.onnx", shape=("N", 3, 32, 32))
    spec = load_spec(str(path), options=PLAIN, task=Task.CLASSIFY)
    answers = ask(spec, [plain(255, 0, 0), plain(0, 102, 255)], backend)
    # Logits 4, 0, 0 and 0, 1.6, 4.
    whole = [math.exp(STRENGTH) + 2, 1 + math.exp(0.4 * STRENGTH) + math.exp(STRENGTH)]
    assert [answer.class_ids.tolist() for answer in answers] == [[0, 1, 2], [2, 1, 0]]
    assert answers[0].scores == pytest.approx([math.exp(STRENGTH) / whole[0], 1 / whole[0], 1 / whole[0]], abs=1e-4)
    expected = [math.exp(STRENGTH) / whole[1], math.exp(0.4 * STRENGTH) / whole[1], 1 / whole[1]]
    assert answers[1].scores == pytest.approx(expected, abs=1e-4)


def test_who_learns_is_shown_each_picture_as_the_network_sees_it(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "a.onnx", shape=("N", 3, 32, 32))
    spec = load_spec(str(path), options=PLAIN, task=Task.CLASSIFY)
    opened = open_classifier(spec, backend="onnxruntime", precision="auto", latency=True, on_ready=lambda: None)
    shown: list[tuple[list[int], int]] = []
    opened.sample = lambda canvas, found: shown.append((canvas()[0, 0].tolist(), int(found.class_ids[0])))
    with contextlib.closing(opened):
        opened.collect(opened.submit([plain(255, 0, 0), plain(0, 0, 255)]))
        assert opened.asked == 2
    assert shown == [([255, 0, 0], 0), ([0, 0, 255], 2)]


def test_numbers_that_are_none_have_no_class(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "a.onnx", last=("Log", "Neg", "Log"))  # of black: log(-log(0)) and NaN
    options = SpecOptions(labels=PLAIN.labels, look="ultralytics", activation="none")
    (answer,) = ask(load_spec(str(path), options=options, task=Task.CLASSIFY), [plain(0, 0, 255)])
    assert 2 not in answer.class_ids
    assert np.isfinite(answer.scores).all()


def test_a_detector_is_not_opened_as_a_classifier() -> None:
    spec = load_spec("shapes")
    with pytest.raises(ConfigError, match="shapes: is no classifier"):
        open_classifier(spec, backend="onnxruntime", precision="f32", latency=True, on_ready=lambda: None)
