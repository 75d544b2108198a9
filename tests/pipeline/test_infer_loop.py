from __future__ import annotations

import threading
from collections import Counter, deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError, ChannelClosed
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.core.results import Detections, ModelRef, Result
from streamer.pipeline.frames import FrameQueue, Lane, Lost, Mark, SourceEnd
from streamer.pipeline.infer_loop import Inference, InferPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXELS = np.zeros((4, 4), np.uint8)


def frame(camera: str, seq: int, *, captured_ns: int = 0) -> Frame:
    picture = Picture(format=PixelFormat.GRAY, planes=(PIXELS,), width=4, height=4)
    info = FrameInfo(
        camera=camera, connection=0, seq=seq, captured_ns=captured_ns, utc_ns=0, width=4, height=4, live=True
    )
    return Frame(info=info, picture=picture)


def detections(class_id: int) -> Detections:
    return Detections(
        boxes=np.array([[0, 0, 4, 4]], np.float32),
        scores=np.array([0.9], np.float32),
        class_ids=np.array([class_id], np.int32),
    )


class RecordingModel:
    """Answers in order, and notes how many were in flight; `fail_at` breaks one submission, `short` leaves one out."""

    depth = 2
    ref = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")

    def __init__(self, *, fail_at: int | None = None, batch: int = 1, short: bool = False) -> None:
        self.spec = SimpleNamespace(input=SimpleNamespace(max_batch=batch))
        self.in_flight: deque[tuple[int, list[int]]] = deque()
        self.batches: list[int] = []
        self._short = short
        self.most = 0
        self.submitted = 0
        self.closed = False
        self._fail_at = fail_at

    def submit(self, pictures: list[Picture]) -> int:
        assert 1 <= len(pictures) <= self.spec.input.max_batch
        assert len(self.in_flight) < self.depth
        self.batches.append(len(pictures))
        if self.submitted == self._fail_at:
            raise BackendError("the device is gone")
        self.submitted += 1
        self.in_flight.append((self.submitted, [int(picture.planes[0][0, 0]) for picture in pictures]))
        self.most = max(self.most, len(self.in_flight))
        return self.submitted

    def ready(self, _ticket: int) -> bool:
        return False

    def collect(self, ticket: int) -> list[Detections]:
        begun, levels = self.in_flight.popleft()
        assert begun == ticket
        return [detections(level) for level in levels[self._short :]]

    def close(self) -> None:
        assert not self.in_flight
        self.closed = True


class Rig:
    def __init__(self, lanes: dict[str, Lane], model: RecordingModel, **changes: Any) -> None:  # noqa: ANN401
        self.clock = FakeClock()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.frames: FrameQueue[Frame] = FrameQueue(
            lanes, lambda frame, cause: self.counts.update([(frame.info.camera, cause)])
        )
        self.results: list[Result | Mark] = []
        self.model = model
        plan: dict[str, Any] = {
            "open_model": lambda: model,
            "frames": self.frames,
            "told": lambda frame, output, timing, model: self._pass(
                Result(info=frame.info, output=output, timing=timing, model=model)
            ),
            "marked": self._pass,
            "counter": "inferred",
            "count": lambda camera, name, n: self.counts.update({(camera, name): n}),
            "measured": lambda _ns: None,
            "max_age_ns": lambda _camera: None,
            "due_ns": lambda _frame: None,
            "within_ns": None,
            "swapper": None,
        }
        wanted: InferPlan[Frame, Detections] = InferPlan(**plan | changes)
        self.inference = Inference(wanted, clock=self.clock, beat=lambda: None)

    def _pass(self, item: Result | Mark) -> None:
        self.results.append(item)
        self.frames.release(item.lane if isinstance(item, Mark) else item.info.camera)


def test_two_are_in_flight_results_come_in_order_and_the_end_comes_last() -> None:
    rig = Rig({"f": Lane.WAIT}, RecordingModel())

    def read() -> None:
        for seq in range(20):
            rig.frames.offer(frame("f", seq))
        rig.frames.finish("f")

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    reader.join(2)
    seqs = [item.info.seq for item in rig.results if isinstance(item, Result)]
    assert seqs == list(range(20))
    assert rig.results[-1] == SourceEnd("f")
    assert rig.model.most == 2
    assert rig.model.closed
    assert rig.counts["f", "inferred"] == 20


def test_what_is_in_flight_is_collected_when_the_queue_is_closed() -> None:
    rig = Rig({"a": Lane.NEWEST}, RecordingModel())
    rig.frames.offer(frame("a", 0))
    taken = threading.Event()
    original = rig.model.submit

    def submit(pictures: list[Picture]) -> int:
        taken.set()
        return original(pictures)

    rig.model.submit = submit  # type: ignore[method-assign]

    def close() -> None:
        assert taken.wait(5)
        rig.frames.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    closer.join(2)
    assert len(rig.results) == 1
    assert rig.model.closed


def test_a_failing_backend_reaches_the_supervisor_and_the_model_is_closed() -> None:
    model = RecordingModel(fail_at=0)
    rig = Rig({"a": Lane.NEWEST}, model)
    rig.frames.offer(frame("a", 0))
    with pytest.raises(BackendError):
        rig.inference.loop()
    assert model.closed


def test_a_frame_older_than_max_age_is_not_inferred_and_is_counted() -> None:
    model = RecordingModel()
    ages_ns = {"a": 1_000_000, "b": None}
    rig = Rig({"a": Lane.NEWEST, "b": Lane.NEWEST}, model, max_age_ns=lambda frame: ages_ns[frame.info.camera])
    now_ns = rig.clock.monotonic_ns()
    rig.frames.offer(frame("a", 0, captured_ns=now_ns - 2_000_000))
    rig.frames.offer(frame("b", 0, captured_ns=now_ns - 2_000_000))
    rig.frames.finish("a")
    rig.frames.finish("b")
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    assert [item.info.camera for item in rig.results if isinstance(item, Result)] == ["b"]
    assert rig.counts["a", "too_old"] == 1


def test_a_frame_whose_item_is_decided_is_passed_over_and_what_waits_behind_it_is_not() -> None:
    rig = Rig(
        {"a": Lane.WAIT}, RecordingModel(), within_ns=10**9, due_ns=lambda frame: 0 if frame.info.seq < 20 else None
    )

    def read() -> None:
        for seq in range(22):
            rig.frames.offer(frame("a", seq))
        rig.frames.finish("a")

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    reader.join(2)
    assert [item.info.seq for item in rig.results if isinstance(item, Result)] == [20, 21]
    assert rig.counts == {("a", "decided"): 20, ("a", "inferred"): 2}


def test_a_swap_happens_with_nothing_in_flight() -> None:
    swaps: list[int] = []

    class Swapper:
        def due(self) -> bool:
            return model.submitted == 3 and not swaps

        def swap(self, swapped: RecordingModel) -> None:
            assert swapped is model
            swaps.append(len(model.in_flight))

    model = RecordingModel()
    rig = Rig({"a": Lane.BUFFER}, model, swapper=Swapper())
    for seq in range(6):
        rig.frames.offer(frame("a", seq))
    rig.frames.finish("a")
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    assert swaps == [0]
    assert [item.info.seq for item in rig.results if isinstance(item, Result)] == list(range(6))


def test_a_loss_is_passed_on_between_the_results_of_the_two_connections() -> None:
    rig = Rig({"a": Lane.BUFFER}, RecordingModel())
    for seq in range(3):
        rig.frames.offer(frame("a", seq))
    rig.frames.lose("a", 0)
    for seq in range(3, 5):
        rig.frames.offer(frame("a", seq))
    rig.frames.finish("a")
    with pytest.raises(ChannelClosed):
        rig.inference.loop()
    order = [item.info.seq if isinstance(item, Result) else item for item in rig.results]
    assert order == [0, 1, 2, Lost("a", 0), 3, 4, SourceEnd("a")]


def pictures_of(item: Frame) -> list[Picture]:
    """Frame 3 is three pictures and so on, each of a level of its own."""
    return [
        Picture(format=PixelFormat.GRAY, planes=(np.full((4, 4), 10 * item.info.seq + n, np.uint8),), width=4, height=4)
        for n in range(max(1, item.info.seq))
    ]


@pytest.mark.parametrize(("batch", "depth"), [(1, 1), (1, 2), (2, 2), (3, 1), (4, 3), (32, 2)])
def test_a_frame_of_many_pictures_may_span_batches_and_is_answered_as_one(batch: int, depth: int) -> None:
    model = RecordingModel(batch=batch)
    model.depth = depth
    told: list[tuple[int, list[int]]] = []

    def joined(item: Frame, answers: Sequence[Detections]) -> Detections:
        told.append((item.info.seq, [int(answer.class_ids[0]) for answer in answers]))
        return answers[-1]

    rig = Rig({"a": Lane.BUFFER}, model, pictures=pictures_of, joined=joined)
    for seq in range(7):
        rig.frames.offer(frame("a", seq))
    rig.frames.finish("a")
    with pytest.raises(ChannelClosed):
        rig.inference.loop()

    assert told == [(seq, [10 * seq + n for n in range(max(1, seq))]) for seq in range(7)]
    results = [item for item in rig.results if isinstance(item, Result)]
    assert [int(result.output.class_ids[0]) for result in results] == [0, 10, 21, 32, 43, 54, 65]
    assert rig.results[-1] == SourceEnd("a")
    assert sum(model.batches) == 22
    assert rig.counts["a", "inferred"] == 7


def test_a_model_that_answers_fewer_pictures_than_it_was_shown_ends_the_run() -> None:
    rig = Rig({"a": Lane.BUFFER}, RecordingModel(batch=4, short=True))
    for seq in range(3):
        rig.frames.offer(frame("a", seq))
    rig.frames.finish("a")
    with pytest.raises(BackendError, match="2 answers to 3 pictures"):
        rig.inference.loop()
