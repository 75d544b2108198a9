"""Parts of pictures: what a classifier sees of an object or a zone. Nothing is copied, and no colour is converted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.frame import AnyPicture, Picture, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.frame import DevicePicture
    from streamer.core.results import Box

    from .fit import HW

Part = tuple[int, int, int, int]  # x1 y1 x2 y2, px, whole; x2 and y2 are the first beyond it

# A network whose input is covered by the shorter side (`fit: crop`) would have the longer one drawn this much larger.
_THINNEST = 16

# How many pixels share one sample of colour, across and down.
_COLOUR_STEPS = {
    PixelFormat.I420: (2, 2),
    PixelFormat.I422: (2, 1),
    PixelFormat.NV12: (2, 2),
    PixelFormat.P010: (2, 2),
}


def box_part(box: Box, frame_hw: HW, *, margin: float, square: bool) -> Part:
    """Return the part of a frame that shows an object.

    Its corners are even, outwards, or the frame's edge, so that every format can be cut there. It is never empty: of a
    box without area, or beyond the frame, it is what is nearest. Nor is it thinner than 1:16, as far as the frame
    allows: its shorter side grows to that.

    Args:
        box: x1 y1 x2 y2, px.
        frame_hw: of the frame.
        margin: what is added on each side, as a share of the box's width and height.
        square: whether the shorter side grows to the longer one's length, as far as the frame allows. A square that
            would reach beyond the frame is moved into it.

    Raises:
        ValueError: the box is made of something else than finite numbers.
    """
    if not all(map(math.isfinite, box)):
        raise ValueError(f"box: expected four finite numbers, got {box}")
    spans = [(box[0], box[2]), (box[1], box[3])]
    spans = [(low - margin * (high - low), high + margin * (high - low)) for low, high in spans]
    (left, right), (top, bottom) = (_clipped(span, size) for span, size in zip(spans, frame_hw[::-1], strict=True))
    least = max(right - left, bottom - top) / (1 if square else _THINNEST)
    left, right = _grown((left, right), least, frame_hw[1])
    top, bottom = _grown((top, bottom), least, frame_hw[0])
    x1, x2 = _even((left, right), frame_hw[1])
    y1, y2 = _even((top, bottom), frame_hw[0])
    return x1, y1, x2, y2


def zone_part(polygon: Sequence[tuple[float, float]], frame_hw: HW) -> Part:
    """Return the part of a frame that shows a zone: the rectangle around its points, fractions of width and height.

    As of a box, it is neither empty nor very thin.
    """
    h, w = frame_hw
    xs, ys = [x * w for x, _ in polygon], [y * h for _, y in polygon]
    return box_part((min(xs), min(ys), max(xs), max(ys)), frame_hw, margin=0.0, square=False)


def cropped(picture: AnyPicture, part: Part) -> AnyPicture:
    """Return a part of a picture as a view of the same memory.

    Raises:
        ValueError: it is empty, reaches beyond the picture, or begins between two samples of colour.
    """
    x1, y1, x2, y2 = part
    across, down = _COLOUR_STEPS.get(picture.format, (1, 1))
    within = 0 <= x1 < x2 <= picture.width and 0 <= y1 < y2 <= picture.height
    if not within or x1 % across or y1 % down:
        raise ValueError(
            f"part: expected one of {picture.width}x{picture.height} px ({picture.format.value}) that begins at"
            f" multiples of {across} and {down}, got {part}"
        )
    if not isinstance(picture, Picture):
        return _of_device(picture, part)
    luma, *colours = picture.planes
    planes = (luma[y1:y2, x1:x2], *(_colour(plane, part, across, down) for plane in colours))
    return replace(picture, planes=planes, width=x2 - x1, height=y2 - y1)


def detached(picture: AnyPicture) -> AnyPicture:
    """Return a picture with planes of its own, so that a part does not keep its whole frame in memory.

    One in a GPU's memory stays as it is.
    """
    if not isinstance(picture, Picture):
        return picture
    return replace(picture, planes=tuple(plane.copy(order="C") for plane in picture.planes))


def _clipped(span: tuple[float, float], size: int) -> tuple[float, float]:
    """Return what of a span is within 0 to `size`; of one that is not, the pixel at that edge."""
    low, high = max(0.0, min(span[0], size - 1.0)), min(float(size), max(span[1], 1.0))
    return low, max(high, low)


def _grown(span: tuple[float, float], least: float, size: int) -> tuple[float, float]:
    """Return a span of a least length with the same middle, moved and cut to be within 0 to `size`."""
    side = max(span[1] - span[0], least)
    low = (span[0] + span[1] - side) / 2
    low = max(0.0, min(low, size - side))
    return low, min(float(size), low + side)


def _even(span: tuple[float, float], size: int) -> tuple[int, int]:
    """Return whole px, even outwards, at most `size`, and never empty."""
    low = math.floor(span[0]) // 2 * 2
    high = -(-math.ceil(span[1]) // 2) * 2
    return low, min(size, max(high, low + 2))


def _colour(plane: NDArray[np.uint8], part: Part, across: int, down: int) -> NDArray[np.uint8]:
    x1, y1, x2, y2 = part
    return plane[y1 // down : -(-y2 // down), x1 // across : -(-x2 // across)]


def _of_device(picture: DevicePicture, part: Part) -> DevicePicture:
    """Move the pointers: a row of the second plane has as many bytes as one of the first, for every second row."""
    x1, y1, x2, y2 = part
    across = x1 * (2 if picture.format is PixelFormat.P010 else 1)
    (luma, colour), (luma_pitch, colour_pitch) = picture.pointers, picture.pitches
    pointers = luma + y1 * luma_pitch + across, colour + y1 // 2 * colour_pitch + across
    return replace(picture, pointers=pointers, width=x2 - x1, height=y2 - y1)
