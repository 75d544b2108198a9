"""From the cameras to a model: one lane per camera, memory bounded, nobody starves."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.frame import Frame

OUTSTANDING = 8  # frames of one waiting lane between `take` and `release`: what lies in its result lane at most
_BUFFERED_NS = 2 * NS_PER_S  # the contract: `every` on a live source buffers at most 2 s
_BUFFERED_BYTES = 512 << 20  # and never more pixels than this, whatever the size of a frame


class Lane(Enum):
    """What happens to a frame when its camera's lane is full."""

    NEWEST = "newest"  # one slot: the newer frame takes it
    WAIT = "wait"  # the reader waits: a file, none skipped
    BUFFER = "buffer"  # up to 2 s are kept in order, then the new frame is lost: a live camera, every frame


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """Stands in a lane behind the last frame of a finite source."""

    camera: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands in a lane behind the last frame of a connection that is lost, where every frame counts."""

    camera: str
    connection: int


Mark = SourceEnd | Lost  # what stands in a lane beside frames


class _LaneState:
    """The frames of one camera that wait for the model."""

    __slots__ = ("ended", "items", "nbytes", "outstanding", "policy")

    def __init__(self, policy: Lane) -> None:
        self.policy = policy
        self.items: deque[Frame | Mark] = deque()
        self.nbytes = 0
        self.outstanding = 0
        self.ended = False

    def full_for(self, frame: Frame) -> bool:
        if self.policy is Lane.WAIT:
            return len(self.items) >= 2
        oldest = next((item for item in self.items if not isinstance(item, Mark)), None)
        if oldest is None:
            return False
        span_ns = frame.info.captured_ns - oldest.info.captured_ns
        return span_ns > _BUFFERED_NS or self.nbytes + frame.picture.nbytes > _BUFFERED_BYTES

    def takeable(self) -> bool:
        return bool(self.items) and (self.policy is Lane.NEWEST or self.outstanding < OUTSTANDING)


class FrameQueue:
    """Frames of several cameras for one model.

    A lane that must not lose frames holds at most `OUTSTANDING` between `take` and `release`; behind that it is passed
    over, so that a camera whose results wait never stalls another.
    """

    def __init__(self, lanes: Mapping[str, Lane], lost: Callable[[str, str], None]) -> None:
        """Make the lanes.

        Args:
            lanes: the policy of each camera.
            lost: told (camera, cause) of each frame that is not looked at; called without the lock.
        """
        self._changed = threading.Condition()  # guards all below
        self._lanes = {camera: _LaneState(policy) for camera, policy in lanes.items()}
        self._order = deque(self._lanes)  # round robin: the camera served last stands last
        self._woken = False
        self._closed = False
        self._lost = lost

    def offer(self, frame: Frame, timeout_s: float = 1.0) -> bool:
        """Put a frame into its camera's lane; waits only in a `WAIT` lane.

        Returns:
            False when the lane was still full after `timeout_s`: the frame was not put.

        Raises:
            ChannelClosed: nobody takes frames any more; this one is lost as `stopped`.
        """
        camera = frame.info.camera
        with self._changed:
            lane = self._lanes[camera]
            if lane.policy is Lane.WAIT and not self._changed.wait_for(
                lambda: self._closed or not lane.full_for(frame), timeout_s
            ):
                return False
            closed = self._closed
            cause = "stopped" if closed else self._put_locked(lane, frame)
        if cause is not None:
            self._lost(camera, cause)
        if closed:
            raise ChannelClosed
        return True

    def finish(self, camera: str) -> None:
        """Say that a source has ended: `take` returns a `SourceEnd` behind its last frame."""
        with self._changed:
            lane = self._lanes[camera]
            lane.items.append(SourceEnd(camera))
            lane.ended = True
            self._changed.notify_all()

    def lose(self, camera: str, connection: int) -> None:
        """Say that a connection is lost: `take` returns a `Lost` behind its last frame."""
        with self._changed:
            self._lanes[camera].items.append(Lost(camera, connection))
            self._changed.notify_all()

    def take(self, most: int, timeout_s: float) -> list[Frame | Mark]:
        """Return up to `most` items, the cameras in turn; empty after `timeout_s` or `wake`.

        A `Lost` is the last of its list: frames of the next connection never come in one batch with those before it.

        Raises:
            ChannelClosed: closed, or every source has ended and its lane is empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._over_locked() or self._any_locked(), timeout_s)
            self._woken = False
            if self._over_locked():
                raise ChannelClosed
            taken: list[Frame | Mark] = []
            while len(taken) < most and (item := self._next_locked()) is not None:
                taken.append(item)
                if isinstance(item, Lost):
                    break
            if taken:
                self._changed.notify_all()
            return taken

    def release(self, camera: str) -> None:
        """Say that the result of a taken frame has been dealt with."""
        with self._changed:
            lane = self._lanes[camera]
            lane.outstanding -= 1
            if lane.items and lane.policy is not Lane.NEWEST:
                self._changed.notify_all()

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
                self._lost(item.info.camera, "stopped")

    def _put_locked(self, lane: _LaneState, frame: Frame) -> str | None:
        """Put a frame into its lane; return why one is lost by that, if one is."""
        cause = None
        if lane.policy is Lane.NEWEST and lane.items:
            lane.items.clear()
            lane.nbytes = 0
            cause = "superseded"
        if lane.policy is Lane.BUFFER and lane.full_for(frame):
            return "overrun"
        lane.items.append(frame)
        lane.nbytes += frame.picture.nbytes
        self._changed.notify_all()
        return cause

    def _over_locked(self) -> bool:
        return self._closed or all(lane.ended and not lane.items for lane in self._lanes.values())

    def _any_locked(self) -> bool:
        return any(lane.takeable() for lane in self._lanes.values())

    def _next_locked(self) -> Frame | Mark | None:
        for _ in range(len(self._order)):
            camera = self._order[0]
            self._order.rotate(-1)
            lane = self._lanes[camera]
            if lane.takeable():
                item = lane.items.popleft()
                lane.outstanding += 1
                if not isinstance(item, Mark):
                    lane.nbytes -= item.picture.nbytes
                return item
        return None
