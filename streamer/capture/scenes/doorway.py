"""A doorway: leaves sway, shadows move, a lamp goes on, it rains; people bring parcels and take them away.

The truth is known for each moment: what is in the picture, and what a person who looks on would name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .backdrop import Noise
from .doorway_figures import body, box, placed, pose_of
from .doorway_ground import metre, painted
from .doorway_story import SLOT_S, slot_at
from .doorway_weather import Leaves, Light, Wind, lit, rain
from .layers import SHIFT, cast_shadow, claim, fixed
from .outlines import bounds_within
from .shapes import SceneFrame, SceneObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .doorway_figures import Part, Point

KINDS = ("person", "parcel")  # the order is the class id

_ASPECT = 16 / 9  # in a narrower picture all is smaller, so that as much is in view


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What goes on where nobody is, each 0..1."""

    wind: float = 0.4
    rain: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """Somebody or something to be drawn, in px."""

    kind: str
    id: int
    parts: list[Part]
    foot: Point
    shadow: NDArray[np.float64] | None


class Doorway:
    """The doorway scene at one size. `at` is a pure function of time.

    Args:
        seed: chooses the house, the light and who comes when; equal seeds show the same at every size.
        width: px, even.
        height: px, even.
        weather: wind and rain.
        visitors: share of the time in which anybody comes, 0..1; at 0 the scene stays empty.
    """

    def __init__(
        self, seed: int, width: int, height: int, *, weather: Weather | None = None, visitors: float = 1.0
    ) -> None:
        rng = np.random.default_rng((seed, 0xD00A))
        self._seed = seed
        self._size = (width, height)
        self._unit_px = min(height, width / _ASPECT)
        self._visitors = visitors
        self._weather = weather or Weather()
        self._wind = Wind(rng, self._weather.wind)
        self._leaves = Leaves(rng, width, height)
        self._light = Light(rng, seed, width, height)
        self._still = painted(rng, width, height)
        self._leaves.settle(self._still)
        self._noise = Noise(rng, width, height)

    def at(self, t_s: float) -> SceneFrame:
        """Return picture and truth at a time, s >= 0."""
        wind, key = self._wind.at(t_s), round(t_s * 1_000_000)
        bgr = np.array(self._still)
        self._leaves.draw(bgr, self._leaves.shrub, t_s=t_s, wind=wind)
        objects = self._draw(bgr, sorted(self._things(t_s), key=lambda thing: thing.foot[1]))
        self._leaves.draw(bgr, self._leaves.branch, t_s=t_s, wind=wind)
        bgr = lit(bgr, self._light.at(t_s, wind))
        rain(bgr, np.random.default_rng((self._seed, key)), strength=self._weather.rain, wind=wind)
        self._noise.add(bgr, key)
        return SceneFrame(bgr=bgr, objects=objects)

    def _things(self, t_s: float) -> Iterator[_Thing]:
        """Yield who and what is there, or just out of the picture; what is held is drawn before or after its bearer."""
        slot = slot_at(self._seed, int(t_s // SLOT_S), self._visitors)
        for parcel in slot.parcels:
            if parcel.put_s <= t_s < parcel.taken_s:
                foot, px_per_m = self._where(parcel.x, parcel.y)
                parts = placed(box(parcel.look), foot=foot, px_per_m=px_per_m)
                shadow = _shadow(foot, px_per_m, parcel.look.width * 0.55)
                yield _Thing(kind="parcel", id=parcel.id, parts=parts, foot=foot, shadow=shadow)
        for person in slot.people:
            if not person.comes_s <= t_s < person.goes_s:
                continue
            pose = pose_of(person, t_s)
            foot, px_per_m = self._where(pose.x, pose.y)
            look, number = (person.carries[0], person.carries[1]) if person.carries else (None, -1)
            mine, held = body(person.look, pose, look if person.holds(t_s) else None)
            yield _Thing(
                kind="person",
                id=person.id,
                parts=placed(mine, foot=foot, px_per_m=px_per_m),
                foot=foot,
                shadow=_shadow(foot, px_per_m, 0.24),
            )
            if held:
                order = (foot[0], foot[1] + (-0.01 if pose.away else 0.01))
                parts = placed(held, foot=foot, px_per_m=px_per_m)
                yield _Thing(kind="parcel", id=number, parts=parts, foot=order, shadow=None)

    def _where(self, x: float, y: float) -> tuple[Point, float]:
        """Return a place in the picture, px, and how many px a metre has there."""
        return (x * self._size[0], y * self._size[1]), metre(y) * self._unit_px

    def _draw(self, bgr: NDArray[np.uint8], things: list[_Thing]) -> tuple[SceneObject, ...]:
        """Draw things from back to front, in place; return the truth about those of which anything is in view."""
        owner = np.zeros(bgr.shape[:2], np.uint8)
        areas = []
        for thing in things:
            if thing.shadow is not None:
                cast_shadow(bgr, thing.shadow, blur_px=max(1.0, 0.02 * self._unit_px))
        for number, thing in enumerate(things, start=1):
            for corners, colour in thing.parts:
                cv2.fillPoly(bgr, [fixed(corners)], colour, cv2.LINE_AA, SHIFT)
            areas.append(claim(owner, [corners for corners, _ in thing.parts], number))
        seen = np.bincount(owner.ravel(), minlength=len(things) + 1)[1:]
        return tuple(
            SceneObject(kind=thing.kind, id=thing.id, box=bounds, visible=float(pixels / area))
            for thing, pixels, area in zip(things, seen, areas, strict=True)
            if (bounds := _bounds(thing.parts, *self._size)) is not None
        )


def _shadow(foot: Point, px_per_m: float, half_m: float) -> NDArray[np.float64]:
    """Return the outline of the shadow on the ground under somebody or something, px."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack((np.cos(angles) * half_m * 1.3, np.sin(angles) * half_m * 0.45), axis=1)
    return np.asarray(ring * px_per_m + foot + np.array((0.12 * px_per_m, 0.0)))


def _bounds(parts: list[Part], width: int, height: int) -> tuple[float, float, float, float] | None:
    """Return the box, px, of what lies within the picture; None if nothing does."""
    found = [bounds for corners, _ in parts if (bounds := bounds_within(corners, width, height)) is not None]
    if not found:
        return None
    low, high = np.array(found)[:, :2].min(axis=0), np.array(found)[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
