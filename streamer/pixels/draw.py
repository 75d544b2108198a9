"""Detections drawn onto a picture, for people: legible at any size, and to the colour-blind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.core.results import Detection, Detections

# Okabe and Ito's palette, BGR, without black: told apart with any colour vision.
PALETTE = (
    (0, 159, 230),  # orange
    (233, 180, 86),  # sky blue
    (115, 158, 0),  # bluish green
    (66, 228, 240),  # yellow
    (178, 114, 0),  # blue
    (0, 94, 213),  # vermilion
    (167, 121, 204),  # reddish purple
)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PX = 22.0  # height of a capital letter at scale 1
_TEXT_SHARE = 0.018  # of the shorter side
_LEAST_TEXT_PX = 8.0

Rect = tuple[int, int, int, int]  # left, top, right, bottom, px


def draw(bgr: NDArray[np.uint8], detections: Detections, labels: Sequence[str]) -> NDArray[np.uint8]:
    """Return a copy of a picture with boxes, class names and scores.

    Args:
        bgr: (H, W, 3).
        detections: boxes in px of this picture.
        labels: class names by class id.
    """
    canvas: Any = np.ascontiguousarray(bgr).copy()
    text_px = max(_LEAST_TEXT_PX, min(canvas.shape[:2]) * _TEXT_SHARE)
    line = max(2, round(text_px / 6))
    found = list(detections)
    for detection in reversed(found):  # the best lies on top
        left, top, right, bottom = (round(side) for side in detection.box)
        # A dark edge around the colour keeps it visible on its own colour.
        cv2.rectangle(canvas, (left, top), (right, bottom), (0, 0, 0), line + 2)
        cv2.rectangle(canvas, (left, top), (right, bottom), _color(detection), line)
    taken: list[Rect] = []
    for detection in found:  # the best chooses its place first
        taken.append(
            _draw_label(canvas, detection, f"{labels[detection.class_id]} {detection.score:.2f}", text_px, taken)
        )
    drawn: NDArray[np.uint8] = canvas
    return drawn


def _color(detection: Detection) -> tuple[int, int, int]:
    return PALETTE[detection.class_id % len(PALETTE)]


def _draw_label(canvas: Any, detection: Detection, text: str, text_px: float, taken: Sequence[Rect]) -> Rect:  # noqa: ANN401  OpenCV's stubs want its own array type
    """Write a label where it is free; return the place."""
    scale, thickness = text_px / _FONT_PX, max(1, round(text_px / 9))
    (width, height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    margin = max(2, round(text_px / 4))
    size = (width + 2 * margin, height + below + 2 * margin)
    place = place_label(detection.box, size, canvas.shape[:2], taken)
    left, top, right, bottom = place
    color = _color(detection)
    cv2.rectangle(canvas, (left, top), (right, bottom), color, cv2.FILLED)
    blue, green, red = color
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else (255, 255, 255)
    cv2.putText(canvas, text, (left + margin, top + margin + height), _FONT, scale, ink, thickness, cv2.LINE_AA)
    return place


def place_label(
    box: tuple[float, float, float, float], size: tuple[int, int], picture_hw: tuple[int, int], taken: Sequence[Rect]
) -> Rect:
    """Find a label's place near its box: inside the picture, and over no other label where that can be.

    Args:
        box: x1 y1 x2 y2, px.
        size: width and height of the label, px.
        picture_hw: of the picture, px.
        taken: places of other labels.
    """
    inside = [_moved_inside(corner, size, picture_hw) for corner in _corners(box, size)]
    return min(inside, key=lambda place: sum(_overlap(place, other) for other in taken))  # the first of equals


def _corners(box: tuple[float, float, float, float], size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give the left top corners to try, the best first: above, inside at the top, below, inside at the bottom."""
    left, top, right, bottom = (round(side) for side in box)
    width, height = size
    for x in (left, right - width):
        yield from ((x, y) for y in (top - height, top, bottom, bottom - height))
    # Crowded: step down the box.
    yield from ((left, y) for y in range(top + height, bottom, max(1, height)))


def _moved_inside(corner: tuple[int, int], size: tuple[int, int], picture_hw: tuple[int, int]) -> Rect:
    left = max(0, min(corner[0], picture_hw[1] - size[0]))
    top = max(0, min(corner[1], picture_hw[0] - size[1]))
    return (left, top, left + size[0], top + size[1])


def _overlap(a: Rect, b: Rect) -> int:
    """Return the common area, px."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
