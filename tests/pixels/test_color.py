from __future__ import annotations

import numpy as np
import pytest

from streamer.core.frame import ColorMatrix, ColorRange, PixelFormat
from streamer.pixels.color import yuv_weights

# Y, U, V of pure colours, limited range, from the tables of the standards (75 % bars are not used: these are 100 %).
BARS = {
    ColorMatrix.BT601: {"red": (81, 90, 240), "green": (145, 54, 34), "blue": (41, 240, 110)},
    ColorMatrix.BT709: {"red": (63, 102, 240), "green": (173, 42, 26), "blue": (32, 240, 118)},
}
RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.mark.parametrize("matrix", BARS)
@pytest.mark.parametrize("color", RGB)
def test_colour_bars_come_out_pure(matrix: ColorMatrix, color: str) -> None:
    weights = yuv_weights(matrix, ColorRange.LIMITED, PixelFormat.RGB)
    rgb = weights @ [*BARS[matrix][color], 1]
    np.testing.assert_allclose(rgb, RGB[color], atol=1.7)  # the tables are rounded to whole numbers


@pytest.mark.parametrize("matrix", ColorMatrix)
@pytest.mark.parametrize(("span", "black", "white"), [(ColorRange.LIMITED, 16, 235), (ColorRange.FULL, 0, 255)])
def test_grey_has_no_colour(matrix: ColorMatrix, span: ColorRange, black: int, white: int) -> None:
    weights = yuv_weights(matrix, span, PixelFormat.BGR)
    np.testing.assert_allclose(weights @ [black, 128, 128, 1], 0, atol=1e-9)
    np.testing.assert_allclose(weights @ [white, 128, 128, 1], 255, atol=1e-9)


def test_bgr_is_rgb_reversed_and_nothing_else_is_an_order() -> None:
    rgb = yuv_weights(ColorMatrix.BT709, ColorRange.FULL, PixelFormat.RGB)
    np.testing.assert_array_equal(yuv_weights(ColorMatrix.BT709, ColorRange.FULL, PixelFormat.BGR), rgb[::-1])
    with pytest.raises(ValueError, match="expected rgb or bgr, got nv12"):
        yuv_weights(ColorMatrix.BT709, ColorRange.FULL, PixelFormat.NV12)
