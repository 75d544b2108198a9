"""Outputs of SSD, NanoDet and their kin for an input of 32x64 px: 32, 8, 2 and 1 cells of strides 8 to 64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from head_sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELLS = (32, 8, 2, 1)


def nanodet(rng: np.random.Generator, *, levels: int) -> tuple[NDArray[np.generic], ...]:
    """Scores and distributions of each stride in turn."""
    return tuple(array for n in CELLS[:levels] for array in (rng.random((1, n, 2)), rng.normal(size=(1, n, 32))))


def ssd(rng: np.random.Generator) -> tuple[NDArray[np.generic], ...]:
    """Scores of a background and one class, and corners."""
    corners = rng.random((1, 1200, 4)) * 0.5 + [0, 0, 0.5, 0.5]
    return rng.random((1, 1200, 2)), corners


SAMPLES = {
    "ssd": Sample(ssd, names=("scores", "boxes")),
    "nanodet": Sample(lambda rng: nanodet(rng, levels=3), names=tuple("abcdef")),
    "nanodet-plus": Sample(lambda rng: (rng.random((1, 43, 34)),)),
    "picodet": Sample(lambda rng: nanodet(rng, levels=4), names=tuple("abcdefgh")),
    "fastestdet": Sample(lambda rng: (rng.random((1, 7, 2, 4)),)),
}
