"""Outputs whose length only the pixels decide, as behind an NMS in the network: TensorRT asks for memory as it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError

from .buffers import as_floats, stored_as

if TYPE_CHECKING:
    from types import ModuleType

    import tensorrt
    from numpy.typing import NDArray

    from streamer.cuda.gpu import Gpu, Memory, Stream

    from .engine import Shape, Tensor
    from .logger import Tail

_PRESIZED_BYTES = 64 << 20  # up to here the most that can come is allocated at once: then nothing is while it runs


class Growing:
    """One such output. Never part of a graph: TensorRT waits for its length in the middle."""

    def __init__(self, gpu: Gpu, tensor: Tensor, most_bytes: int, tail: Tail) -> None:
        """Allocate what is surely enough, where that is known and not too much.

        Args:
            gpu: where.
            tensor: the output.
            most_bytes: what TensorRT says it can become; not above 0: unknown.
            tail: where TensorRT's reasons stand: a callback can't raise.

        Raises:
            BackendError: memory is short.
        """
        self._gpu = gpu
        self._dtype = tensor.dtype
        self._memory: Memory | None = None
        self._outgrown: list[Memory] = []
        self.shape: Shape | None = None
        self._tail = tail
        if 0 < most_bytes <= _PRESIZED_BYTES:
            self._memory = gpu.allocate(most_bytes)

    def grow(self, nbytes: int) -> int:
        """Return the address of at least so many bytes; 0: there is no memory."""
        wanted = max(1, nbytes)
        if self._memory is None or self._memory.nbytes < wanted:
            try:
                larger = self._gpu.allocate(wanted)
            except BackendError as exc:
                self._tail.add(str(exc))
                return 0
            if self._memory is not None:  # freed later: to free is to wait for the GPU, which is at work
                self._outgrown.append(self._memory)
            self._memory = larger
        return self._memory.pointer

    def read(self, stream: Stream) -> NDArray[np.float32]:
        """Copy out what has come and wait for it.

        Raises:
            BackendError: TensorRT has not said how much, or the GPU failed.
        """
        self._free_outgrown()
        if self.shape is None or self._memory is None or min(self.shape, default=1) < 0:
            raise BackendError("TensorRT has not said how long an output is")
        shape, self.shape = self.shape, None  # the next run tells its own
        values = np.empty(math.prod(shape), stored_as(self._dtype))
        if values.size:
            stream.copy_out(values, self._memory.pointer)
            stream.synchronize()
        return as_floats(values.reshape(shape), self._dtype)

    def close(self) -> None:
        """Free the memory. Idempotent."""
        self._free_outgrown()
        if self._memory is not None:
            self._memory.free()
            self._memory = None

    def _free_outgrown(self) -> None:
        while self._outgrown:
            self._outgrown.pop().free()


def open_allocator(trt: ModuleType, output: Growing) -> tensorrt.IOutputAllocator:
    """Return what TensorRT asks for memory; it keeps no reference to it, so the caller must."""

    class Allocator(trt.IOutputAllocator):  # type: ignore[name-defined,misc]  # known only when it runs
        def __init__(self, grown: Growing) -> None:
            trt.IOutputAllocator.__init__(self)  # mandatory: TypeError without
            self._grown = grown

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            """Give memory. The driver aligns all of it by 256 bytes or more, which is the most that is asked for."""
            del tensor_name, memory, alignment, stream
            return self._grown.grow(size)

        def notify_shape(self, tensor_name: str, shape: tensorrt.Dims) -> None:
            """Learn the length."""
            del tensor_name
            self._grown.shape = tuple(shape)

    return Allocator(output)
