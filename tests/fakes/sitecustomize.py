"""Python's own hook at its start: a child process with tests/fakes on its path gets the fake libraries too."""

from __future__ import annotations

import ctypes

from pycuda._libraries import PatchedCDLL

ctypes.CDLL = PatchedCDLL  # type: ignore[misc]
