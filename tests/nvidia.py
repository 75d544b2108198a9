"""The fixture `fake_gpu`: a GPU that is not there, for code that drives one.

It puts `tests/fakes` on the path, so that `import pycuda` and `import tensorrt` find the stand-ins, and lets
`ctypes.CDLL` find fake libraries of the driver and of NVRTC. At its end it fails the test for whatever the code has
left behind on the device or done wrong.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pycuda._machine import Machine

TESTS = Path(__file__).resolve().parent
FAKES = TESTS / "fakes"
_VENDORS = ("pycuda", "tensorrt")
# Modules of ours that keep something of a vendor's for the life of the process; each has a `forget()` for tests.
_IMPORTERS = ("streamer.cuda.pycuda_gpu", "streamer.cuda.pycuda_stream")  # hold pycuda itself
_HOLDERS = ("streamer.cuda.open", "streamer.cuda.compile", "streamer.infer.backends.tensorrt.runtime")


class FakeGpu:
    """What a test sees of the fake: its state, its faults, and memory as a decoder fills it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a child process that is to have the fakes too."""
        path = os.pathsep.join(p for p in (str(FAKES), str(TESTS), os.environ.get("PYTHONPATH", "")) if p)
        return {**os.environ, "PYTHONPATH": path}

    def surface(self, contents: NDArray[Any]) -> int:
        """Return the address of device memory that gets `contents` late, by work on the default stream.

        So a hardware decoder gives its pictures: who does not wait for the default stream reads what was there before.
        The memory is not the code's to free.
        """
        from pycuda._streams import Work  # noqa: PLC0415  there only while the fixture is

        data = np.ascontiguousarray(contents).reshape(-1).view(np.uint8).copy()
        block = self.machine.allocate("cuMemAlloc", "device", data.nbytes, owner="decoder")

        def decode() -> None:
            block.bytes[:] = data

        self.machine.default.enqueue("decode", Work("decode", decode, ((block.base, block.nbytes),)))
        return block.base

    def free_surface(self, pointer: int) -> None:
        """Free what `surface` gave, as a decoder does once nobody holds the frame any more."""
        block = self.machine.memory.require("cuMemFree", pointer, 1)
        self.machine.free("cuMemFree", block)

    def read(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        """A copy of what device memory holds now: of what has been done, not of what is queued."""
        return np.array(self.machine.memory.view("read", pointer, nbytes))

    def forgive(self) -> list[str]:
        """Return what was done wrong so far, and forget it: for the test that did it."""
        wrong, self.machine.violations[:] = list(self.machine.violations), []
        return wrong

    def abandon(self) -> None:
        """Accept what is left on the device now: for a test of what a hung or lost GPU leaves behind by design."""
        for block in self.machine.memory.live():
            block.owner = "abandoned"
        for stream in self.machine.streams.values():
            stream.alive = stream is self.machine.default
        for held in (self.machine.reserved, self.machine.graphs, self.machine.executables):
            held.clear()

    def wrong(self) -> list[str]:
        """Return everything that the code under test must not have left: leaks, pushed contexts, violations."""
        found = [f"left: {leak}" for leak in self.machine.leaks()]
        if self.machine.stack:
            found.append(f"{len(self.machine.stack)} contexts are still pushed in the test's thread")
            self.machine.stack.clear()
        return found + self.forgive()


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """A machine with one GPU, pycuda, NVRTC and TensorRT, none of which is there."""
    held = {name: module for name, module in sys.modules.items() if name.split(".")[0] in _VENDORS}
    for name in held:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(FAKES))
    gpu = FakeGpu(importlib.import_module("pycuda._machine").machine)
    patched = importlib.import_module("pycuda._libraries").PatchedCDLL
    monkeypatch.setattr(ctypes, "CDLL", patched)
    _forget_opened()
    try:
        yield gpu
        gpu.machine.release()
        gc.collect()
        wrong = gpu.wrong()
    finally:
        _forget_opened()
        for name in [n for n in sys.modules if n.split(".")[0] in _VENDORS]:
            del sys.modules[name]
        sys.modules.update(held)
    assert not wrong, "\n".join(wrong)


def _forget_opened() -> None:
    """Let the code load and open everything anew: what it holds belongs to one import of the fakes."""
    for name in _IMPORTERS:
        sys.modules.pop(name, None)
    for name in _HOLDERS:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "forget"):
            module.forget()
