"""One output reduced on the GPU to the anchors that count, in such a way that its head can't tell the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.cuda.pick import Layout, Picker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.cuda.gpu import Gpu, Stream
    from streamer.infer.backends.base import Pick

    from .closing import Closing

MOST = 512  # anchors of a picture: a crowd of some fifty, each seen by ten


def layout_of(pick: Pick, shape: tuple[int, ...], dtype: str) -> Layout | None:
    """Return how the anchors lie in an output, or None where picking is not possible or saves nothing.

    Args:
        pick: what the head allows.
        shape: of the output, with its batch axis.
        dtype: of the output.
    """
    if len(shape) != 3 or dtype != "float32" or -1 in shape[1:]:
        return None
    first, second = shape[1:]
    rows = (
        pick.objectness
    )  # such heads take [B, A, C] only; the others tell the axes apart by the channels, these first
    anchor_major = rows or first != pick.channels
    anchors, channels = (first, second) if anchor_major else (second, first)
    if channels != pick.channels or anchors <= MOST:
        return None
    return Layout(
        channels=channels,
        anchors=anchors,
        anchor_major=anchor_major,
        objectness=pick.objectness,
        first_class=5 if pick.objectness else 4,
    )


class Picked:
    """What is picked of one batch: on the GPU, and page-locked on the host."""

    def __init__(self, gpu: Gpu, closing: Closing, layout: Layout, pick: Pick, max_batch: int) -> None:
        """Allocate; `closing` frees.

        Raises:
            BackendError: memory is short, or the kernels can't be compiled.
        """
        self._picker = Picker(gpu, layout, floor=pick.floor, most=MOST, max_batch=max_batch)
        closing.callback(self._picker.close)
        self._most = self._picker.most
        self._rows: NDArray[np.float32] = gpu.pinned((max_batch, *self._picker.shape), np.float32)
        self._counts: NDArray[np.int32] = gpu.pinned((max_batch,), np.int32)
        self._at: NDArray[np.int32] | None = None
        if pick.placed:
            self._at = gpu.pinned((max_batch, self._most), np.int32)
            # Zeros everywhere but where anchors were picked: untouched pages of it take no memory.
            self._whole = np.zeros((max_batch, layout.anchors, layout.channels), np.float32)
            self._filled: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * max_batch

    def enqueue(self, output: int, pictures: int, stream: Stream) -> None:
        """Enqueue the picking, which a graph may hold."""
        self._picker.enqueue(output, pictures, stream)

    def copy_out(self, pictures: int, stream: Stream) -> None:
        """Enqueue the way out."""
        stream.copy_out(self._rows[:pictures], self._picker.picked)
        stream.copy_out(self._counts[:pictures], self._picker.counts)
        if self._at is not None:
            stream.copy_out(self._at[:pictures], self._picker.indices)

    def read(self, pictures: int) -> NDArray[np.float32] | None:
        """Return the output as its head takes it, or None: of one picture there was more than could be kept."""
        counts = self._counts[:pictures]
        if (counts > self._most).any():
            return None
        if self._at is None:
            return self._rows[:pictures]
        for picture, count in enumerate(counts):
            anchors = self._at[picture, :count]
            self._whole[picture, self._filled[picture]] = 0
            self._whole[picture, anchors] = self._rows[picture, :count]
            self._filled[picture] = anchors.copy()
        return self._whole[:pictures]
