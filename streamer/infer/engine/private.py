"""A folder that nobody else can write into: what is loaded from it is run with all that we may do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

OWN_FOLDER, OWN_FILE = 0o755, 0o644  # whatever the umask says: a group that may write is the default of some systems
_OTHERS_WRITE = 0o022
_ROOT = 0


def make_private(folder: Path) -> None:
    """Make a folder that only we can write into, if it is not there; check the one that is.

    Raises:
        BackendError: it is there, and others can write into it.
        OSError: it can't be made.
    """
    folder.mkdir(mode=OWN_FOLDER, parents=True, exist_ok=True)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Check that nobody but root and us can write into a folder, if it is there.

    Raises:
        BackendError: somebody can, or it can't be told.
    """
    try:
        known = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as exc:
        raise BackendError(f"engine cache {folder}: can't be read ({exc.strerror})") from exc
    why = None
    if known.st_uid not in (_ROOT, os.geteuid()):
        why = f"belongs to another user ({known.st_uid}); make it your own"
    elif known.st_mode & _OTHERS_WRITE:
        why = "others can write into it; take that away with chmod go-w"
    if why is not None:
        raise BackendError(
            f"engine cache {folder}: {why}, or choose another folder with STREAMER_CACHE: engines hold native code"
        )
