"""The cells that a network's rows stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STRIDES = (8, 16, 32)  # px; of nearly every network of the YOLO family
# Sets of strides that networks are built with: one box for each cell, or several.
ANCHOR_FREE = (STRIDES, (8, 16, 32, 64), (4, 8, 16, 32), (4, 8, 16), (4, 8), (8, 16), (16, 32), (8,), (16,))
ANCHORED = (STRIDES, (8, 16, 32, 64), (16, 32))


def count_cells(input_hw: tuple[int, int], strides: Sequence[int]) -> int:
    """Return how many cells the strides give over an input, the rows of an anchor-free network."""
    height, width = input_hw
    return sum((height // stride) * (width // stride) for stride in strides)


def has_rows(
    rows: int | None, input_hw: tuple[int, int], stride_sets: Sequence[Sequence[int]], *, each: int = 1
) -> bool:
    """Whether a network with one of these sets of strides and `each` boxes a cell has so many rows; None may be any."""
    return rows is None or any(rows == each * count_cells(input_hw, strides) for strides in stride_sets)


def each_cell(rows: int, input_hw: tuple[int, int]) -> bool:
    """Whether these are rows for all cells of a network of any kind, not the best of them."""
    return has_rows(rows, input_hw, ANCHOR_FREE) or has_rows(rows, input_hw, ANCHORED, each=3)


def cells(input_hw: tuple[int, int], strides: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each cell's column and row (A, 2) and its stride in px (A, 1), row-major, finest stride first."""
    height, width = input_hw
    places, sizes = [], []
    for stride in strides:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        places.append(np.stack((columns.ravel(), rows.ravel()), axis=1))
        sizes.append(np.full((rows.size, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(sizes).astype(np.float32)
