"""Modules and kernels. An image is the CUDA source itself; a kernel runs in the host's build of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _errors as e
from ._contexts import own
from ._machine import machine
from ._queues import Stream, state_of
from ._streams import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._memory import Range


class Module:
    """Loaded kernels."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._handle = own("module", lambda: _nothing)

    def get_function(self, name: str) -> Function:
        machine.current("cuModuleGetFunction")
        if not re.search(rf"__global__[^;{{]*?\b{re.escape(name)}\s*\(", self._source):
            raise e.failed("cuModuleGetFunction", e.NOT_FOUND)
        return Function(self, name)


class Function:
    """One kernel."""

    def __init__(self, module: Module, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  as pycuda takes them
        grid, stream = kwargs.pop("grid", (1, 1)), kwargs.pop("stream", None)
        block, shared = kwargs.pop("block", None), kwargs.pop("shared", 0)
        if kwargs:
            raise ValueError(f"extra keyword arguments: {','.join(kwargs)}")
        if block is None:
            raise ValueError("must specify block size")
        for place, argument in enumerate(args):
            if not isinstance(argument, np.number):
                raise TypeError(f"invalid type on parameter #{place} (0-based)")
        _check_shape(grid, block, shared)
        self._launch(args, _three(grid), _three(block), stream)

    def _launch(
        self, arguments: tuple[Any, ...], grid: tuple[int, ...], block: tuple[int, ...], stream: Stream | None
    ) -> None:
        state = state_of(stream, "cuLaunchKernel")

        def run() -> None:
            if machine.fail_launch == self._name:
                raise e.failed("cuStreamSynchronize", e.LAUNCH_FAILED)
            machine.launches.append(self._name)
            _runner()(self._name, grid, block, arguments)

        state.enqueue("cuLaunchKernel", Work(self._name, run, _uses(arguments), owner=self._module))


def module_from_buffer(buffer: bytes, options: Any = (), message_handler: Any = None) -> Module:  # noqa: ANN401
    machine.current("cuModuleLoadDataEx")
    machine.refuse_while_capturing("cuModuleLoadDataEx")
    if options or message_handler is not None:
        raise NotImplementedError("the fake takes neither")
    text = bytes(buffer).rstrip(b"\0").decode("utf-8", "replace")
    if "__global__" not in text:
        raise e.failed("cuModuleLoadDataEx", e.INVALID_IMAGE)
    return Module(text)


def _nothing() -> None:
    """A module holds nothing that a test could miss."""


def _runner() -> Callable[..., None]:
    if machine.kernels is not None:
        return machine.kernels
    from host_kernels import host_library  # noqa: PLC0415  compiles the kernels; in tests/, beside the fakes

    runner: Callable[..., None] = host_library().launch
    return runner


def _uses(arguments: tuple[Any, ...]) -> tuple[Range, ...]:
    """The memory that the pointers among the arguments lie in, to its end."""
    uses = []
    for argument in arguments:
        if not isinstance(argument, np.uintp) or not int(argument):
            continue
        block = machine.memory.require("cuLaunchKernel", int(argument), 1)
        uses.append((int(argument), block.base + block.nbytes - int(argument)))
    return tuple(uses)


def _three(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, *(1,) * (3 - len(shape)))


def _check_shape(grid: tuple[int, ...], block: tuple[int, ...], shared: int) -> None:
    whole = all(type(n) is int and n >= 1 for n in (*grid, *block))
    limits = len(grid) <= 3 and len(block) <= 3 and np.prod(block) <= 1024 and all(n <= 65535 for n in grid[1:])
    if not whole or not limits or not 0 <= shared <= 48 << 10:
        raise e.failed("cuLaunchKernel", e.INVALID_VALUE, f"grid {grid}, block {block}, shared {shared}")
