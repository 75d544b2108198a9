"""The event of the contract, as a value. `events/payload.py` turns it into bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .results import ModelRef


class EventType(str, Enum):
    """Which of an event's three kinds of message this is."""

    START = "start"
    UPDATE = "update"
    END = "end"


class EndReason(str, Enum):
    """Why an event ended."""

    GONE = "gone"
    CAMERA_LOST = "camera_lost"
    SOURCE_ENDED = "source_ended"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One message about one event. Python scalars only; times are ns since 1970 (UTC)."""

    id: str  # UUIDv7
    seq: int  # from 0 within the id
    type: EventType
    camera: str
    rule: str  # `event` in the payload
    class_name: str  # the model's own spelling
    class_id: int
    score: float
    top_score: float
    box: tuple[int, int, int, int] | None  # x1 y1 x2 y2, px
    box_norm: tuple[float, float, float, float] | None  # fractions of width and height
    frame_width: int  # px
    frame_height: int  # px
    track: int | None
    captured_utc_ns: int  # this message's frame
    captured_ns: int | None  # the same moment on the monotonic clock, for the age; None for a file
    started_utc_ns: int  # the first sighting
    ended_utc_ns: int | None
    end_reason: EndReason | None
    model: ModelRef
    zones: tuple[str, ...] = ()
    line: str | None = None
    direction: str | None = None
    count: int | None = None
    labels: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # name -> (class, score)
    stationary: bool = False  # the object has come to rest
    snapshot: str | None = None  # below data_dir/snapshots
    clip: str | None = None  # below data_dir/clips
