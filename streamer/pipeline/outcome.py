"""What a step of a camera's desk has to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.core.event import Event
    from streamer.publish.base import Message

NULL = b"null"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a step of a desk has to say. Topics are relative to the prefix."""

    events: list[Event] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)  # retained topic -> payload
    feed: list[Message] = field(default_factory=list)  # QoS 0
    feed_deadline_ns: int | None = None  # from when on (monotonic) the feed is older than `max_age`
    age_ns: int | None = None  # from capture to now, of a live camera's result
    dropped: str | None = None  # the cause, if the result was not used
    over: bool = False  # the source has ended, and all that it gave has been dealt with
