"""One model serves all its cameras: take what is there, keep some batches in flight, pass the results on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed
from streamer.core.results import Result, Timing

from .frames import Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.core.frame import Frame
    from streamer.infer.model import Model, ModelTicket

    from .frames import FrameQueue

_IDLE_S = 1.0
_OVERDUE_NS = 5 * NS_PER_S


class Swapper(Protocol):
    """Decides on a better backend for a model that runs; called between two batches, with nothing in flight."""

    def due(self) -> bool:
        """Whether `swap` has something to do; cheap."""

    def swap(self, model: Model) -> None:
        """Exchange the model's backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferPlan:
    """What one inference thread needs."""

    open_model: Callable[[], Model]
    frames: FrameQueue
    passed: Callable[[Result | Mark], None]  # to the events thread
    count: Callable[[str, str, int], None]  # (camera, cause or counter, how many)
    measured: Callable[[int], None]  # ns from submit to collect of each batch
    max_age_ns: Callable[[str], int | None]
    swapper: Swapper | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFlight:
    ticket: ModelTicket
    frames: list[Frame]
    taken_ns: int


class Inference:
    """One model's thread. Opens the model and alone calls it."""

    def __init__(self, plan: InferPlan, *, clock: Clock, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._pending: deque[_InFlight] = deque()

    def loop(self) -> None:
        """Take the newest frames, run the model, pass the results on.

        Thread: infer-<model>.  Ends: `frames` closed, or every source has ended; what is in flight is collected first.
        Blocks on: opening the model (minutes at most; the beat's limit covers it), frames.take (offer, finish, wake,
        close, 1 s), model.collect (the device).
        """
        model = self._plan.open_model()
        try:
            while True:
                self._beat()
                self._swap_if_due(model)
                # Room first, then a frame: one taken earlier would only grow old while it waits for its place.
                self._collect(model, leave=model.depth - 1)
                try:
                    items = self._plan.frames.take(model.spec.input.max_batch, timeout_s=_IDLE_S)
                except ChannelClosed:
                    self._collect(model, leave=0)
                    raise
                self._collect_ready(model)
                self._handle(model, items)
        finally:
            model.close()

    def _handle(self, model: Model, items: list[Frame | Mark]) -> None:
        frames = [item for item in items if not isinstance(item, Mark) and self._fresh(item)]
        if frames:
            taken_ns = self._clock.monotonic_ns()
            ticket = model.submit([frame.picture for frame in frames])
            self._pending.append(_InFlight(ticket=ticket, frames=frames, taken_ns=taken_ns))
        marks = [item for item in items if isinstance(item, Mark)]
        if marks:  # an end or a loss is passed on behind the last result
            self._collect(model, leave=0)
            for mark in marks:
                self._plan.passed(mark)

    def _fresh(self, frame: Frame) -> bool:
        """Whether the frame may still be looked at: an old answer is worse than none where `max_age` says so."""
        info = frame.info
        max_age_ns = self._plan.max_age_ns(info.camera)
        if max_age_ns is None or not info.live or self._clock.monotonic_ns() - info.captured_ns <= max_age_ns:
            return True
        self._plan.count(info.camera, "too_old", 1)
        self._plan.frames.release(info.camera)
        return False

    def _collect_ready(self, model: Model) -> None:
        while self._pending and (model.ready(self._pending[0].ticket) or self._overdue(self._pending[0])):
            self._collect(model, leave=len(self._pending) - 1)

    def _overdue(self, batch: _InFlight) -> bool:
        """Whether a batch takes so long that it is waited for: the runtime's own limit then ends a hang."""
        return self._clock.monotonic_ns() - batch.taken_ns > _OVERDUE_NS

    def _collect(self, model: Model, *, leave: int) -> None:
        """Collect in order of submission until at most `leave` are in flight."""
        while len(self._pending) > leave:
            batch = self._pending.popleft()
            outputs = model.collect(batch.ticket)
            inferred_ns = self._clock.monotonic_ns()
            self._plan.measured(inferred_ns - batch.taken_ns)
            for frame, detections in zip(batch.frames, outputs, strict=True):
                info = frame.info
                self._plan.count(info.camera, "inferred", 1)
                timing = Timing(captured_ns=info.captured_ns, taken_ns=batch.taken_ns, inferred_ns=inferred_ns)
                self._plan.passed(Result(info=info, output=detections, timing=timing, model=model.ref))

    def _swap_if_due(self, model: Model) -> None:
        swapper = self._plan.swapper
        if swapper is not None and swapper.due():
            self._collect(model, leave=0)
            swapper.swap(model)
