"""One run at a time in a data directory."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from streamer.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


class DataDirLock:
    """The directory is ours until `close`, or until this process dies: the kernel holds the lock, not the file."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def close(self) -> None:
        """Give the directory back. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def lock_data_dir(data_dir: Path) -> DataDirLock:
    """Make the directory if need be, and take it.

    Raises:
        StoreError: another run has it, or it can't be written.
    """
    path = data_dir / "lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as exc:
        raise StoreError(f"data_dir {data_dir} can't be used: {exc.strerror}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        owner = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        if isinstance(exc, BlockingIOError):
            raise StoreError(f"data_dir {data_dir} is in use by another run (pid {owner or 'unknown'})") from exc
        raise StoreError(f"data_dir {data_dir} can't be locked: {exc.strerror}") from exc
    _write_pid(fd)
    return DataDirLock(fd)


def _write_pid(fd: int) -> None:
    os.ftruncate(fd, 0)
    try:
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:  # a full disk: the lock holds all the same, only the number is missing from the other's message
        return
