"""A picture's brightness at a small size: what the motion gate looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from streamer.core.frame import PixelFormat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.frame import Picture

    from .fit import HW

_ROWS_PER_CELL = 3  # rows averaged into one, where there are more: a quarter of the cost of them all at 1080p


def small_luma(picture: Picture, hw: HW) -> NDArray[np.uint8]:
    """Return the luma, (H, W) of `hw`, each the mean of the pixels that it covers; levels as the decoder gave them.

    Averaging takes the noise away that single pixels have. Of many rows some are enough for that.
    """
    plane: Any = picture.planes[0]
    step = max(1, picture.height // hw[0] // _ROWS_PER_CELL)
    small = cv2.resize(plane[::step], hw[::-1], interpolation=cv2.INTER_AREA)
    match picture.format:
        case PixelFormat.BGR:
            small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        case PixelFormat.RGB:
            small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    luma: NDArray[np.uint8] = small
    return luma
