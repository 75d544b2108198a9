"""Wind in the leaves, clouds, shadows of branches, a lamp, rain: what changes where nobody is, at any time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .doorway_ground import DOORSTEP_Y
from .doorway_story import SLOT_S
from .layers import SHIFT, fixed

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_LEAVES = 190
_GREENS = ((58, 110, 62), (48, 92, 50), (70, 135, 90), (60, 120, 110), (40, 75, 45))
_COARSE = 8  # the light is worked out for every 8th px; shadows are soft
_UNIT = 96.0  # of 255: full daylight, so that a lamp can add to it
_STREAKS = 420  # of rain, at most, in a picture of 640 x 360
_LAMP_IN = 0.5  # share of the slots in which the lamp is switched


class Wind:
    """How hard it blows: gusts and calms."""

    def __init__(self, rng: Generator, strength: float) -> None:
        self._strength = strength
        self._beats = rng.uniform(0.02, 0.16, 4)  # Hz
        self._begins = rng.uniform(0, 2 * math.pi, 4)

    def at(self, t_s: float) -> float:
        """Return the wind, 0..about 1."""
        gusts = float(np.sin(2 * math.pi * self._beats * t_s + self._begins).mean())
        return self._strength * min(1.0, max(0.08, 0.45 + 0.9 * gusts))


class Leaves:
    """A shrub beside the door and a branch that hangs into the picture; each leaf sways for itself, and with all."""

    def __init__(self, rng: Generator, width: int, height: int) -> None:
        self._to_px = np.array((width, height), float)
        side = 0.0 if rng.random() < 0.5 else 1.0
        shrub, branch = _LEAVES * 2 // 3, _LEAVES - _LEAVES * 2 // 3
        reach, tall = rng.uniform(0.1, 0.2), rng.uniform(0.2, 0.4)
        x = side + (1 - 2 * side) * np.abs(rng.normal(0, 0.5, shrub)) * reach
        y = DOORSTEP_Y + 0.04 - np.abs(rng.normal(0.3, 0.4, shrub)) * tall
        over = 1 - side if rng.random() < 0.6 else side
        along = rng.uniform(0, 1, branch)
        bx = over + (1 - 2 * over) * (along * rng.uniform(0.2, 0.4)) + rng.normal(0, 0.02, branch)
        by = 0.02 + along * rng.uniform(0.05, 0.2) + rng.normal(0, 0.03, branch)
        self._place = np.stack((np.concatenate((x, bx)), np.concatenate((y, by))), axis=1)
        self._long = rng.uniform(0.02, 0.05, _LEAVES)  # of the picture's height
        self._angle = rng.uniform(-math.pi, math.pi, _LEAVES)
        self._beat = rng.uniform(0.5, 1.6, _LEAVES)  # Hz
        self._begin = rng.uniform(0, 2 * math.pi, _LEAVES)
        shades = rng.uniform(0.55, 1.35, _LEAVES)
        self._colour = [
            tuple((np.array(_GREENS[int(k)]) * shade).tolist())
            for k, shade in zip(rng.integers(len(_GREENS), size=_LEAVES), shades, strict=True)
        ]
        self.shrub = range(shrub)
        self.branch = range(shrub, _LEAVES)
        self._beneath = [(float(px), float(py)) for px, py in self._place[:shrub]]

    def settle(self, bgr: NDArray[np.uint8]) -> None:
        """Paint what lies deep in the shrub and does not move."""
        for x, y in self._beneath:
            centre = (round(x * self._to_px[0]), round(y * self._to_px[1]))
            cv2.circle(bgr, centre, round(0.028 * self._to_px[1]), (34, 58, 36), cv2.FILLED, cv2.LINE_AA)

    def draw(self, bgr: NDArray[np.uint8], which: range, *, t_s: float, wind: float) -> None:
        """Draw some of the leaves as they hang at a moment."""
        part = slice(which.start, which.stop)
        own = np.sin(2 * math.pi * self._beat[part] * t_s + self._begin[part])
        together = math.sin(2 * math.pi * 0.31 * t_s) + 0.5 * math.sin(2 * math.pi * 0.83 * t_s + 1.0)
        sway = wind * (0.014 * together + 0.012 * own)  # of the picture's height
        place = self._place[part] * self._to_px
        place[:, 0] += sway * self._to_px[1]
        place[:, 1] += 0.4 * wind * 0.012 * own * self._to_px[1]
        angle = self._angle[part] + 0.9 * wind * own
        along = np.stack((np.cos(angle), np.sin(angle)), axis=1) * (self._long[part] * self._to_px[1])[:, None]
        across = np.stack((-along[:, 1], along[:, 0]), axis=1) * 0.28
        corners = np.stack((place - along / 2, place + across, place + along / 2, place - across), axis=1)  # (N, 4, 2)
        for leaf, colour in zip(np.rint(corners * (1 << SHIFT)).astype(np.int32), self._colour[part], strict=True):
            cv2.fillConvexPoly(bgr, leaf, colour, cv2.LINE_AA, SHIFT)


class Light:
    """Daylight with clouds, the shadows of moving branches, and a lamp beside the door."""

    def __init__(self, rng: Generator, seed: int, width: int, height: int) -> None:
        self._seed = seed
        self._size = (width, height)
        self._coarse = (max(4, width // _COARSE), max(4, height // _COARSE))
        self._day = rng.uniform(0.7, 1.25) if rng.random() < 0.7 else rng.uniform(0.35, 0.7)
        self._tint = rng.uniform(0.92, 1.08, 3)
        self._clouds = _field(rng, (24, 96), 5)
        self._cloud_depth = rng.uniform(0.1, 0.45)
        self._cloud_speed = rng.uniform(0.1, 0.9)  # cells a second; 16 of them are the picture's width
        self._dapple = np.clip(_field(rng, (90, 160), 13) * 3.0 - 1.0, 0, 1)
        self._dapple_depth = rng.uniform(0.15, 0.5)
        self._glow = self._lamp(rng)
        self._lamp_strength = rng.uniform(0.25, 0.7)

    def at(self, t_s: float, wind: float) -> NDArray[np.uint8]:
        """Return how bright each pixel is, (H, W, 3), in units of `LIT`."""
        sun = 1.0 + 0.06 * math.sin(2 * math.pi * t_s / 70)
        cloud = self._shifted(self._clouds, t_s * self._cloud_speed, 0.0, (16, 9))
        sway_x = wind * (2.2 * math.sin(2 * math.pi * 0.31 * t_s) + 1.0 * math.sin(2 * math.pi * 0.83 * t_s))
        sway_y = wind * 1.1 * math.sin(2 * math.pi * 0.53 * t_s)
        dapple = self._shifted(self._dapple, 20 + sway_x, 15 + sway_y, (110, 60))
        shade = (1 - self._cloud_depth * cloud) * (1 - self._dapple_depth * dapple * (1 - cloud))
        light = (self._day * sun * shade)[..., None] * self._tint
        if self.lamp_on(t_s):
            light = light + self._lamp_strength * self._glow
        levels = np.clip(light * _UNIT, 0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(levels, self._size, interpolation=cv2.INTER_LINEAR))

    def lamp_on(self, t_s: float) -> bool:
        """Whether the lamp is on: it is switched at most twice in each slot of time."""
        index = int(t_s // SLOT_S)
        rng = np.random.default_rng((self._seed, 0x1A3, index))
        if rng.random() >= _LAMP_IN:
            return False
        on_s, off_s = np.sort(rng.uniform(2, SLOT_S - 2, 2))
        return bool(on_s <= t_s - index * SLOT_S < off_s)

    def _lamp(self, rng: Generator) -> NDArray[np.float64]:
        """Return the light that the lamp gives, (h, w, 3) of the coarse grid."""
        width, height = self._coarse
        y, x = np.mgrid[0 : 1 : complex(height), 0 : 1 : complex(width)]
        near = ((x - rng.uniform(0.3, 0.7)) * 16 / 9) ** 2 + (y - rng.uniform(0.15, 0.3)) ** 2
        return np.asarray((1 / (1 + near / 0.12))[..., None] * np.array((0.62, 0.88, 1.08)))

    def _shifted(self, field: NDArray[np.float32], x: float, y: float, window: tuple[int, int]) -> NDArray[np.float64]:
        """Return a window of a field, moved by a part of a cell, on the coarse grid; it goes on where it ends."""
        x %= field.shape[1] - window[0] - 1
        zoom_x, zoom_y = window[0] / self._coarse[0], window[1] / self._coarse[1]
        cut = np.array(((zoom_x, 0, x), (0, zoom_y, y)))
        return np.asarray(
            cv2.warpAffine(field, cut, self._coarse, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float64
        )


def lit(bgr: NDArray[np.uint8], light: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture painted in full daylight as a light shows it; saturates."""
    return np.asarray(cv2.multiply(bgr, light, scale=1 / _UNIT))


def rain(bgr: NDArray[np.uint8], rng: Generator, *, strength: float, wind: float) -> None:
    """Draw the streaks of rain of one moment, in place."""
    height, width = bgr.shape[:2]
    count = round(strength * _STREAKS)
    if count == 0:
        return
    start = rng.uniform(0, 1, (count, 2)) * (width, height)
    long = rng.uniform(0.015, 0.05, (count, 1)) * height
    end = start + np.concatenate((long * 0.35 * wind, long), axis=1)
    streaks = np.zeros((height, width), np.uint8)
    lines = fixed(np.stack((start, end), axis=1))
    cv2.polylines(streaks, list(lines), isClosed=False, color=38, lineType=cv2.LINE_AA, shift=SHIFT)
    cv2.add(bgr, cv2.merge((streaks, streaks, streaks)), dst=bgr)


def _field(rng: Generator, hw: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Return smooth blobs 0..1, (h, w)."""
    rows = max(3, round(cells * hw[0] / hw[1] * 2))
    columns = max(3, cells * 2)
    grid = rng.uniform(0, 1, (rows, columns)).astype(np.float32)
    field = cv2.resize(grid, (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(field, 0, 1), np.float32)
