"""From the cameras to a model: a lane for each camera, or for each classification of one; bounded, nobody starves."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.frame import AnyPicture, FrameInfo


class Waits(Protocol):
    """What waits for a model: a frame, or a part of one."""

    @property
    def lane(self) -> str:
        """Where it waits."""

    @property
    def info(self) -> FrameInfo:
        """Where and when it was taken."""

    @property
    def picture(self) -> AnyPicture:
        """What is to be looked at."""


T = TypeVar("T", bound=Waits)

OUTSTANDING = 8  # frames of one waiting lane between `take` and `release`: what lies in its result lane at most
_BUFFERED_NS = 2 * NS_PER_S  # the contract: `every` on a live source buffers at most 2 s
_BUFFERED_BYTES = 512 << 20  # and never more pixels than this, whatever the size of a frame
_RECALLED = 16  # frames that came after the fact wait beside the newest one, so that the beginning is seen too:
_RECALLED_BYTES = 64 << 20  # some three seconds of them at five a second, and never more pixels than this


class Lane(Enum):
    """What happens to a frame when its camera's lane is full."""

    NEWEST = "newest"  # one slot: the newer frame takes it; what was recalled waits beside it
    WAIT = "wait"  # the reader waits: a file, none skipped
    BUFFER = "buffer"  # up to 2 s are kept in order, then the new frame is lost: a live camera, every frame
    REFUSE = "refuse"  # up to `OUTSTANDING` in order, then the new one is refused: it will be asked again
    HOLD = "hold"  # all of them in order, up to a size: a recording's objects, whose next frame waits for the answers


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """Stands in a lane behind the last frame of a finite source."""

    lane: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands in a lane behind the last frame of a connection that is lost, where every frame counts."""

    lane: str
    connection: int


Mark = SourceEnd | Lost  # what stands in a lane beside frames


# Items that wait in a lane whose length counts.
_HOLDS = {Lane.WAIT: 2, Lane.REFUSE: OUTSTANDING}
_NEVER_LOSES = (Lane.WAIT, Lane.REFUSE, Lane.HOLD)  # `offer` says no instead


class _LaneState(Generic[T]):
    """What waits for the model in one lane."""

    __slots__ = ("ended", "items", "nbytes", "outstanding", "policy")

    def __init__(self, policy: Lane) -> None:
        self.policy = policy
        self.items: deque[T | Mark] = deque()
        self.nbytes = 0
        self.outstanding = 0
        self.ended = False

    def full_for(self, frame: T) -> bool:
        if self.policy in _HOLDS:
            return len(self.items) >= _HOLDS[self.policy]
        too_large = self.nbytes + frame.picture.nbytes > _BUFFERED_BYTES
        if self.policy is Lane.HOLD:
            return bool(self.items) and too_large
        oldest = next((item for item in self.items if not isinstance(item, Mark)), None)
        if oldest is None:
            return False
        span_ns = frame.info.captured_ns - oldest.info.captured_ns
        return span_ns > _BUFFERED_NS or too_large

    def make_room(self, frame: T) -> list[T]:
        """Take out what a newer frame supersedes: the newest one, and of what was recalled what is too much."""
        frames = [item for item in self.items if not isinstance(item, Mark)]
        lost = [item for item in frames if not item.info.recalled]
        if frame.info.recalled:
            recalled = deque(item for item in frames if item.info.recalled)
            nbytes = frame.picture.nbytes + sum(item.picture.nbytes for item in recalled)
            while recalled and (len(recalled) >= _RECALLED or nbytes > _RECALLED_BYTES):
                oldest = recalled.popleft()
                nbytes -= oldest.picture.nbytes
                lost.append(oldest)
        for item in lost:
            self.items.remove(item)
            self.nbytes -= item.picture.nbytes
        return lost

    def takeable(self) -> bool:
        return bool(self.items) and (self.policy is Lane.NEWEST or self.outstanding < OUTSTANDING)


class FrameQueue(Generic[T]):
    """Frames of several cameras, or parts of them, for one model.

    A lane that must not lose frames holds at most `OUTSTANDING` between `take` and `release`; behind that it is passed
    over, so that a camera whose results wait never stalls another.
    """

    def __init__(self, lanes: Mapping[str, Lane], lost: Callable[[T, str], None]) -> None:
        """Make the lanes.

        Args:
            lanes: the policy of each lane.
            lost: told (frame, cause) of each that is not looked at; called without the lock.
        """
        self._changed = threading.Condition()  # guards all below
        self._lanes: dict[str, _LaneState[T]] = {lane: _LaneState(policy) for lane, policy in lanes.items()}
        self._order = deque(self._lanes)  # round robin: the lane served last stands last
        self._woken = False
        self._closed = False
        self._lost = lost

    def offer(self, frame: T, timeout_s: float = 1.0) -> bool:
        """Put a frame into its lane; waits only in a `WAIT` lane.

        Returns:
            False when the lane was still full after `timeout_s`, or refuses: the frame was not put.

        Raises:
            ChannelClosed: nobody takes frames any more; this one is lost as `stopped`.
        """
        with self._changed:
            lane = self._lanes[frame.lane]
            if lane.policy in _NEVER_LOSES and not self._changed.wait_for(
                lambda: self._closed or not lane.full_for(frame), timeout_s if lane.policy is Lane.WAIT else 0.0
            ):
                return False
            closed = self._closed
            lost, cause = ([frame], "stopped") if closed else self._put_locked(lane, frame)
        for one in lost:
            self._lost(one, cause)
        if closed:
            raise ChannelClosed
        return True

    def finish(self, lane: str) -> None:
        """Say that a source has ended: `take` returns a `SourceEnd` behind its last frame."""
        with self._changed:
            state = self._lanes[lane]
            state.items.append(SourceEnd(lane))
            state.ended = True
            self._changed.notify_all()

    def lose(self, lane: str, connection: int) -> None:
        """Say that a connection is lost: `take` returns a `Lost` behind its last frame."""
        with self._changed:
            self._lanes[lane].items.append(Lost(lane, connection))
            self._changed.notify_all()

    def take(self, most: int, timeout_s: float) -> list[T | Mark]:
        """Return up to `most` items, the lanes in turn; empty after `timeout_s` or `wake`.

        A `Lost` is the last of its list: frames of the next connection never come in one batch with those before it.

        Raises:
            ChannelClosed: closed, or every source has ended and its lane is empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._over_locked() or self._any_locked(), timeout_s)
            self._woken = False
            if self._over_locked():
                raise ChannelClosed
            taken: list[T | Mark] = []
            while len(taken) < most and (item := self._next_locked()) is not None:
                taken.append(item)
                if isinstance(item, Lost):
                    break
            if taken:
                self._changed.notify_all()
            return taken

    def release(self, lane: str) -> None:
        """Say that the result of a taken frame has been dealt with."""
        with self._changed:
            state = self._lanes[lane]
            state.outstanding -= 1
            if state.items and state.policy is not Lane.NEWEST:
                self._changed.notify_all()

    def drop(self, frame: T, cause: str) -> None:
        """Say that a taken frame is not looked at."""
        self.release(frame.lane)
        self._lost(frame, cause)

    def wake(self) -> None:
        """Let a waiting `take` return at once: something else is ready."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse new frames and drop what waits, as `stopped`."""
        with self._changed:
            self._closed = True
            waiting = [item for lane in self._lanes.values() for item in lane.items]
            for lane in self._lanes.values():
                lane.items.clear()
                lane.nbytes = 0
            self._changed.notify_all()
        for item in waiting:
            if not isinstance(item, Mark):
                self._lost(item, "stopped")

    def _put_locked(self, lane: _LaneState[T], frame: T) -> tuple[list[T], str]:
        """Put a frame into its lane; return those that are lost by that, and why."""
        if lane.policy is Lane.BUFFER and lane.full_for(frame):
            return [frame], "overrun"
        superseded = lane.make_room(frame) if lane.policy is Lane.NEWEST else []
        lane.items.append(frame)
        lane.nbytes += frame.picture.nbytes
        self._changed.notify_all()
        return superseded, "superseded"

    def _over_locked(self) -> bool:
        return self._closed or all(lane.ended and not lane.items for lane in self._lanes.values())

    def _any_locked(self) -> bool:
        return any(lane.takeable() for lane in self._lanes.values())

    def _next_locked(self) -> T | Mark | None:
        for _ in range(len(self._order)):
            lane = self._lanes[self._order[0]]
            self._order.rotate(-1)
            if lane.takeable():
                item = lane.items.popleft()
                lane.outstanding += 1
                if not isinstance(item, Mark):
                    lane.nbytes -= item.picture.nbytes
                return item
        return None
