from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from three_boxes import SPEC, rows_head, three_boxes
from tiny_classifier import write_classifier
from trt_engines import spec_of

from streamer.core.clock import FakeClock
from streamer.infer.agreement import FASTER, SAME, Agreement
from streamer.infer.answers import BoxAnswers, answers_of
from streamer.infer.backends.fake import FakeBackend
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.engine.prove import (
    CAMERAS,
    FRAMES,
    TRIAL,
    decision_of,
    proof_of,
    prove,
    terms_of,
    threshold_of,
    trial_canvases,
    wrong_precision,
)
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

BOXES = BoxAnswers(rows_head, threshold=0.25, iou=0.5)
VERDICT = Verdict(decision=Decision.USE, agreement=Agreement(frames=40, boxes=200, matched=200), gain=12.5)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    (tmp_path / "net.onnx").write_bytes(b"of no interest")
    return spec_of(tmp_path / "net.onnx", SPEC, ("out",))


def backend(*, precision: str = "f32", moved: float = 0.0, score: float = 0.9, spec: Any = SPEC) -> FakeBackend:  # noqa: ANN401
    def answer(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        one = three_boxes(batch, moved=moved, score=score)[0]
        return (np.repeat(one, len(batch), axis=0),)

    made = FakeBackend(answer, input_spec=spec, on_ready=lambda: None)
    made.precision = precision
    return made


def proved(
    spec: ModelSpec, engine: FakeBackend, *, frames: int = 40, stopping: Callable[[], bool] = lambda: False
) -> Verdict:
    reference = backend(spec=spec.input)
    try:
        canvases = [np.full((16, 16, 3), 200, np.uint8)] * frames
        return prove(engine, reference, canvases, spec=spec, answers=BOXES, clock=FakeClock(), stopping=stopping)
    finally:
        reference.close()
        engine.close()


@pytest.mark.parametrize(
    ("precision", "moved", "score", "decision"),
    [
        ("f32", 0.0, 0.9, Decision.USE),
        ("f32", 0.0, 0.905, Decision.USE),
        ("f32", 0.0, 0.88, Decision.REFUSE),
        ("f32", 0.5, 0.9, Decision.REFUSE),
        ("f16", 0.5, 0.88, Decision.USE),
        ("f16", 1.0, 0.9, Decision.REFUSE),
        ("int8", 0.0, 0.84, Decision.REFUSE),
    ],
)
def test_an_engine_is_held_to_what_its_precision_promises(
    spec: ModelSpec, precision: str, moved: float, score: float, decision: Decision
) -> None:
    assert proved(spec, backend(precision=precision, moved=moved, score=score)).decision is decision


def test_too_little_to_see_decides_nothing_unless_it_is_wrong(spec: ModelSpec) -> None:
    assert proved(spec, backend(), frames=4).decision is Decision.UNDECIDED
    assert proved(spec, backend(moved=2.0), frames=4).decision is Decision.REFUSE
    assert proved(spec, backend(moved=2.0), frames=1).decision is Decision.UNDECIDED  # six boxes are too few
    assert proved(spec, backend(), frames=0).decision is Decision.UNDECIDED


@pytest.mark.parametrize(
    ("precision", "strength", "best", "decision"),
    [
        ("f32", 5.0, 0, Decision.USE),
        ("f32", 4.0, 0, Decision.REFUSE),  # 0.965 in place of 0.987
        ("f16", 4.0, 0, Decision.USE),
        ("f16", 2.0, 0, Decision.REFUSE),  # 0.787
        ("int8", 5.0, 1, Decision.REFUSE),
    ],
)
def test_a_classifiers_engine_is_held_to_its_classes_and_their_scores(
    tmp_path: Path, precision: str, strength: float, best: int, decision: Decision
) -> None:
    said = SpecOptions(labels=("red", "green", "blue"), look="ultralytics")
    path = write_classifier(tmp_path / "c.onnx", shape=("N", 3, 32, 32))
    found = load_spec(str(path), options=said, task=Task.CLASSIFY)
    answers = answers_of(found, threshold=threshold_of(found), iou=0.5)
    reference, engine = classes(found), classes(found, strength=strength, best=best)
    engine.precision = precision
    with closing(reference), closing(engine):
        canvases = [np.zeros((32, 32, 3), np.uint8)] * 60
        verdict = prove(engine, reference, canvases, spec=found, answers=answers, clock=FakeClock())
        few = prove(engine, reference, canvases[:12], spec=found, answers=answers, clock=FakeClock())
    assert verdict.decision is decision
    assert few.decision is (Decision.UNDECIDED if decision is Decision.USE else Decision.REFUSE)


def classes(spec: ModelSpec, *, strength: float = 5.0, best: int = 0) -> FakeBackend:
    def answer(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        return (np.repeat(np.eye(3, dtype=np.float32)[best : best + 1] * strength, len(batch), axis=0),)

    return FakeBackend(answer, input_spec=spec.input, on_ready=lambda: None)


def test_a_stop_ends_it(spec: ModelSpec) -> None:
    asked = iter([False] * 5 + [True])
    assert proved(spec, backend(), stopping=lambda: next(asked)).agreement.frames == 5


def test_full_batches_are_compared_as_well(spec: ModelSpec) -> None:
    """An engine that is right for one picture and wrong for eight is refused."""
    fed = replace(SPEC, max_batch=8)

    def answer(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        rows = [three_boxes(batch, moved=5.0 * (index > 3))[0] for index in range(len(batch))]
        return (np.concatenate(rows),)

    wrong = FakeBackend(answer, input_spec=fed, on_ready=lambda: None)
    verdict = proved(replace(spec, input=fed), wrong)
    assert verdict.decision is Decision.REFUSE
    assert verdict.agreement.share == pytest.approx(0.5)


def test_what_engines_are_held_to() -> None:
    assert terms_of("f32").bar == SAME
    assert terms_of("f16").bar == terms_of("int8").bar == FASTER
    assert terms_of("f16").least_gain == 0.0


@pytest.mark.parametrize(
    ("shown", "asked", "wrong"),
    [
        ({"f32": 60}, "f32", None),
        ({"f32": 60, "int32": 2}, "f32", None),
        ({"f32": 60, "f16": 1}, "f32", "some of its layers are not in f32: 1 in f16, 60 in f32"),
        ({"f16": 57, "f32": 3}, "f16", None),
        ({"f32": 60}, "f16", "none of its layers computes in f16: 60 in f32"),
        ({"int8": 40, "f32": 20}, "int8", None),
        ({"f16": 60}, "int8", "none of its layers computes in int8: 60 in f16"),
        ({}, "f32", "TensorRT tells of no layer what it computes in"),
    ],
)
def test_the_inspector_must_show_what_was_asked_for(shown: dict[str, int], asked: str, wrong: str | None) -> None:
    assert wrong_precision(shown, asked) == wrong


def proof(source: str = CAMERAS, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  a field of the proof
    return {**proof_of(VERDICT, source=source, head="v8", threshold=0.5, iou=0.5), **changes}


@pytest.mark.parametrize(
    ("said", "decision"),
    [
        (proof(), Decision.USE),
        (proof(FRAMES), Decision.USE),
        (proof(TRIAL), Decision.UNDECIDED),  # weak
        (proof(TRIAL, decision="refuse"), Decision.REFUSE),
        (proof(decision="refuse"), Decision.REFUSE),
        (proof(threshold=0.25), Decision.USE),  # what held down to there holds above
        (proof(threshold=0.6), Decision.UNDECIDED),
        (proof(head="v5"), Decision.UNDECIDED),
        (proof(iou=0.45), Decision.UNDECIDED),
        (proof(decision="perhaps"), Decision.UNDECIDED),
        (proof(agreement={"frames": 1, "more": 2}), Decision.UNDECIDED),
        (proof(agreement={}), Decision.UNDECIDED),
        (proof(threshold="half"), Decision.UNDECIDED),
        ({"decision": "use"}, Decision.UNDECIDED),
        (None, Decision.UNDECIDED),
        ("use", Decision.UNDECIDED),
    ],
)
def test_what_a_proof_in_the_facts_says_to_a_run(said: object, decision: Decision) -> None:
    assert decision_of(said, head="v8", threshold=0.5, iou=0.5) is decision


def test_the_portrait_and_its_variations() -> None:
    found = load_spec(str(Path(__file__).resolve().parents[2] / "engines" / "shapes.onnx"))
    drawn = trial_canvases(found)
    assert len(drawn) >= 32
    assert {canvas.shape for canvas in drawn} == {(*found.input.hw, 3)}
    assert len({canvas.tobytes() for canvas in drawn}) == len(drawn)
