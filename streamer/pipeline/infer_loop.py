"""One model serves all its cameras: take what is there, keep some batches in flight, pass the answers on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed
from streamer.core.results import Timing

from .frames import Mark, T
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.core.results import ModelRef
    from streamer.infer.network import ModelTicket, Network

    from .frames import FrameQueue

_IDLE_S = 1.0
_OVERDUE_NS = 5 * NS_PER_S


Output = TypeVar("Output")


class Swapper(Protocol):
    """Decides on a better backend for a model that runs; called between two batches, with nothing in flight."""

    def due(self) -> bool:
        """Whether `swap` has something to do; cheap."""

    def swap(self, model: Network[Any]) -> None:
        """Exchange the model's backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferPlan(Generic[T, Output]):
    """What one inference thread needs."""

    open_model: Callable[[], Network[Output]]
    frames: FrameQueue[T]
    told: Callable[[T, Output, Timing, ModelRef], None]  # what the model said of something, to the events thread
    marked: Callable[[Mark], None]  # what stood in a lane behind the last of that
    count: Callable[[str, str, int], None]  # (camera, cause or counter, how many)
    counter: str  # how what has been looked at is counted
    measured: Callable[[int], None]  # ns from submit to collect of each batch
    max_age_ns: Callable[[T], int | None]  # of something that a live camera gave; older, it is not looked at
    due_ns: Callable[[T], int | None]  # monotonic, when the verdict on it comes; 0: it has; None: it has time
    within_ns: int | None  # the shortest time in which a verdict is due that waits for this model; None: none does
    swapper: Swapper | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFlight(Generic[T]):
    ticket: ModelTicket
    frames: list[T]
    taken_ns: int


class Inference(Generic[T, Output]):
    """One model's thread. Opens the model and alone calls it."""

    def __init__(self, plan: InferPlan[T, Output], *, clock: Clock, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._pending: deque[_InFlight[T]] = deque()
        self._pace = Pace(plan.within_ns, clock=clock)

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
                    items = self._plan.frames.take(self._pace.most(model.spec.input.max_batch), timeout_s=_IDLE_S)
                except ChannelClosed:
                    self._collect(model, leave=0)
                    raise
                self._collect_ready(model)
                self._handle(model, items)
        finally:
            model.close()

    def _handle(self, model: Network[Output], items: list[T | Mark]) -> None:
        frames = [item for item in items if not isinstance(item, Mark) and self._fresh(item)]
        if frames:
            taken_ns = self._clock.monotonic_ns()
            ticket = model.submit([frame.picture for frame in frames])
            self._pace.begun()
            self._pending.append(_InFlight(ticket=ticket, frames=frames, taken_ns=taken_ns))
        marks = [item for item in items if isinstance(item, Mark)]
        if marks:  # an end or a loss is passed on behind the last result
            self._collect(model, leave=0)
            for mark in marks:
                self._plan.marked(mark)

    def _fresh(self, frame: T) -> bool:
        """Whether the frame is still to be looked at: an old answer is worse than none where `max_age` says so."""
        info = frame.info
        max_age_ns = self._plan.max_age_ns(frame)
        old = max_age_ns is not None and info.live and self._clock.monotonic_ns() - info.captured_ns > max_age_ns
        missed = "too_old" if old else None
        if not old and self._plan.within_ns is not None:
            missed = self._pace.missed(self._plan.due_ns(frame))
        if missed is not None:
            self._plan.frames.drop(frame, missed)
        return missed is None

    def _collect_ready(self, model: Network[Output]) -> None:
        while self._pending and (model.ready(self._pending[0].ticket) or self._overdue(self._pending[0])):
            self._collect(model, leave=len(self._pending) - 1)

    def _overdue(self, batch: _InFlight[T]) -> bool:
        """Whether a batch takes so long that it is waited for: the runtime's own limit then ends a hang."""
        return self._clock.monotonic_ns() - batch.taken_ns > _OVERDUE_NS

    def _collect(self, model: Network[Output], *, leave: int) -> None:
        """Collect in order of submission until at most `leave` are in flight."""
        while len(self._pending) > leave:
            batch = self._pending.popleft()
            outputs = model.collect(batch.ticket)
            inferred_ns = self._clock.monotonic_ns()
            self._plan.measured(inferred_ns - batch.taken_ns)
            self._pace.took(inferred_ns - batch.taken_ns, len(batch.frames))
            for frame, output in zip(batch.frames, outputs, strict=True):
                info = frame.info
                self._plan.count(info.camera, self._plan.counter, 1)
                timing = Timing(captured_ns=info.captured_ns, taken_ns=batch.taken_ns, inferred_ns=inferred_ns)
                self._plan.told(frame, output, timing, model.ref)

    def _swap_if_due(self, model: Network[Output]) -> None:
        swapper = self._plan.swapper
        if swapper is not None and swapper.due():
            self._collect(model, leave=0)
            swapper.swap(model)
