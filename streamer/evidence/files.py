"""The folder of pictures and clips: what its files are called, and how one comes there whole or not at all."""

from __future__ import annotations

import logging
import re
import shutil
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

SNAPSHOTS, CLIPS = KINDS = ("snapshots", "clips")
# One event's files, behind its camera and id. The first of each kind is what the event itself names.
BOXED, CLEAN, THUMB, CLIP = ".jpg", "-clean.jpg", "-thumb.jpg", ".mp4"
_ENDS = {SNAPSHOTS: (BOXED, CLEAN, THUMB), CLIPS: (CLIP,)}
PART = ".part"  # behind the name of a file that is still being written
# A camera and an event's id, and nothing that could lead out of the folder.
_KEY = r"[a-z0-9][a-z0-9_-]*/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OURS = {kind: re.compile(f"({_KEY})(?:{'|'.join(map(re.escape, ends))})") for kind, ends in _ENDS.items()}
_MB = 1_000_000  # as sizes are written in the configuration


class Usage(Protocol):
    """What `shutil.disk_usage` says, as far as it matters here."""

    @property
    def free(self) -> int:
        """Bytes that a user may still write."""


class Measured(NamedTuple):
    """What one event has on the disk."""

    newest_ns: int  # ns since 1970: when its newest file was written
    nbytes: int


def names_of(key: str) -> Iterator[tuple[str, str]]:
    """Yield kind and relative path of each file that an event, `<camera>/<id>`, may have."""
    for kind, ends in _ENDS.items():
        yield from ((kind, key + end) for end in ends)


def key_of(kind: str, relative: str) -> str | None:
    """Return the event, `<camera>/<id>`, whose file this is; None if the file is not ours."""
    ours = _OURS[kind].fullmatch(relative)
    return None if ours is None else ours[1]


class EvidenceFolder:
    """`data_dir/snapshots/<camera>/<id>.jpg` and `data_dir/clips/<camera>/<id>.mp4`. For the evidence thread alone.

    What the disk refuses is not written, and that is no failure: the event itself is told and stored all the same. When
    that begins and when it is over is logged; whoever writes counts.
    """

    def __init__(self, root: Path, *, min_free_bytes: int, free: Callable[[Path], Usage] = shutil.disk_usage) -> None:
        """Store the parts; folders are made when something is written.

        Args:
            root: the `data_dir`.
            min_free_bytes: nothing is written while the disk has less than that to spare.
            free: tells what it has.
        """
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._free = free
        self._trouble: str | None = None  # why nothing is written now
        self._written: dict[str, None] = {}  # events with files that `take_written` has not told yet

    def path(self, kind: str, relative: str) -> Path:
        """Return where a file of an event lies.

        Args:
            kind: snapshots or clips.
            relative: `<camera>/<id>` and one of the ends.

        Raises:
            ValueError: no file of ours is called that.
        """
        if key_of(kind, relative) is None:
            raise ValueError(f"{kind}: expected <camera>/<id> and one of {', '.join(_ENDS[kind])}, got {relative!r}")
        return self._root / kind / relative

    def folder(self, kind: str) -> Path:
        """Return the folder of a kind: in it is one for each camera that has something."""
        return self._root / kind

    def room(self, kind: str = CLIPS) -> bool:
        """Whether the disk of a kind, which may be one of its own, has enough to spare for something to be written."""
        folder = self.folder(kind)
        try:
            free_bytes = self._free(folder if folder.is_dir() else self._root).free
        except OSError as exc:
            return self._refused(f"{folder} can't be looked at ({exc.strerror})")
        if free_bytes < self._min_free_bytes:
            return self._refused(
                f"the disk has less than {self._min_free_bytes // _MB} MB to spare (evidence.min_free)"
            )
        return True

    def write(self, kind: str, relative: str, data: bytes) -> bool:
        """Write a file whole, in place of the one that was there.

        It is written beside and then renamed, so that nobody ever reads half of it. It is not forced to the disk: after
        a power cut the pictures of the last seconds may be missing.

        Returns:
            False if there is no room, or the disk refuses.

        Raises:
            ValueError: no file of ours is called that.
        """
        path = self.path(kind, relative)
        if not self.room(kind):
            return False
        part = path.with_name(path.name + PART)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
        except OSError as exc:
            _forget_part(part)
            return self._refused(f"{path.parent} can't be written to ({exc.strerror})")
        self.adopt(kind, relative)
        return True

    def adopt(self, kind: str, relative: str) -> None:
        """Take in that somebody else has written a file whole: it counts from now on.

        Raises:
            ValueError: no file of ours is called that.
        """
        key = key_of(kind, relative)
        if key is None:
            raise ValueError(f"{kind}: {relative!r} is no file of ours")
        self._written.pop(key, None)
        self._written[key] = None  # the newest
        if self._trouble is not None:
            self._trouble = None
            _log.info("pictures and clips are written again")

    def take_written(self) -> list[str]:
        """Return the events, `<camera>/<id>`, that got files since this was last asked, in the order of the last."""
        written, self._written = list(self._written), {}
        return written

    def measured(self, key: str) -> Measured | None:
        """Return what an event has on the disk; None if that is nothing."""
        newest_ns, nbytes, found = 0, 0, False
        for kind, relative in names_of(key):
            try:
                stat = self.path(kind, relative).stat(follow_symlinks=False)
            except OSError:  # not there, as most of the four, or not to be had: no bytes of ours
                continue
            found, nbytes, newest_ns = True, nbytes + stat.st_size, max(newest_ns, stat.st_mtime_ns)
        return Measured(newest_ns, nbytes) if found else None

    def _refused(self, why: str) -> bool:
        if self._trouble is None:
            _log.warning("pictures and clips are not written: %s; events are told and stored all the same", why)
        self._trouble = why
        return False


def _forget_part(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:  # the disk that refused to write it; the next start finds it
        _log.debug("%s is left behind", part)
