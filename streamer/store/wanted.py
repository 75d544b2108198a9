"""Who else wants an event than the broker, and the rows that one message becomes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .rows import BROKER, Record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from streamer.core.event import Event, EventType

log = logging.getLogger(__name__)

_WAITING = """
SELECT sink, count(*) FROM (SELECT sink FROM outbox UNION ALL SELECT sink FROM updates) GROUP BY sink ORDER BY sink
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkFilter:
    """A sink beside the broker, and which events it wants. None: all of them."""

    name: str
    cameras: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    types: frozenset[EventType] | None = None

    def __post_init__(self) -> None:
        """Refuse the broker's own mark as a name."""
        if self.name == BROKER:
            raise ValueError("a sink needs a name of its own")

    def wants(self, camera: str, rule: str, kind: EventType) -> bool:
        """Whether a message of this camera, rule and type is for it."""
        return (
            (self.cameras is None or camera in self.cameras)
            and (self.rules is None or rule in self.rules)
            and (self.types is None or kind in self.types)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """Everyone who may get a row of a message."""

    qos: int  # at the broker
    sinks: tuple[SinkFilter, ...] = ()  # beside it

    def of(self, camera: str, rule: str, kind: EventType) -> Iterator[str]:
        """Give the name of each who gets such a message: the broker first, which wants all."""
        yield BROKER
        yield from (sink.name for sink in self.sinks if sink.wants(camera, rule, kind))

    def records(self, event: Event, payload: bytes, take_id: Callable[[], int]) -> list[Record]:
        """Return the records of one message, the broker's first; `take_id` gives ids for rows of the outbox."""
        topic = f"{event.camera}/event"
        return [
            Record(row_id=take_id(), sink=sink, topic=topic, qos=self.qos, payload=payload, event=event)
            for sink in self.of(event.camera, event.rule, event.type)
        ]


def tell_of_others(db: sqlite3.Connection, receivers: Receivers) -> None:
    """Log what waits for sinks that are not configured: it is kept until they are again, or until it is too old."""
    known = {BROKER, *(sink.name for sink in receivers.sinks)}
    for sink, count in db.execute(_WAITING).fetchall():
        if sink not in known:
            log.warning("%d messages wait for the sink %s, which is not configured any more", count, sink)
