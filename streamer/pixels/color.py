"""From Y, U and V to R, G and B: the weights of each standard and range. Pure numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import ColorMatrix, ColorRange, PixelFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Share of red and of blue in the luma: ITU-R BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4 (non-constant luminance).
_SHARES = {
    ColorMatrix.BT601: (0.299, 0.114),
    ColorMatrix.BT709: (0.2126, 0.0722),
    ColorMatrix.BT2020: (0.2627, 0.0593),
}


def luma_scale(span: ColorRange) -> tuple[float, float]:
    """Return (a, b) so that a * Y + b is 0 for black and 255 for white."""
    return (1.0, 0.0) if span is ColorRange.FULL else (255 / 219, -16 * 255 / 219)


@cache
def yuv_weights(matrix: ColorMatrix, span: ColorRange, order: PixelFormat) -> NDArray[np.float64]:
    """Return the (3, 4) weights for (Y, U, V, 1), rows in the channel order RGB or BGR; all 0..255.

    Raises:
        ValueError: `order` is neither RGB nor BGR.
    """
    if order not in (PixelFormat.RGB, PixelFormat.BGR):
        raise ValueError(f"order: expected rgb or bgr, got {order.value}")
    red, blue = _SHARES[matrix]
    green = 1 - red - blue
    y, y_offset = luma_scale(span)
    c = 1.0 if span is ColorRange.FULL else 255 / 224
    v_to_red, u_to_blue = 2 * (1 - red) * c, 2 * (1 - blue) * c
    u_to_green, v_to_green = -u_to_blue * blue / green, -v_to_red * red / green
    rows = [
        [y, 0.0, v_to_red, y_offset - 128 * v_to_red],
        [y, u_to_green, v_to_green, y_offset - 128 * (u_to_green + v_to_green)],
        [y, u_to_blue, 0.0, y_offset - 128 * u_to_blue],
    ]
    weights = np.array(rows if order is PixelFormat.RGB else rows[::-1])
    weights.setflags(write=False)  # shared by all callers of the cache
    return weights
