"""Which frames of a live stream are left undecoded because they are late, and which never came."""

from __future__ import annotations

from collections import deque
from statistics import median

from streamer.core.clock import NS_PER_MS, NS_PER_S

from .base import DropCause

_LATE_NS = 500 * NS_PER_MS
_HISTORY = 16  # steps from which the usual one is taken
_LONGEST_GAP_NS = 10 * NS_PER_S  # beyond, the camera has set its clock


class KeyGate:
    """Choose what is decoded, so that the age never grows and no picture is invented.

    A packet is late if it was ready before we asked for it and is older than half a second. Then nothing is decoded up
    to the next key frame, because nothing in between can be understood alone. It is the same after packets were lost
    or damaged: a decoder would go on, with pictures that refer to what it never had.
    """

    def __init__(self, *, drop_late: bool, shut: bool) -> None:
        """Store the policy; `shut`: the stream may begin between two key frames."""
        self._drop_late = drop_late
        self._skipping = shut
        self._cause = DropCause.LATE

    @property
    def cause(self) -> DropCause:
        """Why packets are left undecoded now."""
        return self._cause

    def takes(self, *, key: bool, lag_ns: int, waited: bool) -> bool:
        """Whether the packet is to be decoded."""
        if key:
            self._skipping = False
        elif self._drop_late and not waited and lag_ns > _LATE_NS:
            self.shut(DropCause.LATE)
        return not self._skipping

    def shut(self, cause: DropCause) -> None:
        """Wait for the next key frame; the first cause of a wait counts."""
        if not self._skipping:
            self._skipping = True
            self._cause = cause


class GapCounter:
    """Count the frames that are missing between time stamps, where the rate is steady enough to tell."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=_HISTORY)
        self._last_ns: int | None = None

    def observe(self, pts_ns: int) -> int:
        """Return how many frames are missing before this one."""
        step_ns = 0 if self._last_ns is None else pts_ns - self._last_ns
        self._last_ns = pts_ns
        if not 0 < step_ns < _LONGEST_GAP_NS:
            return 0
        missing = self._missing(step_ns)
        self._steps.append(step_ns)
        return missing

    def _missing(self, step_ns: int) -> int:
        if len(self._steps) < _HISTORY // 2:
            return 0
        usual_ns = median(self._steps)
        if step_ns < 1.6 * usual_ns:
            return 0
        steady = sum(abs(s - usual_ns) <= 0.25 * usual_ns for s in self._steps)
        return round(step_ns / usual_ns) - 1 if steady >= 0.75 * len(self._steps) else 0
