"""What outlives a context or lies outside it: work under way, and the memory that work reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._device import CudaError, hook, is_lost, misused, violated
from ._dims import volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._compute import Computed


@dataclass
class Running:
    """What of a context is enqueued and has not run yet. Outlives the context, so that its end can be judged."""

    count: int = 0
    stream: int = 0


class Shared:
    """Who used which memory for activations last: contexts may share it as long as they run one after the other."""

    def __init__(self) -> None:
        self._last: dict[int, Running] = {}

    def claim(self, memory: int, running: Running, stream: int) -> None:
        last = self._last.get(memory)
        if last is not None and last.count and last.stream != stream:
            misused("two contexts share their device memory and run on two streams at once")
        self._last[memory] = running


SHARED = Shared()


def ended(running: Running) -> None:
    if running.count and not is_lost():
        violated("an execution context was destroyed while its work was still queued")


def require_memory(pointer: int, nbytes: int) -> None:
    try:
        hook.memory(pointer, nbytes)
    except CudaError as exc:
        misused(str(exc))


def read(pointer: int, shape: tuple[int, ...], dtype: type[np.generic]) -> Computed:
    nbytes = volume(shape) * np.dtype(dtype).itemsize
    read: Computed = hook.memory(pointer, nbytes).view(dtype).reshape(shape).copy()
    return read


def write(pointer: int, value: Computed) -> None:
    hook.memory(pointer, value.nbytes)[:] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)


def writer(pointer: int, value: Computed) -> Callable[[], None]:
    return lambda: write(pointer, value)
