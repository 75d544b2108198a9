"""Where a frame lies on a network's canvas, and the way back. Pure geometry.

The roundings are those of the projects whose networks are fed: half a pixel here is half a pixel in every box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HW = tuple[int, int]  # height, width, px


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A frame, resized to `size_hw`, with its corner at (`top`, `left`) of the canvas; negative: it is cut off."""

    frame_hw: HW
    canvas_hw: HW
    size_hw: HW
    top: int  # px
    left: int  # px

    @property
    def on_canvas(self) -> tuple[slice, slice]:
        """The rows and columns of the canvas that the frame covers."""
        (h, w), (rows, columns) = self.size_hw, self.canvas_hw
        return (
            slice(max(0, self.top), min(rows, self.top + h)),
            slice(max(0, self.left), min(columns, self.left + w)),
        )

    @property
    def of_frame(self) -> tuple[slice, slice]:
        """The rows and columns of the resized frame that lie on the canvas."""
        rows, columns = self.on_canvas
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )

    def to_frame(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (N, 4) x1 y1 x2 y2 from canvas px to frame px, clipped to the frame."""
        (frame_h, frame_w), (h, w) = self.frame_hw, self.size_hw
        corner = np.array([self.left, self.top, self.left, self.top], np.float32)
        scale = np.array([frame_w / w, frame_h / h, frame_w / w, frame_h / h], np.float32)
        limit = np.array([frame_w, frame_h, frame_w, frame_h], np.float32)
        mapped: NDArray[np.float32] = np.clip((boxes - corner) * scale, np.float32(0), limit)
        return mapped


Place = Callable[[HW, HW], Placement]  # (frame, canvas)


def letterbox(frame_hw: HW, canvas_hw: HW) -> Placement:
    """Keep the aspect, centred; rounded as Ultralytics' LetterBox does."""
    h, w = frame_hw
    ratio = min(canvas_hw[0] / h, canvas_hw[1] / w)
    size_hw = max(1, round(h * ratio)), max(1, round(w * ratio))
    top, left = (round((canvas - size) / 2 - 0.1) for canvas, size in zip(canvas_hw, size_hw, strict=True))
    return Placement(frame_hw=frame_hw, canvas_hw=canvas_hw, size_hw=size_hw, top=top, left=left)


def letterbox_topleft(frame_hw: HW, canvas_hw: HW) -> Placement:
    """Keep the aspect, top left; rounded down as YOLOX's `preproc` does."""
    h, w = frame_hw
    ratio = min(canvas_hw[0] / h, canvas_hw[1] / w)
    size_hw = max(1, int(h * ratio)), max(1, int(w * ratio))
    return Placement(frame_hw=frame_hw, canvas_hw=canvas_hw, size_hw=size_hw, top=0, left=0)


def stretch(frame_hw: HW, canvas_hw: HW) -> Placement:
    """Fill the canvas, whatever becomes of the aspect."""
    return Placement(frame_hw=frame_hw, canvas_hw=canvas_hw, size_hw=canvas_hw, top=0, left=0)


def crop(frame_hw: HW, canvas_hw: HW, resize: int = 0) -> Placement:
    """Keep the aspect, and of the resized frame the centre.

    Args:
        frame_hw: of the frame.
        canvas_hw: of the canvas, which is always covered.
        resize: px, the least length of the resized frame's shorter side.
    """
    h, w = frame_hw
    ratio = max(canvas_hw[0] / h, canvas_hw[1] / w, resize / min(h, w))
    return _centred(frame_hw, canvas_hw, (round(h * ratio), round(w * ratio)))


def stretch_crop(frame_hw: HW, canvas_hw: HW, resize: int) -> Placement:
    """Stretch to a square of `resize` px, and keep its centre."""
    return _centred(frame_hw, canvas_hw, (resize, resize))


def _centred(frame_hw: HW, canvas_hw: HW, wanted_hw: HW) -> Placement:
    """Cover the canvas with the centre; the corner is rounded as torchvision's CenterCrop does."""
    size_hw = max(canvas_hw[0], wanted_hw[0]), max(canvas_hw[1], wanted_hw[1])
    top, left = (-round((size - canvas) / 2) for canvas, size in zip(canvas_hw, size_hw, strict=True))
    return Placement(frame_hw=frame_hw, canvas_hw=canvas_hw, size_hw=size_hw, top=top, left=left)
