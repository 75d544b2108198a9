"""The two kinds of message that must arrive: stored rows, and states.

All but what is said otherwise belongs to the publish thread. An answer of the sink comes in any thread; it is kept and
taken by the publish thread, which `wake` wakes.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.publish.base import Sink
    from streamer.publish.states import StateBoard
    from streamer.store.outbox import Outbox
    from streamer.store.rows import OutboxRow

log = logging.getLogger(__name__)

KEPT_NS = 5 * NS_PER_S  # the contract: a row leaves the outbox so long after its PUBACK, if the connection still holds
_FETCHED = 200  # rows read from the store at once
_FIRST_HOLD_NS = 1 * NS_PER_S  # before a refused row is tried again; doubles with each refusal in turn
_LONGEST_HOLD_NS = 30 * NS_PER_S
_LONGEST_STATE_HOLD_NS = 300 * NS_PER_S
_SUSPECT_AFTER = 2  # connections in turn that broke at the same message: then it is looked at alone
_HUNG_UP = "the broker hangs up on it"


@dataclass(slots=True, eq=False)
class _Sent:
    """A row on its way: its identity tells a late answer of an earlier attempt from one to this."""

    row: OutboxRow
    sent_ns: int
    taken_ns: int | None = None  # when the broker took it


class RowLane:
    """Rows of the outbox: in order, again after a broken connection, kept until they are safe.

    Some brokers refuse a message by hanging up. A row at which two connections broke in turn is a suspect: its topic is
    held back on the next one, so that the others go on, and then it is sent alone. If the connection breaks again, and
    the broker had taken something else on it, that is a refusal. A broker that goes away by itself, however often, does
    so without the row too, or takes it; and one that takes nothing proves nothing.
    """

    def __init__(
        self, outbox: Outbox, sink: Sink, *, clock: Clock, wake: Callable[[], None], kept_ns: int | None = None
    ) -> None:
        """Store the parts.

        Args:
            outbox: where the rows are.
            sink: where they go.
            clock: for the waits.
            wake: called in any thread when the sink has answered.
            kept_ns: how long a row that was taken stays in the outbox; None: KEPT_NS, as a broker needs it.
        """
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._wake = wake
        self._kept_ns = KEPT_NS if kept_ns is None else kept_ns
        self._answers: deque[tuple[_Sent, str | None, int]] = deque()  # any thread appends
        self._sent: dict[int, _Sent] = {}  # row id -> sent on this connection and still in the outbox
        self._read: deque[OutboxRow] = deque()  # read, not sent
        self._cursor = 0  # id of the last row read
        self._more = True  # whether rows may wait behind the cursor; any thread sets
        self._unread = False  # whether a look at the outbox failed: there may be rows also before the cursor
        self._undelivered = 0  # when they could last be counted
        self._held_until_ns: dict[str, int] = {}  # topic -> when its refused row is tried again
        self._strikes: Counter[str] = Counter()  # topic -> refusals in turn
        self._breaks: dict[int, tuple[str, int]] = {}  # row id -> its topic, and the connections that broke at it
        self._trial: _Sent | None = None  # a suspect on its way
        self.delivered = 0  # messages that the broker has taken
        self.refused = 0
        self.parked = 0

    def stored(self) -> None:
        """Say that rows were stored. Any thread."""
        self._more = True

    def start_over(self) -> None:
        """Forget what was sent: what the outbox still has is sent again, in order."""
        self._sent = {}
        self._held_until_ns = {}
        for topic, breaks in self._breaks.values():
            if breaks >= _SUSPECT_AFTER:
                self._hold(topic)
        self._rewind()

    def oldest_ns(self) -> int | None:
        """Return when the first of the rows without an answer was sent."""
        first = self._first_open()
        return None if first is None else first.sent_ns

    def blame(self, *, proven: bool) -> None:
        """Take the first row without an answer for the reason why the connection broke.

        Args:
            proven: whether the broker had taken something else on that connection.
        """
        first = self._first_open()
        if first is None:
            return
        row = first.row
        breaks = self._breaks.get(row.id, (row.topic, 0))[1] + 1
        self._breaks[row.id] = (row.topic, breaks)
        if breaks == _SUSPECT_AFTER:
            log.warning("the connection broke %d times just after a message on %s: held back", breaks, row.topic)
        elif breaks > _SUSPECT_AFTER and proven:
            self._refuse(row, _HUNG_UP)

    def forgive(self) -> None:
        """The connection broke by itself: no row is under suspicion."""
        self._breaks = {}

    def send(self) -> None:
        """Hand over as many rows as the sink takes."""
        self._release_held()
        while not self._on_trial() and (self._read or self._fetch()):
            row = self._read[0]
            if row.id not in self._sent and row.topic not in self._held_until_ns:
                sent = _Sent(row, self._clock.monotonic_ns())
                if self._breaks.get(row.id, ("", 0))[1] >= _SUSPECT_AFTER:
                    if self._first_open() is not None:  # alone, or it might be taken for another
                        return
                    self._trial = sent
                message = Message(topic=row.topic, payload=row.payload, qos=row.qos, retain=False)
                # Before the sink has it: the answer may come before `send` returns.
                self._sent[row.id] = sent
                if not self._sink.send(message, self._on_done(sent)):
                    del self._sent[row.id]
                    return
            self._read.popleft()

    def take_answers(self) -> None:
        """Deal with what the broker has said."""
        while self._answers:
            sent, refusal, at_ns = self._answers.popleft()
            if self._sent.get(sent.row.id) is not sent:  # of an earlier connection or attempt
                continue
            if refusal is not None:
                self._refuse(sent.row, refusal)
            elif sent.row.topic in self._held_until_ns:
                # Taken, but one before it was refused: it goes again behind that one, so that the order holds.
                del self._sent[sent.row.id]
            else:
                sent.taken_ns = at_ns
                self.delivered += 1
                del self._strikes[sent.row.topic]
                self._breaks.pop(sent.row.id, None)

    def confirm(self) -> None:
        """Take out of the outbox what the broker took long enough ago."""
        until_ns = self._clock.monotonic_ns() - self._kept_ns
        safe = [i for i, sent in self._sent.items() if sent.taken_ns is not None and sent.taken_ns <= until_ns]
        self._outbox.confirm(safe)
        for row_id in safe:
            del self._sent[row_id]

    def all_safe_ns(self) -> int | None:
        """Return when the last of what the broker has taken may leave the outbox; None if nothing is left there."""
        taken_ns = [sent.taken_ns for sent in self._sent.values() if sent.taken_ns is not None]
        return max(taken_ns) + self._kept_ns if taken_ns else None

    def leave(self) -> None:
        """Leave to the next run what was taken and is not safe yet."""
        self._outbox.leave([row_id for row_id, sent in self._sent.items() if sent.taken_ns is not None])

    def idle(self) -> bool:
        """Whether there is nothing to send and nothing to wait for."""
        waiting = any(sent.taken_ns is None for sent in self._sent.values())
        return not (waiting or self._read or self._more or self._unread or self._held_until_ns)

    def look_again(self) -> None:
        """Read again what could not be read. Call it about once a second."""
        if self._unread:
            self._unread = False
            self._rewind()  # what is sent is passed over
            self._wake()

    def undelivered(self) -> int:
        """Return how many rows the broker has not taken, or had not when they could last be counted."""
        waiting = self._outbox.undelivered()
        if waiting is not None:
            taken = sum(1 for sent in self._sent.values() if sent.taken_ns is not None)
            self._undelivered = max(0, waiting - taken)
        return self._undelivered

    def _fetch(self) -> bool:
        if not self._more:
            return False
        self._more = False  # before the look: a row stored meanwhile sets it again
        rows = self._outbox.pending(self._cursor, _FETCHED)
        self._unread = self._unread or self._outbox.unread
        if rows:
            self._more = True  # behind these
            self._cursor = rows[-1].id
            self._read.extend(rows)
        return bool(rows)

    def _rewind(self) -> None:
        self._read.clear()
        self._cursor = 0
        self._more = True

    def _first_open(self) -> _Sent | None:
        return next((sent for sent in self._sent.values() if sent.taken_ns is None), None)

    def _on_trial(self) -> bool:
        trial = self._trial
        return trial is not None and trial.taken_ns is None and self._sent.get(trial.row.id) is trial

    def _on_done(self, sent: _Sent) -> Callable[[str | None], None]:
        def on_done(refusal: str | None) -> None:
            self._answers.append((sent, refusal, self._clock.monotonic_ns()))
            self._wake()

        return on_done

    def _refuse(self, row: OutboxRow, reason: str) -> None:
        self.refused += 1
        del self._sent[row.id]
        if self._outbox.refuse(row.id, reason):
            self.parked += 1
            self._breaks.pop(row.id, None)
            return
        if row.topic not in self._held_until_ns:
            self._hold(row.topic)
            self._strikes[row.topic] += 1
        for row_id, sent in list(self._sent.items()):
            if row_id > row.id and sent.row.topic == row.topic and sent.taken_ns is not None:
                del self._sent[row_id]  # again behind this one

    def _hold(self, topic: str) -> None:
        hold_ns = min(_LONGEST_HOLD_NS, _FIRST_HOLD_NS << min(self._strikes[topic], 8))
        self._held_until_ns[topic] = self._clock.monotonic_ns() + hold_ns

    def _release_held(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due = [topic for topic, until_ns in self._held_until_ns.items() if now_ns >= until_ns]
        for topic in due:
            del self._held_until_ns[topic]
        if due:
            self._rewind()  # what is sent and not refused is passed over


class StateLane:
    """Retained states: the newest of each topic, and all of them on a new connection.

    A state at which connections break is sent ever later, and alone, so that the others and the rows go on.
    """

    def __init__(
        self, board: StateBoard, outbox: Outbox, sink: Sink, *, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._board = board
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._wake = wake
        self._answers: deque[tuple[int, str, str | None]] = deque()  # any thread appends
        self._shown = 0  # the version of the board that was sent
        self._open: dict[str, tuple[int, int]] = {}  # topic -> version and when it was sent, while not answered
        self._breaks: Counter[str] = Counter()  # topic -> connections that broke at it
        self._later_ns: dict[str, int] = {}  # topic -> when it is tried on this connection
        self._trial: str | None = None  # a topic that was held back, on its way
        self._refused: set[str] = set()
        self._retained: set[str] | None = None  # what the broker has of ours; None until it is read from the store
        self.sent = 0
        self.taken = 0

    def start_over(self) -> None:
        """Publish everything anew, and clear what earlier runs have left."""
        if self._retained is None:
            self._retained = self._outbox.retained()
        self._board.retire(self._retained)
        self._shown = 0
        self._open = {}
        self._refused = set()
        now_ns = self._clock.monotonic_ns()
        self._trial = None
        self._later_ns = {
            topic: now_ns + min(_LONGEST_STATE_HOLD_NS, _FIRST_HOLD_NS << min(breaks - _SUSPECT_AFTER, 9))
            for topic, breaks in self._breaks.items()
            if breaks >= _SUSPECT_AFTER
        }

    def oldest_ns(self) -> int | None:
        """Return when the first of the states without an answer was sent."""
        return min((sent_ns for _, sent_ns in self._open.values()), default=None)

    def blame(self) -> None:
        """Take the first state without an answer for the reason why the connection broke."""
        if not self._open:
            return
        topic = min(self._open, key=lambda topic: self._open[topic][1])
        self._breaks[topic] += 1
        if self._breaks[topic] == _SUSPECT_AFTER:
            log.warning("the connection broke %d times just after the state %s: held back", _SUSPECT_AFTER, topic)

    def forgive(self) -> None:
        """The connection broke by itself: no state is under suspicion."""
        self._breaks.clear()

    def trial_due(self) -> bool:
        """Whether a state that was held back is on its way, or its time has come."""
        if not self._later_ns and self._trial is None:
            return False
        now_ns = self._clock.monotonic_ns()
        return self._trial is not None or any(now_ns >= at_ns for at_ns in self._later_ns.values())

    def try_one(self) -> None:
        """Send a state whose time has come. Nothing else may be without an answer."""
        if self._trial is not None or self._open:
            return
        topic = min(self._later_ns, key=lambda topic: self._later_ns[topic])
        for state in self._board.since(0):
            if state.topic == topic and not self._hand_over(state.version, topic, state.payload):
                return  # no room: at the next answer
        self._trial = topic if topic in self._open else None
        del self._later_ns[topic]

    def send(self) -> None:
        """Hand over what has changed."""
        if self._board.version() == self._shown or self._retained is None:
            return
        states = self._board.since(self._shown)
        fresh = {state.topic for state in states} - self._retained
        if fresh:
            # Before they are at the broker: a crash in between must not leave one there that nobody knows.
            self._outbox.remember_retained(fresh)
            self._retained |= fresh
        for version, topic, payload in states:
            if topic not in self._later_ns and not self._hand_over(version, topic, payload):
                return
            self._shown = version

    def take_answers(self) -> None:
        """Deal with what the broker has said."""
        while self._answers:
            version, topic, refusal = self._answers.popleft()
            if topic in self._open and self._open[topic][0] == version:
                del self._open[topic]
                if self._trial == topic:
                    self._trial = None
            if refusal is None:
                self.taken += 1
                del self._breaks[topic]
            if refusal is not None and topic not in self._refused:
                self._refused.add(topic)
                log.warning("the broker refuses the state %s: %s", topic, refusal)
            elif refusal is None and self._board.cleared(topic):
                self._outbox.forget_retained([topic])
                if self._retained is not None:
                    self._retained.discard(topic)

    def idle(self) -> bool:
        """Whether there is nothing to send and nothing to wait for."""
        return not self._open and self._board.version() == self._shown

    def _hand_over(self, version: int, topic: str, payload: bytes) -> bool:
        message = Message(topic=topic, payload=payload, qos=1, retain=True)
        before = self._open.pop(topic, None)
        self._open[topic] = (version, self._clock.monotonic_ns())
        if not self._sink.send(message, self._on_done(version, topic)):
            del self._open[topic]
            if before is not None:
                self._open[topic] = before
            return False
        self.sent += 1
        return True

    def _on_done(self, version: int, topic: str) -> Callable[[str | None], None]:
        def on_done(refusal: str | None) -> None:
            self._answers.append((version, topic, refusal))
            self._wake()

        return on_done
