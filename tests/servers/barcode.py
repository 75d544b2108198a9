"""A frame's number, drawn as 16 black or white blocks in its top strip, and read back from luma at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 16
PERIOD = 1 << BITS
_STRIP = 12  # the strip is one twelfth of the height
_BLACK, _WHITE = 16, 235


def draw(luma: NDArray[np.uint8], number: int) -> None:
    """Draw `number` (mod 65536), most significant bit first, into luma (H, W)."""
    height, width = luma.shape
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        lit = number >> (BITS - 1 - bit) & 1
        luma[: height // _STRIP, edges[bit] : edges[bit + 1]] = _WHITE if lit else _BLACK


def read(luma: NDArray[np.uint8]) -> int | None:
    """Return the number in luma (H, W), or None where a block is neither black nor white."""
    height, width = luma.shape
    strip = luma[height // (_STRIP * 4) : height * 3 // (_STRIP * 4)]  # its middle half
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    number = 0
    for bit in range(BITS):
        margin = (edges[bit + 1] - edges[bit]) // 4
        level = float(strip[:, edges[bit] + margin : edges[bit + 1] - margin].mean())
        if 90 < level < 160:
            return None
        number = number << 1 | (level >= 160)
    return number


def unwrap(previous: int, number: int, period: int) -> int:
    """Return the rising count that `number` (mod `period`) stands for, given the rising count before it."""
    step = (number - previous) % period
    return previous + (step if step <= period // 2 else step - period)
