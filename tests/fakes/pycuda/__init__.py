"""A stand-in for pycuda without a GPU: its names, its rules, and memory of the host behind its device pointers."""

from __future__ import annotations

VERSION = (2026, 1)
VERSION_STATUS = ""
VERSION_TEXT = ".".join(str(x) for x in VERSION) + VERSION_STATUS
