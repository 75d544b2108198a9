"""Time stamps of a clip, made of those of a camera. Pure."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from .tape import Taped

HZ = 90_000  # ticks a second
_STEP = HZ // 30  # from picture to picture, until two have come
_JUMPED_NS = 1 * NS_PER_S  # a stamp's step that differs by more from that of the time: the camera has set its clock


class ClipTimes:
    """Stamps of an MP4: pts from the camera's, rising dts made of them where pictures are reordered."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._last: tuple[int, int] | None = None  # stamp and capture time of the last picture
        self._shift_ns = 0  # from the camera's stamps to the clip's time
        self._given = 0
        self._waiting: list[int] = []  # pts of which each is a dts later on, the least first
        self._dts = -1
        self._step = _STEP

    def of(self, taped: Taped) -> tuple[int, int, int]:
        """Return pts, dts and duration, in ticks; the first dts is 0."""
        pts = self._pts(taped) + self._depth * _STEP
        heapq.heappush(self._waiting, pts)
        # The n-th picture is decoded when the one is shown that is `depth` places before it in order of showing.
        dts = self._given * _STEP if self._given < self._depth else heapq.heappop(self._waiting)
        self._given += 1
        dts = max(dts, self._dts + 1)
        if self._dts >= 0:
            self._step = dts - self._dts
        self._dts = dts
        return max(pts, dts), dts, self._step

    def _pts(self, taped: Taped) -> int:
        """Return when it is shown, ticks from the first picture."""
        stamp_ns, captured_ns = taped.stamp_ns, taped.captured_ns
        last_ns, last_captured_ns = self._last or (stamp_ns, captured_ns)
        step_ns, captured_step_ns = stamp_ns - last_ns, captured_ns - last_captured_ns
        if self._last is None:
            self._shift_ns = -stamp_ns
        elif abs(step_ns - captured_step_ns) > _JUMPED_NS:
            self._shift_ns += captured_step_ns - step_ns
        self._last = stamp_ns, captured_ns
        return round((stamp_ns + self._shift_ns) * HZ / NS_PER_S)
