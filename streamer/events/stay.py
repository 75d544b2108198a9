"""One thing that a rule watches, and the messages that tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streamer.core.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box

    from .rules import RuleSpec
    from .sighting import Labels, Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What one rule watches: an object, a crossing, a crowd. It is an event once it has been for long enough."""

    rule: RuleSpec
    first: FrameInfo
    first_frame: int  # its number among the camera's frames
    there_ns: int  # capture time from which `after` counts
    last: Sighting
    last_frame: int  # the number of the last sighting's frame
    top_score: float
    hits: int = 1  # sightings
    labels: Labels = field(default_factory=dict)  # of the object; under a new id its old ones, until that has its own
    outside: bool = False  # seen since, and not as the rule asks for
    hidden_ns: int = 0  # for how long since the last sighting something else has been in front of its place
    better: bool = False  # a better picture of it was taken than the last message speaks of
    sent: Event | None = None  # the event's last message
    sent_ns: int = 0  # capture time of that message

    def seen(self, sighting: Sighting, frame: int) -> Stay:
        """Return it with the next sighting, in a frame of this number."""
        return replace(
            self,
            last=sighting,
            last_frame=frame,
            hits=self.hits + 1,
            top_score=max(self.top_score, sighting.score),
            outside=False,
            hidden_ns=0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Says what a camera's events show."""

    camera: str
    labels: Sequence[str]  # the model's class names
    pictures: bool = False  # each event has a picture, whose path it tells
    clips: bool = False  # each event has a clip, whose path its end tells

    def message(self, stay: Stay, kind: EventType, event_id: str, *, seq: int) -> Event:
        """Return a message that says what a stay's last sighting shows."""
        seen, info, box = stay.last, stay.last.info, stay.last.box
        return Event(
            id=event_id,
            seq=seq,
            type=kind,
            camera=self.camera,
            rule=stay.rule.name,
            class_name=self.labels[seen.class_id],
            class_id=seen.class_id,
            score=seen.score,
            top_score=stay.top_score,
            box=None if box is None else (round(box[0]), round(box[1]), round(box[2]), round(box[3])),
            box_norm=None if box is None else _norm(box, info),
            frame_width=info.width,
            frame_height=info.height,
            track=seen.track,
            zones=seen.zones,
            line=seen.line,
            direction=seen.direction,
            count=seen.count,
            labels=stay.labels,
            stationary=seen.stationary,
            captured_utc_ns=info.utc_ns,
            captured_ns=info.captured_ns if info.live else None,
            started_utc_ns=stay.first.utc_ns,
            ended_utc_ns=None,
            end_reason=None,
            model=seen.model,
            snapshot=f"{self.camera}/{event_id}.jpg" if self.pictures else None,
            clip=f"{self.camera}/{event_id}.mp4" if self.clips and kind is EventType.END else None,
        )


def _norm(box: Box, info: FrameInfo) -> tuple[float, float, float, float]:
    return box[0] / info.width, box[1] / info.height, box[2] / info.width, box[3] / info.height
