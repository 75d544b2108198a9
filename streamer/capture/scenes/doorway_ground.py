"""A house's front with its door, and the ground before it: the still part of the doorway scene, and its perspective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from .doorway_looks import Colour, shaded

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

HORIZON_Y = 0.2  # fraction of the picture's height; the camera hangs above the heads of those who come
DOORSTEP_Y = 0.66  # where the wall meets the ground

_CAMERA_M = 2.1  # above the ground
_WALLS = ((150, 165, 175), (120, 135, 150), (175, 185, 190), (95, 105, 140), (130, 150, 140), (165, 150, 140))
_DOORS = ((60, 70, 110), (95, 70, 50), (70, 95, 60), (40, 45, 50), (170, 175, 180), (50, 60, 140))
_GROUNDS = ((120, 125, 130), (100, 110, 120), (135, 140, 145), (95, 115, 125))


def metre(y: float) -> float:
    """Return how tall a metre is that stands on the ground at `y`, as a share of the picture's height."""
    return (y - HORIZON_Y) / _CAMERA_M


def painted(rng: Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Paint the house's front in daylight, without shadows: BGR (H, W, 3). The door is about in the middle."""
    wall, ground = (_chosen(rng, palette) for palette in (_WALLS, _GROUNDS))
    canvas = _Canvas(width, height)
    canvas.box((0, 0, 1, DOORSTEP_Y), wall)
    _courses(canvas, rng, wall)
    _paving(canvas, rng, ground)
    door_x = rng.uniform(0.42, 0.58)
    _door(canvas, rng, door_x)
    side = 1 if rng.random() < 0.5 else -1
    _window(canvas, rng, door_x + side * rng.uniform(0.26, 0.32))
    canvas.box(_around(door_x - side * 0.16, rng.uniform(0.36, 0.44), 0.03, 0.03), shaded(wall, 0.6))  # letter box
    canvas.box(_around(door_x, DOORSTEP_Y + 0.035, 0.16, 0.045), shaded(_chosen(rng, _DOORS), 0.7))  # the mat
    for _ in range(int(rng.integers(0, 4))):
        _flowerpot(canvas, rng, door_x)
    return _textured(rng, canvas.bgr)


class _Canvas:
    """Paints in fractions of the picture."""

    def __init__(self, width: int, height: int) -> None:
        self.bgr = np.zeros((height, width, 3), np.uint8)
        self._to_px = np.array((width, height), float)

    def polygon(self, corners: list[tuple[float, float]], colour: Colour) -> None:
        cv2.fillPoly(self.bgr, [np.rint(np.array(corners) * self._to_px * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)

    def box(self, box: tuple[float, float, float, float], colour: Colour) -> None:
        x1, y1, x2, y2 = box
        self.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
        a, b = (np.rint(np.array(point) * self._to_px * 16).astype(int).tolist() for point in (start, end))
        cv2.line(self.bgr, a, b, colour, max(1, round(self._to_px[1] / 360)), cv2.LINE_AA, 4)


def _chosen(rng: Generator, palette: tuple[Colour, ...]) -> Colour:
    return shaded(palette[int(rng.integers(len(palette)))], rng.uniform(0.85, 1.1))


def _around(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _courses(canvas: _Canvas, rng: Generator, wall: Colour) -> None:
    """Draw bricks, boards, or nothing on the wall."""
    kind, seam = int(rng.integers(3)), shaded(wall, rng.uniform(0.75, 0.92))
    if kind == 0:
        return
    course = rng.uniform(0.022, 0.03) if kind == 1 else rng.uniform(0.05, 0.08)
    for row, y in enumerate(np.arange(0, DOORSTEP_Y, course)):
        canvas.line((0, y), (1, y), seam)
        if kind == 1:
            for x in np.arange((row % 2) * 0.02, 1, 0.04):
                canvas.line((x, y), (x, min(DOORSTEP_Y, y + course)), seam)


def _paving(canvas: _Canvas, rng: Generator, ground: Colour) -> None:
    canvas.box((0, DOORSTEP_Y, 1, 1), ground)
    seam, slab_m = shaded(ground, rng.uniform(0.7, 0.9)), rng.uniform(0.4, 0.8)
    far_m = 1 / metre(DOORSTEP_Y)
    for row in range(30):
        y = HORIZON_Y + _CAMERA_M / max(0.1, far_m - row * slab_m * 0.6)
        if DOORSTEP_Y < y < 1.2:
            canvas.line((0, y), (1, y), seam)
    for column in range(-14, 15):
        x_m = column * slab_m
        near, far = (0.5 + x_m * metre(y) * 9 / 16 for y in (1.0, DOORSTEP_Y))
        canvas.line((near, 1.0), (far, DOORSTEP_Y), seam)
    canvas.box((0, DOORSTEP_Y - 0.012, 1, DOORSTEP_Y), shaded(ground, 0.6))


def _door(canvas: _Canvas, rng: Generator, x: float) -> None:
    colour, frame = _chosen(rng, _DOORS), shaded((205, 210, 212), rng.uniform(0.7, 1.05))
    tall, wide = 2.1 * metre(DOORSTEP_Y), 1.0 * metre(DOORSTEP_Y) * 9 / 16
    top = DOORSTEP_Y - tall
    canvas.box((x - wide / 2 - 0.012, top - 0.02, x + wide / 2 + 0.012, DOORSTEP_Y), frame)
    canvas.box((x - wide / 2, top, x + wide / 2, DOORSTEP_Y), colour)
    glazed = rng.random() < 0.4
    for row in range(int(rng.integers(1, 4))):
        y = top + 0.03 + row * 0.15
        panel = (x - wide * 0.36, y, x + wide * 0.36, min(y + 0.12, DOORSTEP_Y - 0.03))
        canvas.box(panel, (90, 80, 70) if glazed and row == 0 else shaded(colour, 0.8))
    canvas.box(_around(x + wide * 0.42, DOORSTEP_Y - tall * 0.45, 0.008, 0.03), (190, 200, 205))


def _window(canvas: _Canvas, rng: Generator, x: float) -> None:
    frame, wide, top = shaded((205, 210, 212), rng.uniform(0.7, 1.05)), rng.uniform(0.12, 0.18), rng.uniform(0.16, 0.24)
    canvas.box((x - wide / 2 - 0.01, top - 0.015, x + wide / 2 + 0.01, top + 0.255), frame)
    glass = shaded((110, 95, 80), rng.uniform(0.5, 1.3))
    for left in (x - wide / 2, x + 0.004):
        canvas.box((left, top, left + wide / 2 - 0.004, top + 0.24), glass)


def _flowerpot(canvas: _Canvas, rng: Generator, door_x: float) -> None:
    """Put something on the ground that is as large as a parcel, and none."""
    y = rng.uniform(DOORSTEP_Y + 0.01, DOORSTEP_Y + 0.1)
    x = door_x + rng.choice((-1, 1)) * rng.uniform(0.12, 0.42)
    tall, wide = rng.uniform(0.25, 0.5) * metre(y), rng.uniform(0.25, 0.45) * metre(y) * 9 / 16
    colour = _chosen(rng, ((70, 95, 170), (90, 90, 95), (140, 150, 155), (60, 80, 110)))
    rim, foot = wide / 2, wide * rng.uniform(0.3, 0.45)
    canvas.polygon([(x - rim, y - tall), (x + rim, y - tall), (x + foot, y), (x - foot, y)], colour)
    canvas.box((x - rim * 1.1, y - tall, x + rim * 1.1, y - tall * 0.85), shaded(colour, 1.15))
    for _ in range(18):
        green = shaded((60, 120, 70), rng.uniform(0.5, 1.3))
        lean, long = rng.uniform(-1.2, 1.2) * wide, rng.uniform(0.3, 1.0) * tall
        canvas.polygon([(x - 0.006, y - tall), (x + 0.006, y - tall), (x + lean, y - tall - long)], green)


def _textured(rng: Generator, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    texture = np.zeros((height, width), np.float32)
    for cells, strength in ((5, 5.0), (24, 4.0), (90, 4.0)):
        grid = rng.uniform(-1, 1, (max(2, cells * 9 // 16), cells)).astype(np.float32)
        texture += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(bgr + texture[..., None], 0, 255).astype(np.uint8))
