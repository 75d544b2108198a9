"""Outputs that exporters write with axes of 1 which say nothing, or without the batch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

    from .base import Candidates, Head


def shaped(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> list[NDArray[np.float32]]:
    """Return a network's own outputs with the axes that its head takes.

    Raises:
        IndexError: one has fewer axes than its file says.
        ValueError: an axis that should be 1 is not.
    """
    every = (spec.axes.get(name) for name in spec.output_names)
    return [
        output if axes is None else output.reshape([1 if axis is None else output.shape[axis] for axis in axes])
        for output, axes in zip(outputs, every, strict=True)
    ]


class Shaped:
    """A head of outputs in another shape."""

    def __init__(self, head: Head, spec: ModelSpec) -> None:
        self._head = head
        self._spec = spec

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Shape, then decode."""
        return self._head(shaped(outputs, self._spec), floor, iou)
