"""What fits into the time that items have: how many pictures a model takes at once, and which can still be in time."""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS

if TYPE_CHECKING:
    from streamer.core.clock import Clock

_SHARE = 4  # a batch takes at most this part of the time that an item has
_LATELY = 5  # batches; the two that a hang holds up do not change their median
_TRY_NS = (
    250 * NS_PER_MS
)  # so often something is tried that comes too late as it seems: what was slow may be fast again


class Pace:
    """Keeps a model that is too slow for its items useful. Inference thread only.

    In the order in which they come, each item would be looked at when its time is nearly over, and none would be in
    time. So those that can't be are passed over, and the ones behind them are.
    """

    def __init__(self, within_ns: int | None, *, clock: Clock) -> None:
        """Begin with one picture at a time.

        Args:
            within_ns: the shortest time in which a verdict that waits for the model is due; None: none waits for it.
            clock: for now.
        """
        self._within_ns = within_ns
        self._clock = clock
        self._few = 1
        self._took_ns: deque[int] = deque(maxlen=_LATELY)
        self._begun_ns: int | None = None  # when the last batch was given to the model

    def most(self, room: int) -> int:
        """Return how many pictures are taken at once, where the model takes up to `room`."""
        return room if self._within_ns is None else min(room, self._few)

    def missed(self, due_ns: int | None) -> str | None:
        """Return why something is not worth a look.

        Args:
            due_ns: monotonic; the verdict on it comes then at the latest. 0: it has; None: it has time.

        Returns:
            `decided`; `no_time`: it would be late; None: it is worth one.
        """
        if due_ns is None:
            return None
        now_ns = self._clock.monotonic_ns()
        if now_ns >= due_ns:
            return "decided"
        lately_ns = statistics.median(self._took_ns) if self._took_ns else 0
        idle = self._begun_ns is None or now_ns - self._begun_ns >= _TRY_NS
        return "no_time" if now_ns + lately_ns + lately_ns // _SHARE > due_ns and not idle else None

    def begun(self) -> None:
        """Say that the model was given something."""
        if self._within_ns is not None:
            self._begun_ns = self._clock.monotonic_ns()

    def took(self, took_ns: int, pictures: int) -> None:
        """Say how long a batch took, from when it was given to the model to its answers."""
        if self._within_ns is None:
            return
        self._took_ns.append(took_ns)
        if took_ns * _SHARE > self._within_ns:
            self._few = max(1, pictures // 2)
        elif pictures >= self._few:
            self._few = pictures + 1
