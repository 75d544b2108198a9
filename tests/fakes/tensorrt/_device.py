"""The GPU, as the fake of pycuda gives it: memory, streams, contexts. The only file that knows that fake."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray


class Facts(Protocol):
    name: str
    compute_capability: tuple[int, int]


class Reservation(Protocol):
    def free(self) -> None: ...


class Hook(Protocol):
    """What tests/fakes/pycuda/hook.py offers."""

    def device_facts(self) -> Facts: ...
    def has_context(self) -> bool: ...
    def free_bytes(self) -> int: ...
    def memory(self, pointer: int, nbytes: int) -> NDArray[np.uint8]: ...
    def capturing(self, stream_handle: int) -> bool: ...
    def invalidate_capture(self, stream_handle: int) -> None: ...
    def drain(self, stream_handle: int) -> None: ...
    def enqueue(
        self, stream_handle: int, work: Callable[[], None], uses: Sequence[tuple[int, int]], owner: object = None
    ) -> None: ...
    def reserve(self, nbytes: int) -> Reservation: ...


def hook() -> Hook:
    """Return the fake GPU of this process."""
    found: Hook = importlib.import_module("pycuda.hook")  # type: ignore[assignment]  # a module serves as the protocol
    return found
