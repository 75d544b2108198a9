"""Space put by for the moment when the disk is full."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Ballast:
    """A file that takes up space until events need it more."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def there(self) -> bool:
        """Whether there is something to give up."""
        return self._path.exists()

    def make(self) -> bool:
        """Put the space by, if the disk has twice that to spare.

        Returns:
            Whether the file is there now.
        """
        if self.there():
            return True
        try:
            if shutil.disk_usage(self._path.parent).free < 2 * self._size_bytes:
                return False
            self._allocate()
        except OSError as exc:
            self._path.unlink(missing_ok=True)
            log.warning("no space could be put by for a full disk: %s", exc.strerror)
            return False
        return True

    def give_up(self) -> bool:
        """Free the space; False if it had been given up before."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.warning("the disk is full: %d MiB put by for events were given up", self._size_bytes >> 20)
        return True

    def _allocate(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size_bytes)
        except OSError as exc:
            if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            # No such call on this file system. Random bytes, since a compressing one would store zeros in no space.
            os.write(fd, os.urandom(self._size_bytes))
        finally:
            os.close(fd)
