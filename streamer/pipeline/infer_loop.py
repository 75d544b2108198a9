"""One model serves all its cameras: take what is there, keep some batches in flight, pass the answers on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from streamer.core.clock import NS_PER_S
from streamer.core.errors import BackendError, ChannelClosed
from streamer.core.results import Timing

from .frames import Mark, T
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.clock import Clock
    from streamer.core.frame import AnyPicture
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
    # What the model is shown of something, and what its answers to that say of it all.
    pictures: Callable[[T], Sequence[AnyPicture]] = lambda item: (item.picture,)
    joined: Callable[[T, Sequence[Output]], Output] = lambda _, answers: answers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFlight:
    """A batch that the model computes."""

    ticket: ModelTicket
    pictures: int
    begun_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked(Generic[T]):
    """Something whose pictures the model has been given, or is about to be."""

    item: T
    pictures: int
    taken_ns: int


class Inference(Generic[T, Output]):
    """One model's thread. Opens the model and alone calls it."""

    def __init__(self, plan: InferPlan[T, Output], *, clock: Clock, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._pending: deque[_InFlight] = deque()
        # Answers come in the order of the pictures: they are those of the first that was asked, once it has them all.
        self._asked: deque[_Asked[T]] = deque()
        self._answers: list[Output] = []
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
            self._submit(model, frames)
        marks = [item for item in items if isinstance(item, Mark)]
        if marks:  # an end or a loss is passed on behind the last result
            self._collect(model, leave=0)
            for mark in marks:
                self._plan.marked(mark)

    def _submit(self, model: Network[Output], frames: list[T]) -> None:
        """Give the model all pictures of the frames, in as many batches as that takes."""
        taken_ns = self._clock.monotonic_ns()
        waiting: list[AnyPicture] = []
        for frame in frames:
            shown = self._plan.pictures(frame)
            waiting += shown
            self._asked.append(_Asked(item=frame, pictures=len(shown), taken_ns=taken_ns))
        most = model.spec.input.max_batch
        for begin in range(0, len(waiting), most):
            if begin:  # room for one batch there is, or no frame would have been taken
                self._collect(model, leave=model.depth - 1)
            batch = waiting[begin : begin + most]
            begun_ns = self._clock.monotonic_ns()
            ticket = model.submit(batch)
            self._pace.begun()
            self._pending.append(_InFlight(ticket=ticket, pictures=len(batch), begun_ns=begun_ns))

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

    def _overdue(self, batch: _InFlight) -> bool:
        """Whether a batch takes so long that it is waited for: the runtime's own limit then ends a hang."""
        return self._clock.monotonic_ns() - batch.begun_ns > _OVERDUE_NS

    def _collect(self, model: Network[Output], *, leave: int) -> None:
        """Collect in order of submission until at most `leave` are in flight."""
        while len(self._pending) > leave:
            batch = self._pending.popleft()
            answers = model.collect(batch.ticket)
            if len(answers) != batch.pictures:
                raise BackendError(f"{model.ref.name}: {len(answers)} answers to {batch.pictures} pictures")
            self._answers += answers
            inferred_ns = self._clock.monotonic_ns()
            self._plan.measured(inferred_ns - batch.begun_ns)
            self._pace.took(inferred_ns - batch.begun_ns, batch.pictures)
            self._tell(model.ref, inferred_ns)

    def _tell(self, model: ModelRef, inferred_ns: int) -> None:
        """Pass on what is said of everything whose answers have all come."""
        while self._asked and len(self._answers) >= self._asked[0].pictures:
            asked = self._asked.popleft()
            answers, self._answers = self._answers[: asked.pictures], self._answers[asked.pictures :]
            info = asked.item.info
            self._plan.count(info.camera, self._plan.counter, 1)
            timing = Timing(captured_ns=info.captured_ns, taken_ns=asked.taken_ns, inferred_ns=inferred_ns)
            self._plan.told(asked.item, self._plan.joined(asked.item, answers), timing, model)

    def _swap_if_due(self, model: Network[Output]) -> None:
        swapper = self._plan.swapper
        if swapper is not None and swapper.due():
            self._collect(model, leave=0)
            swapper.swap(model)
