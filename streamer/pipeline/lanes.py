"""The three kinds of message that the publish thread sends: stored rows, states, and the per-frame feed.

All but what is said otherwise belongs to the publish thread. An answer of the sink comes in any thread; it is kept and
taken by the publish thread, which `wake` wakes.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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


@dataclass(slots=True, eq=False)
class _Sent:
    """A row on its way: its identity tells a late answer of an earlier attempt from one to this."""

    row: OutboxRow
    taken_ns: int | None = None  # when the broker took it


class RowLane:
    """Rows of the outbox: in order, again after a broken connection, kept until they are safe."""

    def __init__(self, outbox: Outbox, sink: Sink, *, clock: Clock, wake: Callable[[], None]) -> None:
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._wake = wake
        self._answers: deque[tuple[_Sent, str | None, int]] = deque()  # any thread appends
        self._sent: dict[int, _Sent] = {}  # row id -> sent on this connection and still in the outbox
        self._read: deque[OutboxRow] = deque()  # read, not sent
        self._cursor = 0  # id of the last row read
        self._more = True  # whether rows may wait behind the cursor; any thread sets
        self._held_until_ns: dict[str, int] = {}  # topic -> when its refused row is tried again
        self._strikes: Counter[str] = Counter()  # topic -> refusals in turn
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
        self._rewind()

    def send(self) -> None:
        """Hand over as many rows as the sink takes."""
        self._release_held()
        while self._read or self._fetch():
            row = self._read[0]
            if row.id not in self._sent and row.topic not in self._held_until_ns:
                sent = _Sent(row)
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

    def confirm(self) -> None:
        """Take out of the outbox what the broker took long enough ago."""
        until_ns = self._clock.monotonic_ns() - KEPT_NS
        safe = [i for i, sent in self._sent.items() if sent.taken_ns is not None and sent.taken_ns <= until_ns]
        self._outbox.confirm(safe)
        for row_id in safe:
            del self._sent[row_id]

    def all_safe_ns(self) -> int | None:
        """Return when the last of what the broker has taken may leave the outbox; None if nothing is left there."""
        taken_ns = [sent.taken_ns for sent in self._sent.values() if sent.taken_ns is not None]
        return max(taken_ns) + KEPT_NS if taken_ns else None

    def leave(self) -> None:
        """Leave to the next run what was taken and is not safe yet."""
        self._outbox.leave([row_id for row_id, sent in self._sent.items() if sent.taken_ns is not None])

    def idle(self) -> bool:
        """Whether there is nothing to send and nothing to wait for."""
        waiting = any(sent.taken_ns is None for sent in self._sent.values())
        return not (waiting or self._read or self._more or self._held_until_ns)

    def undelivered(self) -> int:
        """Return how many rows the broker has not taken."""
        taken = sum(1 for sent in self._sent.values() if sent.taken_ns is not None)
        return max(0, self._outbox.undelivered() - taken)

    def _fetch(self) -> bool:
        if not self._more:
            return False
        self._more = False  # before the look: a row stored meanwhile sets it again
        rows = self._outbox.pending(self._cursor, _FETCHED)
        if rows:
            self._more = True  # behind these
            self._cursor = rows[-1].id
            self._read.extend(rows)
        return bool(rows)

    def _rewind(self) -> None:
        self._read.clear()
        self._cursor = 0
        self._more = True

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
            return
        if row.topic not in self._held_until_ns:
            hold_ns = min(_LONGEST_HOLD_NS, _FIRST_HOLD_NS << min(self._strikes[row.topic], 8))
            self._strikes[row.topic] += 1
            self._held_until_ns[row.topic] = self._clock.monotonic_ns() + hold_ns
        for row_id, sent in list(self._sent.items()):
            if row_id > row.id and sent.row.topic == row.topic and sent.taken_ns is not None:
                del self._sent[row_id]  # again behind this one

    def _release_held(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due = [topic for topic, until_ns in self._held_until_ns.items() if now_ns >= until_ns]
        for topic in due:
            del self._held_until_ns[topic]
        if due:
            self._rewind()  # what is sent and not refused is passed over


class StateLane:
    """Retained states: the newest of each topic, and all of them on a new connection."""

    def __init__(self, board: StateBoard, outbox: Outbox, sink: Sink, *, wake: Callable[[], None]) -> None:
        self._board = board
        self._outbox = outbox
        self._sink = sink
        self._wake = wake
        self._answers: deque[tuple[int, str, str | None]] = deque()  # any thread appends
        self._shown = 0  # the version of the board that was sent
        self._open: dict[str, int] = {}  # topic -> version, sent and not answered
        self._refused: set[str] = set()
        self._retained: set[str] | None = None  # what the broker has of ours; None until it is read from the store
        self.sent = 0

    def start_over(self) -> None:
        """Publish everything anew, and clear what earlier runs have left."""
        if self._retained is None:
            self._retained = self._outbox.retained()
        self._board.retire(self._retained)
        self._shown = 0
        self._open = {}
        self._refused = set()

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
            message = Message(topic=topic, payload=payload, qos=1, retain=True)
            before = self._open.get(topic)
            self._open[topic] = version
            if not self._sink.send(message, self._on_done(version, topic)):
                del self._open[topic]
                if before is not None:
                    self._open[topic] = before
                return
            self._shown = version
            self.sent += 1

    def take_answers(self) -> None:
        """Deal with what the broker has said."""
        while self._answers:
            version, topic, refusal = self._answers.popleft()
            if self._open.get(topic) == version:
                del self._open[topic]
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

    def _on_done(self, version: int, topic: str) -> Callable[[str | None], None]:
        def on_done(refusal: str | None) -> None:
            self._answers.append((version, topic, refusal))
            self._wake()

        return on_done


class _Fed(NamedTuple):
    message: Message
    deadline_ns: int | None


class FeedLane:
    """Messages of the moment: sent now or dropped and counted."""

    def __init__(self, sink: Sink, *, clock: Clock, capacity: int, wake: Callable[[], None]) -> None:
        self._sink = sink
        self._clock = clock
        self._capacity = capacity
        self._wake = wake
        self._lock = threading.Lock()  # guards the next three
        self._waiting: deque[_Fed] = deque()  # any thread puts, the publish thread takes
        self.open = False  # whether there is a connection
        self.dropped = {"disconnected": 0, "full": 0, "connection_lost": 0, "too_old": 0}
        self._next: _Fed | None = None  # taken, and the sink had no room
        self.sent = 0

    def put(self, message: Message, deadline_ns: int | None = None) -> bool:
        """Offer a message. The oldest makes room: an old answer is worse than none. Any thread.

        Args:
            message: what to send.
            deadline_ns: the moment (monotonic) from which on it is too old to be sent.
        """
        with self._lock:
            if not self.open:
                self.dropped["disconnected"] += 1
                return False
            self._waiting.append(_Fed(message, deadline_ns))
            if len(self._waiting) > self._capacity:
                self._waiting.popleft()
                self.dropped["full"] += 1
        self._wake()
        return True

    def start_over(self, *, connected: bool) -> None:
        """Drop what waited for a connection that is gone."""
        with self._lock:
            self.dropped["connection_lost"] += len(self._waiting) + (self._next is not None)
            self._waiting.clear()
            self._next = None
            self.open = connected

    def send(self) -> None:
        """Hand over as many messages as the sink takes."""
        while True:
            if self._next is None:
                with self._lock:
                    self._next = self._waiting.popleft() if self._waiting else None
            if self._next is None:
                return
            if self._late(self._next):
                with self._lock:
                    self.dropped["too_old"] += 1
            elif self._sink.send(self._next.message, self._on_done):
                self.sent += 1
            else:
                return
            self._next = None

    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._next is None and not self._waiting

    def _late(self, fed: _Fed) -> bool:
        return fed.deadline_ns is not None and self._clock.monotonic_ns() >= fed.deadline_ns

    def _on_done(self, _refusal: str | None) -> None:
        if self._next is not None:  # there was no room; now there is
            self._wake()
