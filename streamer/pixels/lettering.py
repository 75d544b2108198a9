"""Text on pictures, in any script that OpenCV's own fonts have.

Those are Rubik and WenQuanYi Micro Hei: Latin, Cyrillic, Greek, Chinese, Japanese, Korean. OpenCV neither joins Arabic
letters nor orders right-to-left text, so that such names would be misread.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from .palette import Bgr

_WEIGHT = 500  # of 100..1000: at 12 px the strokes of 400 are thinner than a pixel
_ABOVE, _BELOW = 0.98, 0.26  # of the size: from an umlaut's dots to the baseline, and on to the end of a g
_ANYWHERE = (1 << 20, 1 << 20)  # px: a picture as wide as any text, so that no line is broken


class Lettering:
    """Text of one size. For one thread, as a font's weight is set while it draws."""

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px
        self._margin_px = max(2, round(size_px / 6))
        self._font: Any = cv2.FontFace("sans")

    @property
    def plate_height_px(self) -> int:
        """The height of a plate, whatever stands on it."""
        return round(self._size_px * (_ABOVE + _BELOW)) + self._margin_px

    def plate_size(self, text: str) -> tuple[int, int]:
        """Return width and height of a plate for one line of `showable` text, px."""
        _, _, width, _ = cv2.getTextSize(_ANYWHERE, text, (0, 0), self._font, self._size_px, _WEIGHT)
        return width + 2 * self._margin_px, self.plate_height_px

    def shortened(self, text: str, width_px: int) -> str:
        """Return a text, cut with an ellipsis where it would not fit on a plate of a width; empty if nothing fits."""
        if self.plate_size(text)[0] <= width_px:
            return text
        # A narrow letter is a fifth of the size wide: no longer piece can fit.
        for length in range(min(len(text) - 1, 5 * width_px // self._size_px), 0, -1):
            piece = f"{text[:length].rstrip()}…"
            if self.plate_size(piece)[0] <= width_px:
                return piece
        return ""

    def write(self, canvas: Any, text: str, left_top: tuple[int, int], ink: Bgr) -> None:  # noqa: ANN401  OpenCV's stubs want its own array type
        """Write onto a plate whose corner is given."""
        left, top = left_top
        baseline = (left + self._margin_px, top + self._margin_px // 2 + round(self._size_px * _ABOVE))
        cv2.putText(canvas, text, baseline, ink, self._font, self._size_px, _WEIGHT)


@functools.lru_cache(maxsize=4096)
def showable(name: str) -> str | None:
    """Return a class name as it can be drawn on one line, or None if its script can't.

    Symbols without a glyph, emoji above all, are spelled out: 🚗 becomes "automobile".
    """
    # A lone surrogate ends the process inside OpenCV.
    whole = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    if any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in whole):
        return None
    drawn = [_drawable(letter) for letter in whole]
    words = " ".join("".join(letter for letter in drawn if letter is not None).split())
    return None if None in drawn or not words else words


def _drawable(letter: str) -> str | None:
    """Return what to draw for one letter; None if nothing would say the same."""
    category = unicodedata.category(letter)
    if category in {"Cc", "Zl", "Zp", "Zs"}:
        return " "
    if category == "Cf" or unicodedata.name(letter, "").startswith("VARIATION SELECTOR"):
        return ""  # they change how their neighbours look, and have no look of their own
    if _has_glyph(letter):
        return letter
    return f" {unicodedata.name(letter).lower()} " if category in {"So", "Sm", "Sk"} else None


@functools.lru_cache(maxsize=4096)
def _has_glyph(letter: str) -> bool:
    """Whether a letter is drawn as anything but OpenCV's stand-in for missing ones, a question mark."""
    return letter == "?" or not np.array_equal(_specimen(letter), _specimen("?"))


def _specimen(letter: str) -> Any:  # noqa: ANN401  OpenCV's stubs want its own array type
    canvas = np.zeros((48, 96, 3), np.uint8)
    cv2.putText(canvas, letter, (16, 32), (255, 255, 255), cv2.FontFace("sans"), 24, _WEIGHT)
    return canvas
