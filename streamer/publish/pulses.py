"""When an output is to be active, as values: the union of the pulses that were asked for."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, order=True)
class Pulse:
    """One pulse, monotonic ns. Pulses are in the order in which they begin."""

    start_ns: int
    end_ns: int
    on_done: Callable[[str | None], None] = field(compare=False)  # told once: None, or why it was not given


class Pulses:
    """Pulses to come and those that run. Not thread-safe: it belongs to whoever drives the line, or guards it."""

    def __init__(self) -> None:
        self._coming: list[Pulse] = []  # a heap
        self._until_ns = 0  # the end of those that have begun

    def __len__(self) -> int:
        return len(self._coming)

    def add(self, pulse: Pulse) -> None:
        """Ask for a pulse; it may overlap others, and then prolongs them."""
        heapq.heappush(self._coming, pulse)

    def begin(self, now_ns: int) -> tuple[list[Pulse], list[Pulse]]:
        """Begin the pulses that are due.

        Returns:
            Those that begin now, and those that are over already: they came too late.
        """
        begun: list[Pulse] = []
        missed: list[Pulse] = []
        while self._coming and self._coming[0].start_ns <= now_ns:
            pulse = heapq.heappop(self._coming)
            (begun if pulse.end_ns > now_ns else missed).append(pulse)
        self._until_ns = max([self._until_ns, *(pulse.end_ns for pulse in begun)])
        return begun, missed

    def active(self, now_ns: int) -> bool:
        """Whether a pulse that has begun is not over."""
        return now_ns < self._until_ns

    def next_ns(self, now_ns: int) -> int | None:
        """Return when something changes next, None if nothing is to come."""
        edges = [pulse.start_ns for pulse in self._coming[:1]]
        if self.active(now_ns):
            edges.append(self._until_ns)
        return min(edges, default=None)

    def give_up(self) -> list[Pulse]:
        """Forget what is to come, and return it."""
        coming, self._coming = sorted(self._coming), []
        return coming
