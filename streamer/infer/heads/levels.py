"""Networks that answer for each stride apart: whose sizes round up, and which output is of which stride."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port

Pair = tuple["Port", "Port"]  # the classes of one stride, and its boxes


def level_hw(input_hw: HW, stride: int) -> HW:
    """Return the rows and columns of cells of a stride; a convolution with padding rounds up."""
    return -(-input_hw[0] // stride), -(-input_hw[1] // stride)


def count_level(input_hw: HW, strides: Sequence[int]) -> int:
    """Return how many cells the strides have together."""
    return sum(rows * columns for rows, columns in (level_hw(input_hw, stride) for stride in strides))


def centres(
    input_hw: HW, strides: Sequence[int], *, offset: Callable[[int], float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each cell's point x, y in px (A, 2) and its stride in px (A, 1), row-major, in the order of the strides.

    Args:
        input_hw: px.
        strides: px.
        offset: from a cell's corner to its point, px, for a stride.
    """
    points, sizes = [], []
    for stride in strides:
        height, width = level_hw(input_hw, stride)
        rows, columns = np.mgrid[0:height, 0:width]
        points.append(np.stack((columns.ravel(), rows.ravel()), axis=1) * stride + offset(stride))
        sizes.append(np.full((rows.size, 1), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def paired(
    ports: Sequence[Port], strides: Sequence[int], *, at: Callable[[Port, int], bool], is_box: Callable[[Port], bool]
) -> list[tuple[Pair, ...]]:
    """Return the ways to give each stride one output of classes and one of boxes; exporters keep to no order or name.

    Args:
        ports: the outputs.
        strides: px.
        at: whether an output has the size of a stride.
        is_box: whether an output may hold boxes; where classes may be taken for them, there are two ways.
    """
    ways = []
    for stride in strides:
        level = [port for port in ports if at(port, stride)]
        if len(level) != 2:
            return []
        ways.append([pair for pair in permutations(level) if is_box(pair[1])])
    return [tuple((a, b) for a, b in pairs) for pairs in zip(*ways, strict=False)]
