"""Stdout as results need it: what keeps them from being written is said once, in a sentence."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def say(text: str) -> None:
    """Tell on stderr; nobody can be told that nobody can be told."""
    with suppress(OSError):
        sys.stderr.write(text)


class _Results(io.FileIO):
    """Stdout that remembers why it could not be written: the buffers above it forget what they have raised once."""

    fault: OSError | None = None

    def write(self, part: Buffer, /) -> int:
        """Write, and remember a failure."""
        try:
            return super().write(part)
        except OSError as exc:
            self.fault = exc
            raise


def open_streams() -> None:
    """Give results a stream that remembers; what its user has closed leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  open as long as the process
    out = sys.__stdout__
    if out is not sys.stdout or not isinstance(out, io.TextIOWrapper):
        return
    raw = _Results(out.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if isinstance(out.buffer, io.FileIO) else io.BufferedWriter(raw),  # the former where nothing is buffered
        encoding=out.encoding, errors=out.errors, line_buffering=out.line_buffering, write_through=out.write_through,
    )  # fmt: skip


def why_unwritten() -> OSError | None:
    """Return what keeps results from being written: the disk that stdout goes to is full, nobody reads it any more."""
    with suppress(OSError):
        sys.stdout.flush()
    below = getattr(sys.stdout, "buffer", None)
    raw = getattr(below, "raw", below)
    return raw.fault if isinstance(raw, _Results) else None


def leave_unwritten(code: int, *, usage: int) -> int:
    """Say why results could not be written, and return the exit code; the interpreter then tries no more.

    Where they go is its user's choice, so that it is a wrong argument rather than a fault of ours.

    Args:
        code: of the command itself.
        usage: of a wrong argument, for a command that was content.
    """
    fault = why_unwritten()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if fault is None or isinstance(fault, BrokenPipeError):  # a reader that has seen enough
        return code
    say(f"stdout: can't be written ({fault.strerror})\n")
    return code or usage
