"""The thread that hands decisions out on time, whatever the rest of the process does."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.decide.items import Items

_IDLE_S = 0.5  # between beats


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidePlan:
    """What the decide thread needs."""

    items: Mapping[str, Items]  # by camera
    decided: Callable[[Decision], None]  # takes a decision; must not wait for anything


class Deciding:
    """Hands out the decisions of all cameras. `loop` is the decide thread; `stop` may be called from any."""

    def __init__(self, plan: DecidePlan, *, clock: Clock, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._wake = threading.Event()
        self._stopping = False
        for items in plan.items.values():
            items.listen(self._wake.set)

    def stop(self) -> None:
        """Decide what is open, hand it out, and end the loop."""
        self._stopping = True
        self._wake.set()

    def loop(self) -> None:
        """Hand out each camera's decisions in order: when they are made, and at the latest at their deadlines.

        Thread: decide.  Ends: `stop`, or the items of every camera have ended; what is open is handed out first.
        Blocks on: its wake event (a change of the items, stop; at most until the next deadline, and 0.5 s). It shares
        nothing with inference or the disk but the locks of the items, which are held for a few lines.
        """
        while True:
            self._beat()
            self._wake.clear()  # before the look: a change during it wakes again
            if self._stopping:
                for items in self._plan.items.values():
                    items.end()
            for items in self._plan.items.values():
                for decision in items.take_decided(self._clock.monotonic_ns()):
                    self._plan.decided(decision)
            if all(items.over() for items in self._plan.items.values()):
                return
            self._clock.wait(self._wake, self._pause_s())

    def _pause_s(self) -> float:
        """Return how long nothing is due."""
        due = [due_ns for items in self._plan.items.values() if (due_ns := items.next_ns()) is not None]
        if not due:
            return _IDLE_S
        return min(_IDLE_S, max(0.0, (min(due) - self._clock.monotonic_ns()) / NS_PER_S))
