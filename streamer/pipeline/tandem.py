"""The second stage: which tracked objects a classifier looks at, and what it says of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.errors import ChannelClosed
from streamer.core.look import Look
from streamer.pixels.crop import box_part, cropped, detached
from streamer.pixels.sharpness import sharpness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Box, Track
    from streamer.events.labels import LabelVotes, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """How a classification's objects are cut out."""

    margin: float  # share of the box's size that is added on each side
    square: bool
    offer: Callable[[Look], bool]  # to the classifier; False: it has no room now


class Tandem:
    """The second stage of one camera. Events thread."""

    def __init__(
        self,
        votes: LabelVotes,
        crops: Mapping[str, Crop],
        *,
        picture_of: Callable[[FrameInfo], AnyPicture | None],
        refused: Callable[[], None],
    ) -> None:
        """Store the parts.

        Args:
            votes: what is known of each track, and who is to be looked at.
            crops: by the classification's name.
            picture_of: gives the picture of a frame that the detector has just seen, if it is still there.
            refused: told of each look that had no room.
        """
        self._votes = votes
        self._crops = crops
        self._picture_of = picture_of
        self._refused = refused

    def look(self, info: FrameInfo, tracks: Sequence[Track]) -> None:
        """Have those of a frame's objects looked at whose turn it is."""
        picture = self._picture_of(info)
        if picture is None:
            return
        for wanted in self._votes.wanted(info, tracks, partial(_sharpness, picture)):
            if not self._ask(wanted, info, picture):
                self._votes.refused(wanted)
                self._refused()

    def classified(self, classified: Classified) -> None:
        """Take in what the classifier said of an object."""
        self._votes.observe(classified)

    def labels_of(self, track: int) -> Mapping[str, tuple[str, float]]:
        """Return what is decided of a track: name of the classification -> (class, score)."""
        return self._votes.labels_of(track)

    def decided_of(self, track: int) -> Mapping[str, tuple[str, float]]:
        """Return the same, with ("", 1.0) where it is decided that the object is of no class."""
        return self._votes.decided_of(track)

    def waiting(self) -> bool:
        """Whether an answer is on its way."""
        return self._votes.waiting()

    def reset(self) -> None:
        """Forget the objects: the camera is away."""
        self._votes.reset()

    def _ask(self, wanted: Wanted, info: FrameInfo, picture: AnyPicture) -> bool:
        crop = self._crops[wanted.name]
        part = box_part(wanted.box, (info.height, info.width), margin=crop.margin, square=crop.square)
        # A copy of the part, so that the whole frame is let go of.
        look = Look(info=info, name=wanted.name, track=wanted.track, picture=detached(cropped(picture, part)))
        try:
            return crop.offer(look)
        except ChannelClosed:  # the run is ending
            return False


def _sharpness(picture: AnyPicture, box: Box) -> float:
    return sharpness(picture, box_part(box, (picture.height, picture.width), margin=0.0, square=False))
