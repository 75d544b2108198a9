"""What a rule has found in a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, ModelRef, Track, Velocity

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
    velocity: Velocity | None = None  # of its box
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
        velocity=track.velocity,
    )


def renamed(before: Labels, after: Labels) -> bool:
    """Whether the classes of an object are others; their scores change with each answer."""
    if not before and not after:
        return False
    return {name: label for name, (label, _) in before.items()} != {name: label for name, (label, _) in after.items()}


def area(info: FrameInfo, box: Box) -> float:
    """Return the area of a box as a fraction of the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) / (info.width * info.height)


def astray(seen: Sighting, track: Track) -> float:
    """Return how far a new track begins from where an object was last seen, or from where it was heading.

    In units of the larger box's diagonal; infinite for what has no box.
    """
    if seen.box is None:
        return math.inf
    there = apart(seen.box, track.box)
    if seen.velocity is None:
        return there
    away_s = max(0, track.last_ns - seen.info.captured_ns) / NS_PER_S
    x, y = seen.velocity.x * away_s, seen.velocity.y * away_s
    x1, y1, x2, y2 = seen.box
    return min(there, apart((x1 + x, y1 + y, x2 + x, y2 + y), track.box))


def apart(a: Box, b: Box) -> float:
    """Return the distance of two boxes' centres in units of the larger one's diagonal."""
    diagonal = max(math.hypot(c[2] - c[0], c[3] - c[1]) for c in (a, b))
    return math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / max(diagonal, 1.0)
