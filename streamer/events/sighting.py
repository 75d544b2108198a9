"""What a rule has found in a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, ModelRef, Track

Labels = Mapping[str, tuple[str, float]]  # of an object: name of the classification -> class, score


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A frame in which a rule found what it looks for, with all that a message says of it."""

    info: FrameInfo
    model: ModelRef
    class_id: int
    score: float
    box: Box | None = None  # px
    track: int | None = None
    zones: tuple[str, ...] = ()
    line: str | None = None
    direction: str | None = None
    count: int | None = None
    labels: Labels = field(default_factory=dict)  # those that are decided
    stationary: bool = False  # it has rested in one place for 10 s
    shown: bool = True  # by this very frame: a picture may be taken of it


def of_track(info: FrameInfo, track: Track, model: ModelRef, *, zones: tuple[str, ...], labels: Labels) -> Sighting:
    """Return the sighting of an object."""
    return Sighting(
        info=info,
        model=model,
        class_id=track.class_id,
        score=track.score,
        box=track.box,
        track=track.id,
        zones=zones,
        labels=labels,
        stationary=track.stationary,
    )


def renamed(before: Labels, after: Labels) -> bool:
    """Whether the classes of an object are others; their scores change with each answer."""
    if not before and not after:
        return False
    return {name: label for name, (label, _) in before.items()} != {name: label for name, (label, _) in after.items()}


def area(info: FrameInfo, box: Box) -> float:
    """Return the area of a box as a fraction of the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) / (info.width * info.height)


def apart(a: Box, b: Box) -> float:
    """Return the distance of two boxes' centres in units of the larger one's diagonal."""
    diagonal = max(math.hypot(c[2] - c[0], c[3] - c[1]) for c in (a, b))
    return math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / max(diagonal, 1.0)
