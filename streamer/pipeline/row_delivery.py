"""From the store to a sink beside the broker: at least once, in order for each camera, apart from all other sinks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .lanes import RowLane

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.publish.base import Sink
    from streamer.store.outbox import Outbox

_HOUSE_NS = 1 * NS_PER_S  # between beats and countings
_IDLE_S = 1.0
_AWAY_S = 0.05  # how often a missing connection is looked for, which wakes nobody when it is there


class RowDelivery:
    """A sink's thread. `run` is its loop and owns the outbox; the rest may be called from other threads.

    What such a sink has taken it has for good, so it leaves the outbox at once.
    """

    def __init__(self, outbox: Outbox, sink: Sink, *, clock: Clock) -> None:
        """Store the parts; whoever opened the sink closes it, once `run` has ended or its time is over."""
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._wake = threading.Event()
        self._rows = RowLane(outbox, sink, clock=clock, wake=self._wake.set, kept_ns=0)
        self._deadline_ns: int | None = None  # of `end_within`
        self._connection: int | None = None
        self._next_house_ns = 0
        self._undelivered = 0

    def poke(self) -> None:
        """Say that rows were stored."""
        self._rows.stored()
        self._wake.set()

    def end_within(self, timeout_s: float) -> None:
        """Let `run` end once all is delivered, or the time is over; called again it can only shorten the time.

        Nothing may be stored after this. Waits not.
        """
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        self._deadline_ns = deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)
        self.poke()

    def undelivered(self) -> int:
        """Return how many stored rows the sink had not taken a second ago."""
        return self._undelivered

    @property
    def delivered(self) -> int:
        """Messages that the sink has taken, repeats included."""
        return self._rows.delivered

    @property
    def refused(self) -> int:
        """Refusals of the sink."""
        return self._rows.refused

    @property
    def parked(self) -> int:
        """Rows of this run that were refused too often."""
        return self._rows.parked

    def run(self, beat: Callable[[], None]) -> None:
        """Send what there is until `end_within`.

        Thread: sink-<name>.  Ends: `end_within`, once all is delivered, or its time is over.
        Blocks on: the wake event (poke, answers; at most 1 s), the outbox (5 s).
        """
        try:
            while not self._finished():
                self._keep_house(beat)
                self._clock.wait(self._wake, self._pause_s())
                self._wake.clear()
            self._rows.take_answers()
            self._rows.confirm()
            self._undelivered = self._rows.undelivered()
        finally:
            self._outbox.close()

    def _step(self) -> None:
        self._rows.take_answers()
        self._rows.confirm()
        connection = self._sink.connection()
        if connection != self._connection:
            self._connection = connection
            self._rows.start_over()
        if connection is not None:
            self._rows.send()

    def _keep_house(self, beat: Callable[[], None]) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_house_ns:
            return
        self._next_house_ns = now_ns + _HOUSE_NS
        beat()
        self._rows.look_again()
        self._undelivered = self._rows.undelivered()

    def _pause_s(self) -> float:
        pause_s = _IDLE_S if self._connection is not None else _AWAY_S
        if self._deadline_ns is not None:
            left_s = (self._deadline_ns - self._clock.monotonic_ns()) / NS_PER_S
            pause_s = min(pause_s, max(0.0, left_s))
        return pause_s

    def _finished(self) -> bool:
        self._step()
        if self._deadline_ns is None:
            return False
        return self._rows.idle() or self._clock.monotonic_ns() >= self._deadline_ns
