from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from three_boxes import SPEC, rows_head, three_boxes
from tiny_classifier import write_classifier

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError
from streamer.core.results import Classification
from streamer.infer.agreement import SAME
from streamer.infer.answers import BoxAnswers, answers_of
from streamer.infer.backends.fake import FakeBackend, Faults
from streamer.infer.comparison import Decision, Terms
from streamer.infer.gate import BATCH, PrecisionGate
from streamer.infer.heads import Candidates
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.comparison import Answers

NOTHING = Candidates.empty()
CLOCK = FakeClock()
BOXES = BoxAnswers(rows_head, threshold=0.5, iou=0.5)


Answer = Callable[["NDArray[np.uint8]"], tuple["NDArray[np.float32]", ...]]


class Opener:
    """Opens fake backends that take `took_s` of the fake clock for an answer, and keeps them."""

    def __init__(self, answer: Answer = three_boxes, *, took_s: float = 0.01, failing: str = "") -> None:
        self.answer = answer
        self.took_s = took_s
        self.faults = Faults(failing=failing)
        self.opened: list[FakeBackend] = []

    def __call__(self) -> FakeBackend:
        def answer(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            CLOCK.advance(self.took_s)
            return self.answer(batch)

        backend = FakeBackend(answer, input_spec=SPEC, on_ready=lambda: None, faults=self.faults, limit_s=5.0)
        self.opened.append(backend)
        return backend

    def all_closed(self) -> bool:
        return bool(self.opened) and all(b._pool._closed for b in self.opened)


def gate_with_frames(*, bright: bool = True) -> PrecisionGate:
    gate = PrecisionGate(BOXES, clock=CLOCK)
    offer_until_due(gate, bright=bright)
    return gate


def offer_until_due(gate: PrecisionGate, *, bright: bool = True, most: int = 1000) -> int:
    canvas = np.full((16, 16, 3), 200 if bright else 0, np.uint8)
    found = rows_head(three_boxes(canvas[None]), 0.5, 0.5)[0]
    for offered in range(most):
        if gate.due():
            return offered
        gate.offer(lambda: canvas, found)
    return most


def three_classes(batch: NDArray[np.uint8], *, best: int = 0) -> tuple[NDArray[np.float32], ...]:
    """Scores of three classes of which one is by far the best."""
    return (np.repeat(np.eye(3, dtype=np.float32)[best : best + 1] * 5, len(batch), axis=0),)


@pytest.fixture
def colours(tmp_path: Path) -> Answers:
    path = write_classifier(tmp_path / "c.onnx")
    said = SpecOptions(labels=("red", "green", "blue"), look="ultralytics")
    return answers_of(load_spec(str(path), options=said, task=Task.CLASSIFY), threshold=0.0, iou=0.5)


def offer_looks(gate: PrecisionGate) -> int:
    """Offer looks until there are enough; return how many."""
    canvas = np.full((16, 16, 3), 200, np.uint8)
    shown = Classification(class_ids=np.arange(3, dtype=np.int32), scores=np.array([0.4, 0.3, 0.3], np.float32))
    for offered in range(1000):
        if gate.due():
            return offered
        gate.offer(lambda: canvas, shown)
    return 1000


def run(
    gate: PrecisionGate,
    candidate: Opener,
    *,
    reference: Opener | None = None,
    stopping: Callable[[], bool] = lambda: False,
    terms: Terms | None = None,
) -> Decision:
    reference = reference or Opener(took_s=0.03)
    try:
        verdict = gate.run(reference, candidate, beat=lambda: None, stopping=stopping, terms=terms or Terms())
        return verdict.decision
    finally:
        assert reference.all_closed()


def decide(candidate: Opener, reference: Opener | None = None, terms: Terms | None = None) -> PrecisionGate:
    gate = PrecisionGate(BOXES, clock=CLOCK)
    for _ in range(3):
        offer_until_due(gate)
        run(gate, candidate, reference=reference, terms=terms)
    return gate


def test_the_same_answer_sooner_is_used_once_there_is_evidence() -> None:
    gate = PrecisionGate(BOXES, clock=CLOCK)
    candidate = Opener()
    assert gate.verdict().decision is Decision.UNDECIDED
    offer_until_due(gate)
    assert run(gate, candidate) is Decision.UNDECIDED  # 16 frames are too few
    assert not gate.due()
    offer_until_due(gate)
    assert run(gate, candidate) is Decision.USE
    assert candidate.all_closed()
    verdict = gate.verdict()
    assert verdict.agreement.frames == 2 * BATCH
    assert verdict.gain == pytest.approx(3.0)
    assert "100.0% of 192 boxes in 32 frames agree" in str(verdict)


def test_boxes_that_move_are_refused() -> None:
    gate = decide(Opener(lambda batch: three_boxes(batch, moved=1.0)))
    assert gate.verdict().decision is Decision.REFUSE
    assert gate.verdict().agreement.share == 0.0


def test_scores_that_sink_are_refused() -> None:
    gate = decide(Opener(lambda batch: three_boxes(batch, score=0.84)))
    assert gate.verdict().decision is Decision.REFUSE
    assert gate.verdict().agreement.share == 1.0


def test_one_that_is_not_faster_is_refused() -> None:
    gate = decide(Opener(took_s=0.028))
    assert gate.verdict().agreement.passes()
    assert gate.verdict().decision is Decision.REFUSE


def test_one_that_need_not_be_faster_is_used() -> None:
    terms = Terms(bar=SAME, least_gain=0.0)
    assert decide(Opener(took_s=0.1), terms=terms).verdict(terms).decision is Decision.USE


@pytest.mark.parametrize(("moved", "score"), [(0.5, 0.9), (0.0, 0.88)])
def test_in_the_same_precision_answers_must_be_nearly_equal(moved: float, score: float) -> None:
    candidate = Opener(lambda batch: three_boxes(batch, moved=moved, score=score))
    assert decide(candidate).verdict().decision is Decision.USE
    terms = Terms(bar=SAME, least_gain=0.0)
    assert decide(candidate, terms=terms).verdict(terms).decision is Decision.REFUSE


def test_a_network_that_always_computes_several_pictures_is_given_them() -> None:
    gate = PrecisionGate(BOXES, clock=CLOCK, pictures=4)
    offer_until_due(gate)
    shapes = []

    def answer(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        shapes.append(batch.shape)
        return (np.repeat(three_boxes(batch)[0], len(batch), axis=0),)

    spec = replace(SPEC, max_batch=4, fixed_batch=True)
    opened = [FakeBackend(answer, input_spec=spec, on_ready=lambda: None) for _ in range(2)]
    opening = iter(opened)
    verdict = gate.run(lambda: next(opening), lambda: next(opening), beat=lambda: None, stopping=lambda: False)
    assert verdict.agreement.frames == BATCH
    assert set(shapes) == {(4, 16, 16, 3)}


def test_forgetting_begins_anew() -> None:
    gate = decide(Opener(lambda batch: three_boxes(batch, moved=1.0)))
    gate.forget()
    assert gate.verdict().decision is Decision.UNDECIDED


def test_a_candidate_that_fails_is_closed_and_so_is_the_reference() -> None:
    gate = gate_with_frames()
    candidate = Opener(failing="fake: out of memory")
    with pytest.raises(BackendError, match="out of memory"):
        run(gate, candidate)
    assert candidate.all_closed()
    assert not gate.due()


def test_a_candidate_that_can_not_be_opened_leaves_the_reference_closed() -> None:
    def refuse() -> FakeBackend:
        raise BackendError("no units for bf16")

    gate, reference = gate_with_frames(), Opener()
    with pytest.raises(BackendError, match="no units"):
        gate.run(reference, refuse, beat=lambda: None, stopping=lambda: False)
    assert reference.all_closed()


def test_a_stop_is_noticed_between_two_canvases() -> None:
    gate, beats = gate_with_frames(), []
    candidate = Opener()
    asked = iter([False, False, True])
    reference = Opener()
    gate.run(reference, candidate, beat=lambda: beats.append(1), stopping=lambda: next(asked))
    assert gate.verdict().agreement.frames == 2
    assert len(beats) == 2
    assert candidate.all_closed()


def test_frames_are_spread_and_the_canvas_is_copied() -> None:
    gate = PrecisionGate(BOXES, clock=CLOCK)
    canvas = np.full((16, 16, 3), 9, np.uint8)
    found = rows_head(three_boxes(canvas[None]), 0.5, 0.5)[0]
    gate.offer(lambda: canvas, found)
    canvas[:] = 0
    for _ in range(9):
        gate.offer(lambda: canvas, found)
    assert len(gate._kept) == 1
    assert (gate._kept[0] == 9).all()
    gate.offer(lambda: canvas, found)
    assert len(gate._kept) == 1  # ten frames lie between two that are kept
    gate.offer(lambda: canvas, found)
    assert len(gate._kept) == 2


def test_empty_frames_do_not_fill_the_batch() -> None:
    gate = PrecisionGate(BOXES, clock=CLOCK)
    canvas = np.zeros((16, 16, 3), np.uint8)
    for _ in range(1000):
        gate.offer(lambda: canvas, NOTHING)
    assert len(gate._kept) == BATCH // 4
    assert not gate.due()
    assert offer_until_due(gate) < 200


def test_a_classifier_is_held_to_the_classes_that_it_shows(colours: Answers) -> None:
    for best, decision in ((0, Decision.USE), (1, Decision.REFUSE)):
        gate = PrecisionGate(colours, clock=CLOCK, looks=True)
        candidate = Opener(partial(three_classes, best=best), took_s=0.01)
        for _ in range(4):
            offer_looks(gate)
            run(gate, candidate, reference=Opener(three_classes, took_s=0.03))
        assert gate.verdict().decision is decision
        assert gate.verdict().agreement.frames == 4 * BATCH


def test_a_classifiers_looks_are_kept_more_often_and_none_is_empty(colours: Answers) -> None:
    gate = PrecisionGate(colours, clock=CLOCK, looks=True)
    assert offer_looks(gate) == 1 + (BATCH - 1) * 4


def test_what_is_kept_is_bounded() -> None:
    gate = gate_with_frames()
    assert offer_until_due(gate) == 0
    canvas = np.full((16, 16, 3), 200, np.uint8)
    found = rows_head(three_boxes(canvas[None]), 0.5, 0.5)[0]
    for _ in range(100):
        gate.offer(lambda: canvas, found)
    assert len(gate._kept) == BATCH
