"""The cells that an anchor-free network's rows stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STRIDES = (8, 16, 32)  # px; of nearly every network of the YOLO family


def count_cells(input_hw: tuple[int, int], strides: Sequence[int]) -> int:
    """Return how many cells the strides give over an input, the rows of an anchor-free network."""
    height, width = input_hw
    return sum((height // stride) * (width // stride) for stride in strides)


def cells(input_hw: tuple[int, int], strides: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each cell's column and row (A, 2) and its stride in px (A, 1), row-major, finest stride first."""
    height, width = input_hw
    places, sizes = [], []
    for stride in strides:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        places.append(np.stack((columns.ravel(), rows.ravel()), axis=1))
        sizes.append(np.full((rows.size, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)
