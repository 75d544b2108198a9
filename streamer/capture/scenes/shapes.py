"""Coloured shapes that enter, stop and leave over a textured, noisy background; the truth is known for each moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .actors import on_stage
from .backdrop import Backdrop
from .layers import SHIFT, cast_shadow, claim, fixed
from .outlines import bounds_within, outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .actors import Actor

_RIM = 0.82  # the body's size within the dark rim
_SHADOW_OFFSET = 0.16  # radii, down and right


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """The truth about one shape in one picture."""

    kind: str  # one of KINDS
    id: int  # counts up from 0 in order of arrival
    box: tuple[float, float, float, float]  # x1 y1 x2 y2, px: the part within the picture, shadow not counted
    visible: float  # 0..1: share of the whole shape that is within the picture and not covered by a later shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class SceneFrame:
    """A picture and what is in it, in order of arrival (the last lies on top)."""

    bgr: NDArray[np.uint8]  # (H, W, 3)
    objects: tuple[SceneObject, ...]


class Scene:
    """The shapes scene at one size. `at` is a pure function of time.

    Args:
        seed: chooses background and schedule; equal seeds show the same at every size.
        width: px, even.
        height: px, even.
    """

    def __init__(self, seed: int, width: int, height: int) -> None:
        self._seed = seed
        self._width = width
        self._height = height
        self._backdrop = Backdrop(seed, width, height)

    def at(self, t_s: float) -> SceneFrame:
        """Return picture and truth at a time, s >= 0."""
        bgr = self._backdrop.picture()
        owner = np.zeros((self._height, self._width), np.uint8)  # which shape, counted from 1, shows at a pixel
        shown: list[tuple[Actor, tuple[float, float, float, float], int]] = []
        for actor in on_stage(self._seed, t_s):
            centre, angle = actor.pose(t_s, self._width, self._height)
            radius = actor.radius * min(self._width, self._height)
            corners = outline(actor.kind, centre=centre, radius=radius, angle=angle)
            box = bounds_within(corners, self._width, self._height)
            if box is None:
                continue
            cast_shadow(bgr, corners + _SHADOW_OFFSET * radius, blur_px=0.1 * radius)
            _paint(bgr, corners, np.array(centre), actor.colour)
            area_px = claim(owner, (corners,), len(shown) + 1)
            shown.append((actor, box, area_px))
        self._backdrop.add_noise(bgr, round(t_s * 1_000_000))
        objects = tuple(
            SceneObject(kind=actor.kind, id=actor.id, box=box, visible=float(np.count_nonzero(owner == i) / area_px))
            for i, (actor, box, area_px) in enumerate(shown, start=1)
        )
        return SceneFrame(bgr=bgr, objects=objects)


def _paint(
    bgr: NDArray[np.uint8], corners: NDArray[np.float64], centre: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    """Draw a dark rim, the body, and a lighter part towards the light, as flat layers."""
    rim = tuple(round(c * 0.45) for c in colour)
    light = tuple(round(c + (255 - c) * 0.22) for c in colour)
    towards_light = centre - 0.035 * np.ptp(corners, axis=0).max()
    for layer, paint in (
        (corners, rim),
        (centre + (corners - centre) * _RIM, colour),
        (towards_light + (corners - centre) * _RIM * 0.68, light),
    ):
        cv2.fillPoly(bgr, [fixed(layer)], paint, cv2.LINE_AA, SHIFT)
