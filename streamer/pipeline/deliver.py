"""From the store to the broker: at least once, in order for each camera, nothing forgotten before it is safe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .decision_lane import DecisionLane
from .feed_lane import FeedLane
from .lanes import RowLane, StateLane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.publish.base import Message, Sink
    from streamer.publish.states import StateBoard
    from streamer.store.outbox import Outbox

_HOUSE_NS = 1 * NS_PER_S  # between beats, deletions and countings
_IDLE_S = 1.0
_AWAY_S = 0.05  # how often a missing connection is looked for
_LOOK_S = 0.1  # how often a `finish` looks whether its time has become shorter
_GRACE_NS = NS_PER_S // 2
# A broker that hangs up on a message does so at once. A second more, since a broken connection wakes nobody.
_AT_ONCE_NS = 2 * NS_PER_S
_FEED_CAPACITY = 256  # messages: 2.5 s of four cameras at 25 fps


class Delivery:
    """The publish thread. `run` is its loop and owns sink and outbox; the rest may be called from other threads.

    Decisions alone are handed to the sink by the thread that brings them: this one may be at the disk.
    """

    def __init__(
        self, outbox: Outbox, sink: Sink, board: StateBoard, *, clock: Clock, feed_capacity: int = _FEED_CAPACITY
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._deadline_ns: int | None = None  # of `finish`
        self._connection: int | None = None
        self._next_house_ns = 0
        self._undelivered = 0
        self._taken_before = self._refused_before = 0  # the present connection
        self._counted = False  # whether that is so since `finish` and the last change of connection
        self._rows = RowLane(outbox, sink, clock=clock, wake=self._wake.set)
        self._states = StateLane(board, outbox, sink, clock=clock, wake=self._wake.set)
        self._feed = FeedLane(sink, clock=clock, capacity=feed_capacity, wake=self._wake.set)
        self._decisions = DecisionLane(sink, clock=clock, wake=self._wake.set)
        board.listen(self._wake.set)

    def poke(self) -> None:
        """Say that rows were stored."""
        self._rows.stored()
        self._wake.set()

    def feed(self, message: Message, deadline_ns: int | None = None) -> bool:
        """Send a message now, or drop and count it. Never waits.

        Args:
            message: what to send.
            deadline_ns: the moment (monotonic) from which on it is too old to be sent.

        Returns:
            Whether it was accepted.
        """
        return self._feed.put(message, deadline_ns)

    def decide(self, decision: Decision) -> bytes:
        """Send a decision at once, before all else; again on a new connection, until it is taken or its time is over.

        Any thread; those of one camera come from one. Waits neither for the broker nor for the disk.

        Returns:
            Its payload.
        """
        return self._decisions.put(decision)

    def undelivered(self) -> int:
        """Return how many stored rows the broker had not taken a second ago."""
        return self._undelivered

    @property
    def delivered(self) -> int:
        """Messages that the broker has taken, repeats included."""
        return self._rows.delivered

    @property
    def refused(self) -> int:
        """Refusals of the broker."""
        return self._rows.refused

    @property
    def parked(self) -> int:
        """Rows of this run that were refused too often."""
        return self._rows.parked

    @property
    def feed_sent(self) -> int:
        """Messages of the feed that were written."""
        return self._feed.sent

    @property
    def feed_dropped(self) -> Mapping[str, int]:
        """Messages of the feed that were not, by cause: disconnected, full, connection_lost, too_old."""
        return self._feed.dropped

    @property
    def decisions_sent(self) -> int:
        """Decisions that the broker has taken."""
        return self._decisions.taken

    @property
    def decisions_dropped(self) -> Mapping[str, int]:
        """Decisions that it has not and will not get, by cause: expired, refused, full (too many waited)."""
        return self._decisions.dropped

    @property
    def decisions_left(self) -> int:
        """Decisions that it has not taken yet."""
        return self._decisions.left()

    def end_within(self, timeout_s: float) -> None:
        """As `finish`, without waiting for the end; called again it can only shorten the time."""
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        self._deadline_ns = deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)
        self._counted = False
        self.poke()

    def finish(self, timeout_s: float) -> int:
        """Go on until all is delivered and safe, or the time is over; then end `run`. Nothing may be stored after this.

        What the broker has taken too late to be safe within the time stays in the outbox: the next run repeats it.

        Returns:
            How many rows the broker has not taken.
        """
        self.end_within(timeout_s)
        # The loop keeps the deadline; half a second more for a slow disk. In steps, since `end_within` may move it.
        while not self._ended.wait(_LOOK_S):
            if self._deadline_ns is None or self._clock.monotonic_ns() >= self._deadline_ns + _GRACE_NS:
                break
        return self._undelivered

    def run(self, beat: Callable[[], None]) -> None:
        """Send what there is until `finish`.

        Thread: publish.  Ends: `finish`, once all is delivered and safe, or its time is over.
        Blocks on: the wake event (poke, feed, decide, answers; at most 1 s), the outbox (5 s).
        """
        try:
            while not self._finished():
                self._step()
                self._keep_house(beat)
                self._clock.wait(self._wake, self._pause_s())
                self._wake.clear()
            self._end()
        finally:
            self._ended.set()
            self._outbox.close()

    def _step(self) -> None:
        connection = self._sink.connection()
        self._decisions.send()
        # Before the change of connection is dealt with: some brokers refuse a message and hang up. If its refusal were
        # forgotten with the rest, it would be sent, and would break the connection, for ever.
        self._rows.take_answers()
        self._states.take_answers()
        if connection != self._connection:
            if self._connection is not None:
                self._find_culprit()
            self._connection = connection
            self._taken_before, self._refused_before = self._taken(), self._refused()
            self._counted = False
            self._rows.start_over()
            self._states.start_over()
            self._feed.start_over(connected=connection is not None)
        if connection is not None:
            self._feed.send()
            self._send_lasting()

    def _send_lasting(self) -> None:
        if not self._states.trial_due():
            self._states.send()
            self._rows.send()
        elif self._rows.oldest_ns() is None:
            self._states.try_one()

    def _find_culprit(self) -> None:
        """The connection broke: decide whether the broker hung up on a message, or went away by itself."""
        topic, decision_ns = self._decisions.take_break() or ("", None)
        state_ns, row_ns = self._states.oldest_ns(), self._rows.oldest_ns()
        sent_ns = min((at_ns for at_ns in (state_ns, row_ns, decision_ns) if at_ns is not None), default=None)
        if self._refused() != self._refused_before:  # it said what it refuses before it hung up
            return
        if sent_ns is None or self._clock.monotonic_ns() - sent_ns > _AT_ONCE_NS:
            self._rows.forgive()
            self._states.forgive()
            self._decisions.forgive()
        elif sent_ns == decision_ns:
            self._decisions.blame(topic)
        elif sent_ns == state_ns:
            self._states.blame()
        else:
            self._rows.blame(proven=self._taken() > self._taken_before)

    def _taken(self) -> int:
        return self._rows.delivered + self._states.taken + self._decisions.taken

    def _refused(self) -> int:
        return self._rows.refused + self._decisions.dropped["refused"]

    def _keep_house(self, beat: Callable[[], None]) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_house_ns:
            return
        self._next_house_ns = now_ns + _HOUSE_NS
        beat()
        if self._holds():
            self._rows.confirm()
        self._rows.look_again()
        self._decisions.look_again()
        self._count()

    def _count(self) -> None:
        self._counted = True  # before the look: a `finish` meanwhile resets it
        self._undelivered = self._rows.undelivered()

    def _pause_s(self) -> float:
        # A new connection wakes nobody, and a decision has little time.
        pause_s = _IDLE_S if self._connection is not None and self._decisions.idle() else _AWAY_S
        if self._deadline_ns is not None:
            left_s = (self._deadline_ns - self._clock.monotonic_ns()) / NS_PER_S
            pause_s = min(pause_s, max(0.0, left_s))
        return pause_s

    def _finished(self) -> bool:
        if self._deadline_ns is None:
            return False
        if self._clock.monotonic_ns() >= self._deadline_ns:
            return True
        self._step()
        if self._connection is None:
            # States can't be sent now, and the broker has our last will: no reason to wait for it.
            if not self._counted:  # else once a second will do: nothing is sent, and nothing is stored any more
                self._count()
            return self._undelivered == 0 and self._decisions.idle()
        lanes = (self._decisions, self._rows, self._states, self._feed)
        return all(lane.idle() for lane in lanes) and not self._safe_later()

    def _safe_later(self) -> bool:
        """Whether all that was taken becomes safe within the time: else there is nothing to wait for."""
        if self._holds():
            self._rows.confirm()
        safe_ns = self._rows.all_safe_ns()
        return safe_ns is not None and self._deadline_ns is not None and safe_ns < self._deadline_ns

    def _end(self) -> None:
        self._rows.take_answers()
        if self._holds():
            self._rows.confirm()
            self._rows.leave()
        self._count()

    def _holds(self) -> bool:
        """Whether the connection on which the rows were sent is there still."""
        return self._connection is not None and self._sink.connection() == self._connection
