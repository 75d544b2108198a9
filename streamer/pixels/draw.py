"""Detections drawn onto a picture, for people: legible at any size, on any background, and to the colour-blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .lettering import Lettering, showable
from .palette import BLACK, WHITE, Stroke, color_of, ink_on, stroke_of
from .placement import place_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.results import Detection, Detections

    from .palette import Bgr
    from .placement import Placed, Rect

_TEXT_SHARE = 0.01  # of the longer side: as large on a screen that shows all of the picture, whatever its size
_MOST_TEXT_SHARE = 0.08  # of the shorter side
_LEAST_TEXT_PX = 12  # below, letters are no longer told apart: a small picture gets shorter labels, not smaller ones
_NAME_PX = 16  # text sizes: a longer name is cut


@dataclass(frozen=True, slots=True)
class _Pen:
    """Widths of the lines of a frame, px. From inside to outside: white, the class's colour, black."""

    line: int
    edge: int  # of each of the two edges; one of them contrasts with any background

    @property
    def whole(self) -> int:
        return self.line + 2 * self.edge


def draw(bgr: NDArray[np.uint8], detections: Detections, labels: Sequence[str]) -> NDArray[np.uint8]:
    """Return a copy of a picture with boxes, class names and scores.

    A frame lies around its box, and hides nothing of it, but at the picture's edge. Where a label would cover another
    label or box it is shortened: to the class, then to the detection's number (#1 is the best); where even that finds
    no place, there is none. Size and pixels stay the picture's own, so that boxes reported in px are found again.

    Args:
        bgr: (H, W, 3).
        detections: boxes in px of this picture.
        labels: class names by class id.
    """
    canvas: Any = np.ascontiguousarray(bgr).copy()
    size_px, pen = _sizes(canvas.shape[:2])
    found = list(detections)
    frames = [_frame(detection, canvas.shape[:2], pen) for detection in found]
    for detection, frame in reversed(list(zip(found, frames, strict=True))):  # the best lies on top
        _draw_frame(canvas, frame, pen, color_of(detection.class_id), stroke_of(detection.class_id))
    lettering = Lettering(size_px)
    texts = [
        _forms(lettering, detection, labels[detection.class_id], number, canvas.shape[1])
        for number, detection in enumerate(found, start=1)
    ]
    sizes = [[lettering.plate_size(text) for text in forms] for forms in texts]
    placed = place_labels(frames, sizes, canvas.shape[:2])
    for detection, place in zip(found, placed, strict=True):
        if place is not None and place.leader is not None:
            _draw_leader(canvas, place.leader, pen, color_of(detection.class_id))
    for detection, place, forms in zip(found, placed, texts, strict=True):
        if place is not None:
            _draw_plate(canvas, place, color_of(detection.class_id))
            lettering.write(canvas, forms[place.form], place.rect[:2], ink_on(color_of(detection.class_id)))
    drawn: NDArray[np.uint8] = canvas
    return drawn


def _sizes(picture_hw: tuple[int, int]) -> tuple[int, _Pen]:
    """Return the size of the text, px, and the lines' widths: thin lines are seen where small letters are not read."""
    wanted_px = min(max(picture_hw) * _TEXT_SHARE, min(picture_hw) * _MOST_TEXT_SHARE)
    size_px = max(_LEAST_TEXT_PX, round(wanted_px))
    line_px = min(round(size_px / 6), max(1, round(wanted_px / 3)))
    return size_px, _Pen(line=line_px, edge=max(1, round(size_px / 20)))


def _forms(lettering: Lettering, detection: Detection, label: str, number: int, picture_width_px: int) -> list[str]:
    """List what a label could say, the best first."""
    name = showable(label) or f"class {detection.class_id}"
    name = lettering.shortened(name, min(_NAME_PX * lettering.plate_height_px, picture_width_px))
    return [*([f"{name} {detection.score:.2f}", name] if name else []), f"#{number}"]


def _frame(detection: Detection, picture_hw: tuple[int, int], pen: _Pen) -> Rect:
    """Return the outer edge of a box's frame, moved into the picture."""
    left, top, right, bottom = (round(side) for side in detection.box)
    height, width = picture_hw
    around = pen.whole
    return max(0, left - around), max(0, top - around), min(width, right + around), min(height, bottom + around)


def _draw_frame(canvas: NDArray[np.uint8], outer: Rect, pen: _Pen, color: Bgr, stroke: Stroke) -> None:
    _draw_ring(canvas, outer, pen.edge, BLACK)
    _draw_ring(canvas, _shrunk(outer, pen.edge), pen.line, color)
    _draw_ring(canvas, _shrunk(outer, pen.edge + pen.line), pen.edge, WHITE)
    dash, gap = (pen.line * part for part in stroke.value)
    if gap:
        _draw_gaps(canvas, _shrunk(outer, pen.edge), pen.line, rhythm=(dash, gap), color=ink_on(color))


def _shrunk(rect: Rect, by: int) -> Rect:
    left, top, right, bottom = rect
    return left + by, top + by, right - by, bottom - by


def _draw_ring(canvas: NDArray[np.uint8], outer: Rect, width_px: int, color: Bgr) -> None:
    left, top, right, bottom = outer
    if right > left and bottom > top:
        _draw_ends(canvas[:, left:right], (top, bottom), width_px, color)
        _draw_ends(canvas[top:bottom].swapaxes(0, 1), (left, right), width_px, color)


def _draw_gaps(canvas: NDArray[np.uint8], outer: Rect, width_px: int, *, rhythm: tuple[int, int], color: Bgr) -> None:
    """Interrupt a ring.

    Args:
        canvas: (H, W, 3), changed.
        outer: the ring's outer edge.
        width_px: of the ring.
        rhythm: lengths of what stays and of what is interrupted, px.
        color: of the gaps.
    """
    left, top, right, bottom = outer
    stay, gap = rhythm
    for x in range(left + stay, right - width_px, stay + gap):
        _draw_ends(canvas[:, x : min(x + gap, right)], (top, bottom), width_px, color)
    for y in range(top + stay, bottom - width_px, stay + gap):
        _draw_ends(canvas[y : min(y + gap, bottom)].swapaxes(0, 1), (left, right), width_px, color)


def _draw_ends(part: NDArray[np.uint8], between: tuple[int, int], width_px: int, color: Bgr) -> None:
    start, end = between
    part[start : start + width_px] = color
    part[max(start, end - width_px) : end] = color


def _draw_leader(canvas: Any, leader: tuple[tuple[int, int], tuple[int, int]], pen: _Pen, color: Bgr) -> None:  # noqa: ANN401  OpenCV's stubs want its own array type
    for ink, width_px in ((BLACK, pen.whole + pen.edge), (WHITE, pen.whole), (color, pen.line)):
        cv2.line(canvas, *leader, ink, width_px, cv2.LINE_AA)


def _draw_plate(canvas: NDArray[np.uint8], place: Placed, color: Bgr) -> None:
    left, top, right, bottom = place.rect
    canvas[top:bottom, left:right] = BLACK if color != BLACK else WHITE
    canvas[top + 1 : bottom - 1, left + 1 : right - 1] = color
