"""What a classifier is asked, and what it answered. Passive values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .frame import AnyPicture, FrameInfo
    from .results import Classification, ModelRef, Timing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class Look:
    """One picture for a classifier, and whose it is."""

    info: FrameInfo  # of the frame it was cut from
    name: str  # of the camera's classification
    picture: AnyPicture  # the whole frame, or a part of it
    track: int | None = None  # the object; None: the frame or a zone

    @property
    def lane(self) -> str:
        """Where it waits: each classification of a camera has a lane of its own."""
        return look_lane(self.info.camera, self.name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classified:
    """What a classifier said of a `Look`."""

    info: FrameInfo
    name: str
    track: int | None
    output: Classification  # every class, best first
    timing: Timing
    model: ModelRef


def look_lane(camera: str, name: str) -> str:
    """Return the lane of a camera's classification; neither name holds a slash."""
    return f"{camera}/{name}"


def camera_of(lane: str) -> str:
    """Return whose lane it is, of its frames or of a classification."""
    return lane.partition("/")[0]
