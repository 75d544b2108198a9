"""When the light hit the camera: its own time stamps, set by the least delayed arrival."""

from __future__ import annotations

from collections import deque

from streamer.core.clock import NS_PER_S

_BACKWARD_NS = 1 * NS_PER_S  # pictures are reordered by less than this
_FORWARD_NS = 2 * NS_PER_S  # stamps can't run ahead of arrival by more, unless the camera set its clock


class CaptureClock:
    """Maps a camera's time stamps (pts) to our monotonic clock.

    Each arrival gives `arrived - pts`: the unknown distance of the two clocks plus this packet's delay. The least of
    them within the window is the best estimate of the distance. The window lets it follow a camera whose clock drifts
    (200 ppm are 6 ms in 30 s) in both directions. Packets that had lain in a buffer tell only that the distance is
    not larger: they never make the estimate grow, or a reader that lags would call its lag the camera's clock.
    """

    def __init__(self, *, window_s: float = 30.0) -> None:
        self._window_ns = round(window_s * NS_PER_S)
        self._least: deque[tuple[int, int]] = deque()  # (arrived_ns, arrived - pts), both rising
        self._last: tuple[int, int] | None = None  # (pts_ns, arrived_ns)
        self._captured_ns = 0

    def observe(self, *, pts_ns: int, arrived_ns: int, waited: bool = True) -> int:
        """Take note of a packet; return by how much it is later than the least delayed one, ns."""
        if self._last is not None and _jumped(pts_ns - self._last[0], arrived_ns - self._last[1]):
            self._least.clear()
        self._last = (pts_ns, arrived_ns)
        offset_ns = arrived_ns - pts_ns
        if waited or not self._least or offset_ns < self._least[0][1]:
            while self._least and self._least[-1][1] >= offset_ns:
                self._least.pop()
            self._least.append((arrived_ns, offset_ns))
        while len(self._least) > 1 and self._least[0][0] < arrived_ns - self._window_ns:
            self._least.popleft()
        return offset_ns - self._least[0][1]

    def captured_ns(self, pts_ns: int | None, *, arrived_ns: int) -> int:
        """Return the capture time of a picture: not later than its arrival, not earlier than the one before.

        Without a stamp the arrival is all that is known.
        """
        estimate_ns = arrived_ns if pts_ns is None or not self._least else pts_ns + self._least[0][1]
        self._captured_ns = max(min(estimate_ns, arrived_ns), self._captured_ns)
        return self._captured_ns


def _jumped(pts_step_ns: int, arrived_step_ns: int) -> bool:
    """Tell whether the camera has set its clock: its stamps are no continuation of the last one."""
    return pts_step_ns < -_BACKWARD_NS or pts_step_ns - arrived_step_ns > _FORWARD_NS


class FileClock:
    """Times of a recording: an epoch plus pts. They rise strictly, whatever the file says.

    The first picture stands at the epoch, whatever its pts: what is cut out of a longer recording keeps its stamps.
    """

    def __init__(self, *, epoch_ns: int, interval_ns: int) -> None:
        self._epoch_ns = epoch_ns
        self._interval_ns = max(1, interval_ns)  # for pictures without a stamp
        self._zero_ns: int | None = None  # pts that stands at the epoch
        self._last_ns: int | None = None

    def captured_ns(self, pts_ns: int | None) -> int:
        """Return the time of the next picture, ns on the monotonic clock."""
        expected_ns = self._epoch_ns if self._last_ns is None else self._last_ns + self._interval_ns
        if pts_ns is None:
            self._last_ns = expected_ns
            return expected_ns
        if self._zero_ns is None:
            self._zero_ns = pts_ns - (expected_ns - self._epoch_ns)
        at_ns = self._epoch_ns + pts_ns - self._zero_ns
        if self._last_ns is not None and at_ns <= self._last_ns:  # stamps began anew, as in joined recordings
            self._zero_ns -= expected_ns - at_ns
            at_ns = expected_ns
        self._last_ns = at_ns
        return at_ns
