"""Polygons into pictures: fixed-point corners, soft shadows, and who shows at which pixel. Shared by the scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHIFT = 4  # OpenCV's fixed point: corners are drawn to 1/16 px

_SHADOW_DEPTH = 0.45  # share of the light that a shadow takes


def fixed(corners: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return corners (K, 2), px, in OpenCV's fixed point."""
    return np.rint((corners - 0.5) * (1 << SHIFT)).astype(np.int32)  # a pixel's centre is at +0.5, OpenCV's at 0


def cast_shadow(bgr: NDArray[np.uint8], corners: NDArray[np.float64], *, blur_px: float) -> None:
    """Darken what lies under an outline (K, 2), px, with a soft rim, in place."""
    mask, x, y = _patch((corners,), margin_px=round(2 * blur_px) + 1)
    kept = 255 - (cv2.blur(mask, (2 * round(blur_px) + 1,) * 2) * _SHADOW_DEPTH)
    where, part = _overlap(kept.astype(np.uint8), x, y, bgr.shape[:2])
    if part.size:
        bgr[where] = cv2.multiply(bgr[where], cv2.merge((part, part, part)), scale=1 / 255)


def claim(owner: NDArray[np.uint8], parts: Sequence[NDArray[np.float64]], number: int) -> int:
    """Mark the pixels of an object in `owner`; return the number of pixels of the whole of it, in or out of view.

    Args:
        owner: (H, W), who shows at each pixel.
        parts: the polygons (K, 2), px, that it consists of; they may overlap.
        number: written into its pixels.
    """
    mask, x, y = _patch(parts, margin_px=1)
    where, part = _overlap(mask, x, y, owner.shape)
    owner[where][part > 0] = number
    return int(np.count_nonzero(mask))


def _patch(parts: Sequence[NDArray[np.float64]], margin_px: int) -> tuple[NDArray[np.uint8], int, int]:
    """Return a whole object as a mask 0/255, and the place (x, y) of its top left corner in the picture, px."""
    low = np.min([part.min(axis=0) for part in parts], axis=0)
    high = np.max([part.max(axis=0) for part in parts], axis=0)
    x, y = np.floor(low).astype(int) - margin_px
    width, height = np.ceil(high).astype(int) + margin_px - (x, y) + 1
    mask = np.zeros((int(height), int(width)), np.uint8)
    for part in parts:
        cv2.fillPoly(mask, [fixed(part - (x, y))], 255, cv2.LINE_8, SHIFT)
    return mask, int(x), int(y)


def _overlap(
    mask: NDArray[np.uint8], x: int, y: int, hw: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    """Return where a patch meets a picture of `hw`, and that part of the patch."""
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = max(x1, min(hw[1], x + mask.shape[1])), max(y1, min(hw[0], y + mask.shape[0]))
    return (slice(y1, y2), slice(x1, x2)), mask[y1 - y : y2 - y, x1 - x : x2 - x]
