"""Which pictures of a camera's events are to be made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from streamer.evidence.stills import Marked, Shot
from streamer.pixels.crop import box_part
from streamer.pixels.sharpness import sharpness

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.core.results import Box
    from streamer.events.sighting import Sighting
    from streamer.evidence.views import BestViews


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsPlan:
    """What a camera's views need."""

    camera: str
    labels: Sequence[str]  # class names by class id
    picture_of: Callable[[FrameInfo], AnyPicture | None]  # of a frame that was just looked at, if it is still there
    best: BestViews
    offer: Callable[[Shot], None]  # to the evidence thread; never waits


class Views:
    """Picks the best view of each open event of one camera. Events thread."""

    def __init__(self, plan: ViewsPlan) -> None:
        self._plan = plan

    def look(self, info: FrameInfo, in_view: Sequence[tuple[str, Sighting]], began: Collection[str] = ()) -> list[str]:
        """Have pictures made of the events that the frame shows better than any before.

        Args:
            info: of the frame.
            in_view: open events that it shows: their ids, and what was seen.
            began: events that began with it, also those whose object is out of sight: they get the whole picture.

        Returns:
            The events that have a better view now than the one they had; a first one is none.
        """
        picture = self._plan.picture_of(info)  # also if there is nothing to see: so the older ones are let go of
        if picture is None:
            return []
        for event_id in sorted(set(began) - {event_id for event_id, _ in in_view}):
            camera = self._plan.camera
            self._plan.offer(Shot(camera=camera, event_id=event_id, picture=picture, boxes=(), info=info))
        better: list[str] = []
        for event_id, sighting in in_view:
            improves = self._plan.best.has(event_id)
            if self._is_best(event_id, sighting, picture, info):
                shot = self._shot(event_id, sighting, picture, [seen for _, seen in in_view])
                self._plan.offer(replace(shot, first=not improves))
                if improves:
                    better.append(event_id)
        return better

    def ended(self, event_id: str) -> None:
        """Take in that an event is over."""
        self._plan.best.forget(event_id)

    def _is_best(self, event_id: str, sighting: Sighting, picture: AnyPicture, info: FrameInfo) -> bool:
        return self._plan.best.consider(
            event_id,
            score=sighting.score * (sighting.count or 1),
            box=_object_of(sighting),
            frame_hw=(info.height, info.width),
            sharpness=partial(_sharpness, picture, _object_of(sighting)),
            now_ns=info.captured_ns,
        )

    def _shot(self, event_id: str, sighting: Sighting, picture: AnyPicture, in_view: Sequence[Sighting]) -> Shot:
        """Return what is to be drawn: the event's object, or where it is about several, whatever is known of them."""
        alone = _object_of(sighting) is not None
        boxes = {seen.box: seen for seen in ([sighting] if alone else in_view) if _object_of(seen) is not None}
        marked = tuple(
            Marked(box=box, name=self._plan.labels[seen.class_id], class_id=seen.class_id, score=seen.score)
            for box, seen in boxes.items()
            if box is not None
        )
        return Shot(camera=self._plan.camera, event_id=event_id, picture=picture, boxes=marked, info=sighting.info)


def _object_of(sighting: Sighting) -> Box | None:
    """Return the box of an event's object; None where it is about how many there are."""
    return None if sighting.count is not None else sighting.box


def _sharpness(picture: AnyPicture, box: Box | None) -> float:
    """Measure a part of a picture, or all of it."""
    hw = (picture.height, picture.width)
    whole = (0.0, 0.0, float(picture.width), float(picture.height))
    return sharpness(picture, box_part(whole if box is None else box, hw, margin=0.0, square=False))
