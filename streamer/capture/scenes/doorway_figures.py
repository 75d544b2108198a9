"""People and parcels as polygons: how a body walks, bends and carries. Pure geometry; nothing is drawn here.

A body stands on the origin: x to the right, y up, m. `placed` brings it into the picture.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .doorway_looks import Colour, ParcelLook, PersonLook, shaded
from .doorway_story import BESIDE_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .doorway_story import Person

Part: TypeAlias = "tuple[NDArray[np.float64], Colour]"  # corners (K, 2) and what they are filled with
Point: TypeAlias = tuple[float, float]

_STRIDE = 0.8  # of the body's height: two steps
_TURN_S = 0.6  # to turn round
_ROUND = np.linspace(-math.pi / 2, math.pi / 2, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How somebody stands or walks at a moment."""

    x: float  # fraction of the picture's width
    y: float  # fraction of the picture's height, on the ground
    forward: float  # which way they face: -1 to the left .. +1 to the right; 0 seen from the front or from behind
    away: bool  # seen from behind
    phase: float  # rad, of the two steps
    swing: float  # 0 stands .. 1 walks
    bent: float  # 0..1

    @property
    def across(self) -> float:
        """How far they are seen from the side, 0..1."""
        return abs(self.forward)


def pose_of(person: Person, t_s: float) -> Pose:
    """Return how somebody stands or walks at a moment within their visit."""
    steps = person.steps
    index = min(max(1, bisect_right([step.at_s for step in steps], t_s)), len(steps) - 1)
    last, coming = steps[index - 1], steps[index]
    share = min(1.0, max(0.0, (t_s - last.at_s) / max(1e-6, coming.at_s - last.at_s)))
    way_m = max(0.0, coming.walked_m - last.walked_m)  # 0 where one way ends and the next begins
    near_end_s = min(t_s - last.at_s, coming.at_s - t_s)
    return Pose(
        x=last.x + (coming.x - last.x) * share,
        y=last.y + (coming.y - last.y) * share,
        forward=_forward(person, index, t_s),
        away=coming.y < last.y if way_m else not person.bends_s,
        phase=2 * math.pi * (last.walked_m + way_m * share) / (_STRIDE * person.look.height),
        swing=min(1.0, max(0.0, near_end_s / 0.3)) if way_m else 0.0,
        bent=person.bent(t_s),
    )


def _forward(person: Person, index: int, t_s: float) -> float:
    """Return which way somebody faces between two steps; they turn round where one way ends and another begins."""
    steps = person.steps
    now, former, next_ = (_way(person, min(max(1, i), len(steps) - 1)) for i in (index, index - 1, index + 1))
    after_s, before_s = t_s - steps[index - 1].at_s, steps[index].at_s - t_s
    if after_s <= before_s:
        return now + (former - now) * max(0.0, 0.5 - after_s / _TURN_S)
    return now + (next_ - now) * max(0.0, 0.5 - before_s / _TURN_S)


def _way(person: Person, index: int) -> float:
    """Return which way somebody faces who goes from one step to the next, or stands there."""
    last, coming = person.steps[index - 1], person.steps[index]
    dx, dy = (coming.x - last.x) * 16 / 9, 1.6 * (coming.y - last.y)
    if dx == dy == 0:
        return person.faces * (1.0 if person.bends_s else 0.2)
    return math.copysign(max(0.25, abs(dx) / math.hypot(dx, dy)), dx)


def body(look: PersonLook, pose: Pose, held: ParcelLook | None) -> tuple[list[Part], list[Part]]:
    """Return a body's parts, m, from back to front, and those of what it holds: behind it where `pose.away`."""
    tall, forward = look.height, pose.forward
    hip = (0.0, tall * 0.5 * (1 - 0.42 * pose.bent))
    lean = forward * (0.07 * pose.swing + 1.15 * pose.bent)
    spine = tall * 0.31
    neck = (hip[0] + spine * math.sin(lean), hip[1] + spine * math.cos(lean))
    grip = (forward * (0.36 * (1 - pose.bent) + BESIDE_M * pose.bent), tall * 0.54 * (1 - pose.bent))
    parts = [
        *_arm(look, pose, neck, _hand(pose, neck, grip, held, near=False), near=False),
        *_leg(look, pose, hip, near=False),
        *_bag(look, pose, hip, neck),
        *_leg(look, pose, hip, near=True),
        *_torso(look, pose, hip, neck),
        *_head(look, pose, neck, lean),
        *_arm(look, pose, neck, _hand(pose, neck, grip, held, near=True), near=True),
    ]
    return parts, [] if held is None else [(corners + grip, colour) for corners, colour in box(held)]


def box(look: ParcelLook) -> list[Part]:
    """Return a parcel's parts, m; the middle of its front's lower edge is the origin."""
    w, h = look.width / 2, look.height
    side, up = look.turned * look.depth * 0.35, look.depth * 0.3
    front = np.array([(-w, 0), (w, 0), (w, h), (-w, h)])
    top = np.array([(-w, h), (w, h), (w + side, h + up), (-w + side, h + up)])
    edge = math.copysign(w, side)
    flank = np.array([(edge, 0), (edge, h), (edge + side, h + up), (edge + side, up)])
    parts: list[Part] = [(flank, shaded(look.colour, 0.65)), (front, shaded(look.colour, 0.9)), (top, look.colour)]
    if look.tape is not None:
        strip = np.array([(-0.1 * w, h), (0.1 * w, h), (0.1 * w + side, h + up), (-0.1 * w + side, h + up)])
        parts += [(strip, look.tape), (np.array([(-0.1, 1), (0.1, 1), (0.1, 0.7), (-0.1, 0.7)]) * (w, h), look.tape)]
    if look.label:
        parts.append((np.array([(0.2, 0.25), (0.75, 0.25), (0.75, 0.6), (0.2, 0.6)]) * (w, h), (235, 238, 240)))
    return parts


def placed(parts: list[Part], *, foot: Point, px_per_m: float) -> list[Part]:
    """Return parts in px of the picture, where `foot` is where they stand."""
    return [(corners * (px_per_m, -px_per_m) + foot, colour) for corners, colour in parts]


def capsule(start: Point, end: Point, wide_start: float, wide_end: float) -> NDArray[np.float64]:
    """Return the outline (14, 2) of a limb with round ends of two radii."""
    along = math.atan2(end[1] - start[1], end[0] - start[0])
    rounds = []
    for (x, y), radius, towards in ((end, wide_end, along), (start, wide_start, along + math.pi)):
        angles = _ROUND + towards
        rounds.append(np.stack((np.cos(angles), np.sin(angles)), axis=1) * radius + (x, y))
    return np.concatenate(rounds)


def _leg(look: PersonLook, pose: Pose, hip: Point, *, near: bool) -> list[Part]:
    tall, phase = look.height, pose.phase + (0.0 if near else math.pi)
    forward = pose.forward
    beside = (0.055 if near else -0.055) * tall * (1 - pose.across) * look.girth
    lift = max(0.0, math.cos(phase)) * 0.05 * tall * pose.swing
    ankle = (forward * 0.17 * tall * math.sin(phase) * pose.swing + beside, 0.045 * tall + lift)
    ahead = forward * (0.03 + 0.13 * pose.bent + 0.5 * lift) * tall
    knee = ((hip[0] + ankle[0] + beside) / 2 + ahead, (hip[1] + ankle[1]) / 2 + 0.01 * tall)
    shade = 1.0 if near else 0.72
    toe = (ankle[0] + forward * 0.085 * tall, ankle[1] - 0.02 * tall)
    thick = tall * look.girth
    return [
        (capsule((hip[0] + beside * 0.8, hip[1]), knee, 0.05 * thick, 0.038 * thick), shaded(look.trousers, shade)),
        (capsule(knee, ankle, 0.036 * thick, 0.026 * thick), shaded(look.trousers, shade * 0.95)),
        (capsule(ankle, toe, 0.027 * tall, 0.022 * tall), shaded(look.shoes, shade)),
    ]


def _torso(look: PersonLook, pose: Pose, hip: Point, neck: Point) -> list[Part]:
    thick = look.height * look.girth
    shoulders = thick * (0.105 * (1 - pose.across) + 0.07 * pose.across)
    waist = thick * (0.085 * (1 - pose.across) + 0.066 * pose.across)
    low = hip[1] * (1 - look.coat_to * (1 - 0.6 * pose.bent))
    flare = waist * (1 + 0.5 * look.coat_to)
    coat = np.array([(hip[0] - waist, hip[1]), (hip[0] + waist, hip[1]), (hip[0] + flare, low), (hip[0] - flare, low)])
    chest = (neck[0] * 0.93 + hip[0] * 0.07, neck[1] * 0.93 + hip[1] * 0.07)
    return [(coat, shaded(look.coat, 0.92)), (capsule(hip, chest, waist, shoulders), look.coat)]


def _bag(look: PersonLook, pose: Pose, hip: Point, neck: Point) -> list[Part]:
    if look.bag is None:
        return []
    behind = -pose.forward * 0.1 * look.height
    low = (hip[0] * 0.7 + neck[0] * 0.3 + behind, hip[1] * 0.7 + neck[1] * 0.3)
    high = (hip[0] * 0.15 + neck[0] * 0.85 + behind, hip[1] * 0.15 + neck[1] * 0.85)
    return [(capsule(low, high, 0.07 * look.height, 0.06 * look.height), look.bag)]


def _head(look: PersonLook, pose: Pose, neck: Point, lean: float) -> list[Part]:
    tall = look.height
    middle = (neck[0] + 0.1 * tall * math.sin(lean * 0.8), neck[1] + 0.1 * tall * math.cos(lean * 0.8))
    face = pose.forward * 0.018 * tall
    crown = (middle[0] - face, middle[1] + 0.012 * tall)
    skin, hair = look.skin, look.hair
    parts: list[Part] = [
        (capsule(neck, middle, 0.03 * tall, 0.035 * tall), shaded(skin, 0.85)),
        (capsule(crown, (crown[0], crown[1] + 0.004), 0.064 * tall, 0.064 * tall), hair),
    ]
    if not pose.away:
        front = (middle[0] + face, middle[1] - 0.01 * tall)
        parts.append((capsule(front, (front[0], front[1] - 0.02 * tall), 0.05 * tall, 0.045 * tall), skin))
    if look.hat is not None:
        brim = (middle[0] + pose.forward * 0.04 * tall, middle[1] + 0.045 * tall)
        cap = (middle[0], middle[1] + 0.055 * tall)
        parts.append((capsule(cap, brim, 0.06 * tall, 0.02 * tall), look.hat))
    return parts


def _hand(pose: Pose, neck: Point, grip: Point, held: ParcelLook | None, *, near: bool) -> Point | None:
    """Return where a hand is, if it does not just swing: at what is held, or on its way down."""
    apart = (0.5 if near else -0.5) * (1 - pose.across) * (0.3 if held is None else held.width)
    if held is not None:
        return grip[0] + apart, grip[1] + 0.4 * held.height
    if pose.bent > 0:
        side = pose.forward * BESIDE_M
        down = (1 - pose.bent) * (neck[1] - 0.55) + pose.bent * 0.12
        return neck[0] * (1 - pose.bent) + side * pose.bent + apart, down
    return None


def _arm(look: PersonLook, pose: Pose, neck: Point, hand: Point | None, *, near: bool) -> list[Part]:
    tall, shade = look.height, 1.0 if near else 0.72
    beside = (0.1 if near else -0.1) * tall * (1 - pose.across) * look.girth
    shoulder = (neck[0] + beside, neck[1] - 0.025 * tall)
    if hand is None:
        angle = math.sin(pose.phase + (math.pi if near else 0.0)) * 0.55 * pose.swing
        swing = pose.forward * math.sin(angle)
        hand = (shoulder[0] + swing * 0.33 * tall + beside * 0.3, shoulder[1] - math.cos(angle) * 0.33 * tall)
    elbow = ((shoulder[0] + hand[0]) / 2 - pose.forward * 0.02 * tall, (shoulder[1] + hand[1]) / 2 - 0.01)
    thick = tall * look.girth
    return [
        (capsule(shoulder, elbow, 0.029 * thick, 0.025 * thick), shaded(look.coat, shade * 1.08)),
        (capsule(elbow, hand, 0.024 * thick, 0.02 * thick), shaded(look.coat, shade * 1.02)),
        (capsule(hand, (hand[0], hand[1] - 0.02), 0.024 * tall, 0.02 * tall), shaded(look.skin, shade)),
    ]
