"""A picture's brightness at a small size: what the motion gate looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from streamer.core.frame import Picture, PixelFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.frame import AnyPicture

    from .fit import HW

_ROWS_PER_CELL = 3  # at least so many are averaged into one: a quarter of the cost of them all at 1080p


def luma_hw(width: int, height: int, cell_px: int) -> HW:
    """Return how many whole cells a picture has."""
    return max(1, height // cell_px), max(1, width // cell_px)


def small_luma(picture: AnyPicture, cell_px: int) -> NDArray[np.uint8]:
    """Return the luma, (H, W) of `luma_hw`, each the mean of `cell_px` pixels each way; levels as they were decoded.

    Averaging takes the noise away that single pixels have; of many rows some are enough for that. Pixels beside the
    last whole cell are left out: a size that is no whole multiple would take four times as long.

    Raises:
        BackendError: the picture is in the memory of a GPU that failed.
    """
    rows, columns = luma_hw(picture.width, picture.height, cell_px)
    step = max(n for n in range(1, cell_px + 1) if cell_px % n == 0 and (n == 1 or cell_px // n >= _ROWS_PER_CELL))
    whole = _part(picture, (rows * cell_px, columns * cell_px), step)
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    match picture.format:
        case PixelFormat.BGR:
            small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        case PixelFormat.RGB:
            small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    luma: NDArray[np.uint8] = small
    return luma


def _part(picture: AnyPicture, hw: HW, step: int) -> Any:  # noqa: ANN401  OpenCV's stubs want its own array type
    """Return every `step`th row of the first plane's top left part; of a GPU's memory no more is copied than that."""
    if isinstance(picture, Picture):
        return picture.planes[0][: hw[0] : step, : hw[1]]
    from .device import luma_rows  # noqa: PLC0415  nothing of a GPU is loaded where there is none

    return luma_rows(picture, (min(hw[0], picture.height), min(hw[1], picture.width)), step)
