"""The ways in which exporters lay out the numbers of anchored grids, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from .final import same_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port

_BOX = 5  # numbers before the classes: box and objectness


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One grid of cells."""

    stride: int  # px
    anchors: tuple[tuple[float, float], ...]  # width, height, px of the input
    reach: float = 1.0  # cells over which a box's centre may lie, Darknet's scale_x_y; 2 is from -0.5 to 1.5
    sizes: NDArray[np.float32] = field(init=False, repr=False, compare=False)  # (A, 2) of the anchors

    def __post_init__(self) -> None:
        """Keep the anchors as the numbers that sizes are multiplied by."""
        object.__setattr__(self, "sizes", np.array(self.anchors, np.float32))

    def cells(self, hw: HW) -> tuple[int, int]:
        """Return rows and columns over an input."""
        return hw[0] // self.stride, hw[1] // self.stride


class Layout(Enum):
    """The axes after the batch."""

    SPLIT = "[B, A, h, w, 5+C]"
    FLAT = "[B, A*(5+C), h, w]"
    SPLIT_LAST = "[B, h, w, A, 5+C]"
    FLAT_LAST = "[B, h, w, A*(5+C)]"
    ROWS = "[B, A*h*w, 5+C]"


def _axes(layout: Layout, anchors: int, cells: tuple[int, int], channels: int) -> tuple[int, ...]:
    h, w = cells
    match layout:
        case Layout.SPLIT:
            return (anchors, h, w, channels)
        case Layout.FLAT:
            return (anchors * channels, h, w)
        case Layout.SPLIT_LAST:
            return (h, w, anchors, channels)
        case Layout.FLAT_LAST:
            return (h, w, anchors * channels)
        case Layout.ROWS:
            return (anchors * h * w, channels)


def _channels(layout: Layout, shape: Sequence[int | None], anchors: int) -> int:
    """Return how many numbers one anchor has by its own axis, or 0."""
    axis = shape[1] if layout is Layout.FLAT else shape[-1]
    share = anchors if layout in (Layout.FLAT, Layout.FLAT_LAST) else 1
    return 0 if axis is None or axis % share else axis // share


def _fits(shape: Sequence[int | None], axes: Sequence[int]) -> bool:
    return len(shape) == len(axes) + 1 and all(
        own in (None, wanted) for own, wanted in zip(shape[1:], axes, strict=True)
    )


def find_grids(
    ports: Sequence[Port], levels: Sequence[Level], layout: Layout, hw: HW
) -> tuple[tuple[Port, ...], int] | None:
    """Find an output for each level, finest first.

    Args:
        ports: as many outputs as levels, in any order.
        levels: what is looked for.
        layout: the axes that they all have.
        hw: of the input, px.

    Returns:
        Outputs in the order of the levels, and how many classes they have; None if there are none.
    """
    anchors = len(levels[0].anchors)
    for order in permutations(ports):
        channels = _channels(layout, order[0].shape, anchors) if order[0].rank > 2 else 0
        if (
            channels > _BOX
            and same_rows(*order, axes=1)
            and all(
                port.dtype.startswith("float") and _fits(port.shape, _axes(layout, anchors, level.cells(hw), channels))
                for port, level in zip(order, levels, strict=True)
            )
        ):
            return order, channels - _BOX
    return None


def count_rows(levels: Sequence[Level], hw: HW) -> int:
    """Return how many anchors all levels have."""
    return sum(len(level.anchors) * h * w for level in levels for h, w in (level.cells(hw),))


def grids_of(
    outputs: Sequence[NDArray[np.float32]], sets: Sequence[Sequence[Level]], *, hw: HW, classes: int
) -> list[tuple[NDArray[np.float32], Level]]:
    """Bring outputs of any layout to one: a view (B, A, h, w, 5+C) of each level.

    Args:
        outputs: one for each level in any order, or all levels' rows in one.
        sets: the sets of levels that may be meant.
        hw: of the input, px.
        classes: how many the network counts.

    Raises:
        ValueError: no set of levels fits the outputs.
    """
    channels = _BOX + classes
    for levels in sets:
        if len(outputs) == 1 and outputs[0].shape[1:] == (count_rows(levels, hw), channels):
            return list(_split(outputs[0], levels, hw))
        if len(outputs) == len(levels):
            found = [(_grid(outputs, level, hw, channels), level) for level in levels]
            whole = [(grid, level) for grid, level in found if grid is not None]
            if len(whole) == len(levels):
                return whole
    raise ValueError("not the grids of an input of this size")


def _grid(outputs: Sequence[NDArray[np.float32]], level: Level, hw: HW, channels: int) -> NDArray[np.float32] | None:
    cells, anchors = level.cells(hw), len(level.anchors)
    for layout in Layout:
        axes = _axes(layout, anchors, cells, channels)
        for output in outputs:
            if output.shape[1:] == axes:
                return _view(output, layout, (anchors, *cells, channels))
    return None


def _view(output: NDArray[np.float32], layout: Layout, shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    anchors, h, w, channels = shape
    view: NDArray[np.float32]
    match layout:
        case Layout.FLAT:
            view = output.reshape(-1, anchors, channels, h, w).transpose(0, 1, 3, 4, 2)
        case Layout.SPLIT_LAST | Layout.FLAT_LAST:
            view = output.reshape(-1, h, w, anchors, channels).transpose(0, 3, 1, 2, 4)
        case _:
            view = output.reshape(-1, *shape)
    return view


def _split(rows: NDArray[np.float32], levels: Sequence[Level], hw: HW) -> Iterator[tuple[NDArray[np.float32], Level]]:
    start = 0
    for level in levels:
        end = start + count_rows((level,), hw)
        yield rows[:, start:end].reshape(len(rows), len(level.anchors), *level.cells(hw), -1), level
        start = end
