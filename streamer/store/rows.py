"""What the store's tables hold, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from streamer.core.event import EventType

if TYPE_CHECKING:
    from streamer.core.event import Event

BROKER = ""  # the sink of the rows that go to the broker; others have a name


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message that must still be sent. Ids rise in the order of storing and are never given twice."""

    id: int
    topic: str  # relative to the prefix
    payload: bytes
    qos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRow:
    """A message that its receiver has refused too often."""

    id: int
    event: str
    topic: str
    refusals: int
    reason: str


class Drop(NamedTuple):
    """What undelivered messages, or old history, are counted under when they go."""

    cause: str  # see trim.py and held.py
    sink: str = BROKER  # whose messages


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event as the history shows it. Times are ns since 1970."""

    id: str
    camera: str
    rule: str
    class_name: str
    started_utc_ns: int
    ended_utc_ns: int | None
    end_reason: str | None
    seq: int  # of the last message
    top_score: float
    last_seen_utc_ns: int
    payload: bytes  # of the last message: one JSON object
    changed: int  # rises with every message of any event: where `after` goes on from


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision as the history shows it."""

    camera: str
    item: str
    verdict: str
    reason: str | None
    late: bool
    decided_utc_ns: int  # ns since 1970
    payload: bytes  # one JSON object
    changed: int  # rises with every decision, which never changes: where `after` goes on from, as for events


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A message on its way into the store: its outbox row for one receiver, and what it says of its event."""

    row_id: int
    sink: str  # who it is for: BROKER, or a sink's name
    topic: str
    qos: int
    payload: bytes
    event: Event

    @property
    def is_update(self) -> bool:
        """Whether it goes into the table of the updates."""
        return self.event.type is EventType.UPDATE

    def row_values(self) -> tuple[object, ...]:
        """Return the values of `INSERT_ROW`."""
        return (self.row_id, self.event.id, self.topic, self.payload, self.qos, self.sink)

    def event_values(self) -> tuple[object, ...]:
        """Return the values of `UPSERT_EVENT`."""
        event = self.event
        return (
            event.id,
            event.camera,
            event.rule,
            event.class_name,
            event.started_utc_ns,
            event.ended_utc_ns,
            None if event.end_reason is None else event.end_reason.value,
            event.seq,
            event.top_score,
            event.captured_utc_ns if event.ended_utc_ns is None else event.ended_utc_ns,
            self.payload,
            self.row_id,
        )
