"""What one batch in flight needs of its own: canvases on their way in, outputs on their way out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.cuda.gpu import Gpu, Memory, Stream

    from .closing import Closing
    from .engine import Shape, Tensor

# How numbers lie in memory; numpy has no bfloat16: it is the upper half of a float32.
_STORED = {"bfloat16": np.dtype(np.uint16)}


def stored_as(dtype: str) -> np.dtype[np.generic]:
    """Return the dtype that an array of such numbers is read with."""
    return _STORED.get(dtype) or np.dtype(dtype)


def nbytes_of(shape: Shape, dtype: str) -> int:
    """Return how many bytes a tensor takes."""
    return math.prod(shape) * stored_as(dtype).itemsize


def as_floats(values: NDArray[np.generic], dtype: str) -> NDArray[np.float32]:
    """Return numbers as float32: float32 as they are, all others as a copy."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(values, np.float32)


class Canvases:
    """The 8-bit pixels of a batch: page-locked on the host, and on the GPU."""

    def __init__(self, gpu: Gpu, closing: Closing, shape: tuple[int, int, int, int]) -> None:
        """Allocate; `closing` frees.

        Args:
            gpu: where.
            closing: what is to be freed goes there.
            shape: (B, H, W, 3) of the largest batch.

        Raises:
            BackendError: memory is short.
        """
        self._host: NDArray[np.uint8] = gpu.pinned(shape, np.uint8)
        self._memory = allocated(gpu, closing, math.prod(shape))
        self._each = math.prod(shape[1:])

    def pointer(self, row: int) -> int:
        """Return the device address of one canvas."""
        return self._memory.pointer + row * self._each

    def upload(self, canvases: NDArray[np.uint8], rows: list[int], stream: Stream) -> None:
        """Enqueue the way in of some rows; they have been read when this returns."""
        if len(rows) == len(canvases):
            host = self._host[: len(rows)]
            host[:] = canvases
            stream.copy_in(self._memory.pointer, host)
            return
        for row in rows:
            self._host[row] = canvases[row]
            stream.copy_in(self.pointer(row), self._host[row])


class Output:
    """One output of a fixed shape for each batch size: on the GPU, and page-locked on the host."""

    def __init__(self, gpu: Gpu, closing: Closing, tensor: Tensor, largest: Shape) -> None:
        """Allocate for the largest batch; `closing` frees.

        Raises:
            BackendError: memory is short.
        """
        self._dtype = tensor.dtype
        nbytes = nbytes_of(largest, tensor.dtype)
        self._memory = allocated(gpu, closing, nbytes)
        self._gpu, self._nbytes = gpu, nbytes
        self._host: NDArray[np.uint8] | None = None
        self.pointer = self._memory.pointer

    def pin(self) -> None:
        """Allocate the host's side, if it is not there.

        Raises:
            BackendError: memory is short.
        """
        if self._host is None:
            self._host = self._gpu.pinned((max(1, self._nbytes),), np.uint8)

    def copy_out(self, shape: Shape, stream: Stream) -> None:
        """Enqueue the way out."""
        part = self._part(shape)
        if part.size:
            stream.copy_out(part, self.pointer)

    def read(self, shape: Shape) -> NDArray[np.float32]:
        """Return what was copied out; of float32 a view, valid until the next copy."""
        return as_floats(self._part(shape).view(stored_as(self._dtype)).reshape(shape), self._dtype)

    def _part(self, shape: Shape) -> NDArray[np.uint8]:
        self.pin()
        assert self._host is not None  # noqa: S101  for the type checker
        return self._host[: nbytes_of(shape, self._dtype)]


def allocated(gpu: Gpu, closing: Closing, nbytes: int) -> Memory:
    """Allocate device memory, at least one byte, and leave its freeing to `closing`.

    Raises:
        BackendError: memory is short.
    """
    memory = gpu.allocate(max(1, nbytes))
    closing.callback(memory.free)
    return memory
