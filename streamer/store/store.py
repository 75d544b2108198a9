"""The event store: every event that happened is on the disk before anyone is told."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.errors import StoreError

from .ballast import Ballast
from .database import FILE_NAME, INSERT_ROW, UPSERT_EVENT, is_full, mark_clean, open_database
from .decisions import NotedDecisions
from .held import HeldRecords
from .interrupted import end_open
from .lock import lock_data_dir
from .outbox import Outbox
from .rows import BROKER, Drop
from .trim import HISTORY_CAUSES, Bounds, trim_age, trim_size, used_bytes
from .wanted import Receivers, tell_of_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.core.event import Event

    from .lock import DataDirLock
    from .rows import Record
    from .wanted import SinkFilter

log = logging.getLogger(__name__)

_BALLAST_BYTES = 8 << 20
_HELD_BYTES = 16 << 20
_RETRY_NS = 1 * NS_PER_S  # how often a disk that refused is asked again
_BALLAST_NS = 10 * NS_PER_S  # how often given-up ballast is made anew
_AGE_NS = 60 * NS_PER_S  # how often the whole history is looked through for what is too old
_FIRST_COMMIT_MS = 5.0  # of an SSD; measured from the first commit on
_LAST_ID = """
SELECT max(coalesce((SELECT max(seq) FROM sqlite_sequence), 0),
           coalesce((SELECT max(changed) FROM events), 0))
"""
MAX_BYTES = 512 << 20
MAX_AGE_S = 30 * 86_400.0


class EventStore:
    """The writing side, for the events thread alone. `outbox` gives the side of a thread that sends."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        lock: DataDirLock,
        data_dir: Path,
        encode: Callable[[Event, float | None], bytes],
        clock: Clock,
        bounds: Bounds,
        receivers: Receivers,
        ballast: Ballast,
    ) -> None:
        self._db = db
        self._lock = lock
        self._path = data_dir / FILE_NAME
        self._encode = encode
        self._clock = clock
        self._bounds = bounds
        self._receivers = receivers
        self._held = HeldRecords(_HELD_BYTES)
        self._decisions = NotedDecisions()
        self._ballast = ballast
        self._next_id = _last_id(db) + 1
        self._commit_ms = _FIRST_COMMIT_MS
        self._seen: dict[str, int] = {}
        self._refusal: str | None = None  # why the disk does not take events now
        self._next_try_ns = self._next_ballast_ns = self._next_age_ns = 0
        self.not_durable = 0  # messages that were not on the disk when they were sent
        # Undelivered messages and old history, by cause: see trim.py; and what was too much for the memory.
        self.dropped: Counter[str] = Counter()
        self.sink_dropped = {sink.name: Counter[str]() for sink in receivers.sinks}  # likewise, of each one's messages

    @property
    def refusal(self) -> str | None:
        """Why events are kept in memory now, not on the disk; None while all is well."""
        return self._refusal

    def outbox(self, sink: str = BROKER) -> Outbox:
        """Return a sink's sending side, with a connection of its own."""
        return Outbox(self._path, self._held, sink=sink)

    def begin(self) -> None:
        """Note that a run is on, and put ballast by. A disk that is full already is no reason not to start."""
        try:
            mark_clean(self._db, clean=False)
        except sqlite3.Error as exc:
            log.warning("the event store takes nothing yet: %s", exc)
        tell_of_others(self._db, self._receivers)
        self._ballast.make()

    def append(self, events: Sequence[Event]) -> None:
        """Store messages in one transaction; when it returns they outlast a power cut.

        A disk that refuses raises nothing: the messages are kept in bounded memory, sent from there, counted in
        `not_durable`, and stored as soon as the disk takes them.
        """
        if not events:
            return
        if self._refusal is not None and not self._heal():
            self._hold(events)
            return
        try:
            self._store(events)
        except sqlite3.Error as exc:
            if is_full(exc) and self._ballast.give_up() and self._try_again(events):
                return
            self._refuse(exc)
            self._hold(events)

    def decided(self, decisions: Sequence[tuple[Decision, bytes]]) -> None:
        """Note decisions with their payloads. They are on the disk with the next commit, of events or of `touch`.

        So a line with twenty items a second costs no commit for each. They have been sent already: what a power cut
        takes is a second of the history. A disk that refuses leaves them in bounded memory.
        """
        now_ns, utc_ns = self._clock.monotonic_ns(), self._clock.utc_ns()
        for decision, payload in decisions:
            decided_utc_ns = utc_ns - max(0, now_ns - decision.decided_ns)
            if lost := self._decisions.add(self._take_id(), decision, payload, decided_utc_ns=decided_utc_ns):
                self.dropped["decision_memory"] += lost

    def touch(self, seen: Mapping[str, int]) -> None:
        """Note when open events were last seen, and keep house. Call it about once a second, also with nothing.

        Args:
            seen: event id -> time of the last sighting, ns since 1970.
        """
        self._seen.update(seen)
        if self._refusal is not None and not self._heal():
            return
        try:
            self._store_noted()
            self._trim()
        except sqlite3.Error as exc:
            if not is_full(exc) or not self._ballast.give_up():
                self._refuse(exc)
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_ballast_ns:
            self._next_ballast_ns = now_ns + _BALLAST_NS
            self._ballast.make()

    def interrupted(self, end: Callable[[bytes, int], bytes]) -> int:
        """End what a crash left open, at its last sighting. Call it before anything is appended.

        A disk that is full even without the ballast leaves them open: a later start ends them.

        Args:
            end: from the last payload and the time of the last sighting (ns since 1970) to the payload of the end.

        Returns:
            How many events were ended.

        Raises:
            StoreError: it can't be written, for another reason than a full disk.
        """
        try:
            count = self._end_open(end)
        except sqlite3.Error as exc:
            if not is_full(exc):
                raise StoreError(f"the event store {self._path} can't be written: {exc}") from exc
            count = self._end_open_without_ballast(end, exc)
        if count:
            log.warning("%d events that the last run left open were ended as interrupted", count)
        return count

    def close(self) -> None:
        """Store what is still in memory if the disk takes it, and give the directory back. Idempotent."""
        try:
            if self._refusal is not None:
                self._next_try_ns = 0
                self._heal()
            self._store_noted()
            mark_clean(self._db, clean=True)
        except sqlite3.ProgrammingError:  # closed before
            return
        except sqlite3.Error as exc:
            log.error("the event store could not be ended cleanly: %s", exc)  # noqa: TRY400  one sentence
        if lost := self._held.lost():
            log.error("%d messages were neither stored nor delivered: %s", lost, self._refusal)
        if self._decisions:
            log.error("%d decisions could not be stored", len(self._decisions))
        self._db.close()
        self._lock.close()

    def _end_open_without_ballast(self, end: Callable[[bytes, int], bytes], error: sqlite3.Error) -> int:
        if self._ballast.give_up():
            try:
                return self._end_open(end)
            except sqlite3.Error as exc:
                error = exc
        log.error("events that the last run left open can't be ended now (%s): a later start ends them", error)
        return 0

    def _end_open(self, end: Callable[[bytes, int], bytes]) -> int:
        with self._transaction():
            return end_open(self._db, end, take_id=self._take_id, receivers=self._receivers)

    def _store(self, events: Sequence[Event]) -> None:
        with self._transaction():
            measured_ns = self._clock.monotonic_ns()
            records = [record for event in events for record in self._records(event, commit_ms=self._commit_ms)]
            self._insert(records, delivered=set())
            self._store_noted_in_transaction()
        self._forget_noted()
        took_ms = (self._clock.monotonic_ns() - measured_ns) / NS_PER_MS
        self._commit_ms += 0.2 * (took_ms - self._commit_ms)

    def _records(self, event: Event, *, commit_ms: float) -> list[Record]:
        age_ms = None
        if event.captured_ns is not None:
            age_ms = (self._clock.monotonic_ns() - event.captured_ns) / NS_PER_MS + commit_ms
        payload = self._encode(event, age_ms)
        return self._receivers.records(event, payload, self._take_id)

    def _take_id(self) -> int:
        # Never given twice, not even after a failed commit: the disk may have kept what it reported as failed.
        row_id = self._next_id
        self._next_id += 1
        return row_id

    def _insert(self, records: Sequence[Record], *, delivered: set[int]) -> None:
        waiting = [r for r in records if r.row_id not in delivered]
        for table, updates in (("outbox", False), ("updates", True)):
            values = [r.row_values() for r in waiting if r.is_update is updates]
            self._db.executemany(INSERT_ROW.format(table=table), values)
        # Once for each message, whoever gets it: memory may have let go of some of its records.
        messages = {(r.event.id, r.event.seq): r for r in records}
        self._db.executemany(UPSERT_EVENT, [r.event_values() for r in messages.values()])

    def _try_again(self, events: Sequence[Event]) -> bool:
        try:
            self._store(events)
        except sqlite3.Error:
            return False
        return True

    def _hold(self, events: Sequence[Event]) -> None:
        self.not_durable += len(events)
        self._drop(self._held.add(record for event in events for record in self._records(event, commit_ms=0.0)))

    def _refuse(self, error: sqlite3.Error) -> None:
        self._next_try_ns = self._clock.monotonic_ns() + _RETRY_NS
        if self._refusal is None:
            log.error("the event store takes nothing (%s): events are kept in memory, not durable", error)
        self._refusal = str(error)

    def _heal(self) -> bool:
        """Move what is in memory to the disk, if it is time to ask and the disk takes it."""
        if self._clock.monotonic_ns() < self._next_try_ns:
            return False
        try:
            with self._transaction():
                records, delivered = self._held.all()
                self._insert(records, delivered=delivered)
                self._store_noted_in_transaction()
        except sqlite3.Error as exc:
            self._refuse(exc)
            return False
        self._forget_noted()
        self._held.remove([r.row_id for r in records])
        self._refusal = None
        log.warning("the event store works again: %d messages moved from memory to the disk", len(records))
        return True

    def _store_noted(self) -> None:
        if self._seen or self._decisions:
            with self._transaction():
                self._store_noted_in_transaction()
            self._forget_noted()

    def _forget_noted(self) -> None:
        self._seen.clear()
        self._decisions.forget()

    def _store_noted_in_transaction(self) -> None:
        self._decisions.insert(self._db)
        self._db.executemany(
            "UPDATE events SET last_seen = max(last_seen, ?) WHERE id = ? AND ended IS NULL",
            [(seen_ns, event_id) for event_id, seen_ns in self._seen.items()],
        )

    def _trim(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_age_ns:
            self._next_age_ns = now_ns + _AGE_NS
            with self._transaction():
                dropped = trim_age(self._db, self._bounds, utc_ns=self._clock.utc_ns())
            self._drop(dropped)
        if used_bytes(self._db) > self._bounds.max_bytes:
            with self._transaction():
                dropped = trim_size(self._db, self._bounds)
            self._drop(dropped)

    def _drop(self, dropped: Counter[Drop]) -> None:
        if not dropped:
            return
        for (cause, sink), count in dropped.items():
            by_cause = self.dropped if sink == BROKER else self.sink_dropped.setdefault(sink, Counter())
            by_cause[cause] += count
        text = ", ".join(f"{n} {cause}{sink and f' of sink {sink}'}" for (cause, sink), n in dropped.items())
        level = logging.INFO if {drop.cause for drop in dropped} <= HISTORY_CAUSES else logging.WARNING
        log.log(level, "the event store is at its bound, dropped: %s", text)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def open_store(
    data_dir: Path,
    *,
    encode: Callable[[Event, float | None], bytes],
    clock: Clock,
    max_bytes: int = MAX_BYTES,
    max_age_s: float = MAX_AGE_S,
    qos: int = 1,
    sinks: Sequence[SinkFilter] = (),
) -> EventStore:
    """Take a data directory and open its store.

    Args:
        data_dir: made if it is not there.
        encode: from an event and its age (ms, None for a file) to the payload.
        clock: for ages and bounds.
        max_bytes: what the store may grow to.
        max_age_s: how long events are kept, also undelivered ones.
        qos: of the messages.
        sinks: who wants events beside the broker.

    Raises:
        StoreError: another run has the directory, or the store can't be opened.
    """
    lock = lock_data_dir(data_dir)
    ballast = Ballast(data_dir / "ballast", _BALLAST_BYTES)  # of an earlier run, perhaps
    try:
        seconds = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.utc_ns() / NS_PER_S))
        db = open_database(data_dir / FILE_NAME, stamp=seconds, make_room=ballast.give_up)
    except BaseException:
        lock.close()
        raise
    bounds = Bounds(max_bytes=max_bytes, max_age_s=max_age_s)
    store = EventStore(
        db,
        lock=lock,
        data_dir=data_dir,
        encode=encode,
        clock=clock,
        bounds=bounds,
        receivers=Receivers(qos=qos, sinks=tuple(sinks)),
        ballast=ballast,
    )
    store.begin()
    return store


def _last_id(db: sqlite3.Connection) -> int:
    (last,) = db.execute(_LAST_ID).fetchone()
    return int(last)
