"""The kernels of `streamer/cuda/kernels`, compiled for the host: the same text, threads one after the other."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "streamer" / "cuda" / "kernels"
SHIM = ROOT / "tests" / "cuda" / "shim"
FOLDER_VARIABLE = "STREAMER_HOST_KERNELS"  # a folder with the library of a parent process: it is compiled once for all
# No contraction: the host's numbers are then the same wherever the tests run. A warning is an error.
_FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
_LETTERS = {"u": "p", "i": "i", "f": "f"}  # numpy's kind of number -> the shim's letter of a parameter
_WIDTHS = {"p": 8, "i": 4, "f": 4}  # bytes

Size = tuple[int, int, int]


def kernel_names(source: str) -> list[str]:
    """Return the names of the kernels in CUDA source."""
    return re.findall(r'extern "C" __global__ void(?: __launch_bounds__\(\d+\))? (\w+)\(', source)


class HostKernels:
    """The library. Any number of threads may launch at once: where a thread stands is its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))

    @property
    def environ(self) -> dict[str, str]:
        """What a child process needs to use this library too."""
        return {FOLDER_VARIABLE: str(self.path.parent)}

    def parameters(self, name: str) -> str:
        """Return the kernel's parameters as letters: p (address), i (int), f (float).

        Raises:
            KeyError: there is no such kernel.
        """
        try:
            told = getattr(self._library, f"parameters_{name}")
        except AttributeError:
            raise KeyError(name) from None
        letters = ctypes.create_string_buffer(256)
        told(letters)
        return letters.value.decode()

    def launch(
        self, name: str, grid: Size, block: Size, arguments: Sequence[np.generic], *, backwards: bool = False
    ) -> None:
        """Run all threads of all blocks, `backwards` the last one first.

        Raises:
            KeyError: there is no such kernel.
            TypeError: the arguments are not those of its parameters, in number, kind or width.
            ValueError: the grid or the block is one that no GPU takes.
        """
        expected = self.parameters(name)
        letters = "".join(_LETTERS.get(a.dtype.kind, "?") for a in arguments)
        if letters != expected or any(a.nbytes != _WIDTHS[c] for a, c in zip(arguments, expected, strict=True)):
            given = ", ".join(str(a.dtype) for a in arguments)
            raise TypeError(f"{name}: expected the parameters {expected}, got {given}")
        _check_size(grid, (2**31 - 1, 65535, 65535))
        _check_size(block, (1024, 1024, 64))
        if block[0] * block[1] * block[2] > 1024:
            raise ValueError(f"block {block}: more than 1024 threads")
        values = [np.array(a) for a in arguments]
        addresses = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)
        getattr(self._library, f"host_{name}")(*sizes, addresses, int(backwards))


def _check_size(size: Size, limits: Size) -> None:
    if any(not 0 < n <= limit for n, limit in zip(size, limits, strict=True)):
        raise ValueError(f"{size}: expected 1..{limits}")


@cache
def host_library() -> HostKernels:
    """Compile the kernels once for this process and its children. Skips the test where there is no g++."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is not None:
        return HostKernels(next(Path(folder).glob("*.so")))
    return _compiled(tuple(sorted(KERNELS.glob("*.cu"))), _Folder.get())


class _Folder:
    """One folder for each process, removed at its end."""

    _held: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def get(cls) -> Path:
        if cls._held is None:
            cls._held = tempfile.TemporaryDirectory(prefix="host-kernels-")
        return Path(cls._held.name)


def _compiled(sources: tuple[Path, ...], folder: Path) -> HostKernels:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ (kernels compiled for the host)")
    names = [name for source in sources for name in kernel_names(source.read_text("utf-8"))]
    lines = [
        '#include "host_cuda.h"',
        *(f'#include "{s.name}"' for s in sources),
        *(f"HOST_KERNEL({n})" for n in names),
    ]
    text = "\n".join(lines) + "\n"
    unit = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.cpp"
    unit.write_text(text)
    target = unit.with_suffix(".so")
    command = [compiler, *_FLAGS, f"-I{SHIM}", f"-I{sources[0].parent}", str(unit), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return HostKernels(target)
