"""Which pictures and clips go: the oldest first, when they are too old or too many."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .files import KINDS, PART, SNAPSHOTS, Measured, key_of, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .files import EvidenceFolder

_log = logging.getLogger(__name__)

_NS_PER_S = 1_000_000_000
# Of one sweep, which holds up whoever writes clips. A disk that is busy takes its time for each file.
_LIMIT_S = 0.05
_LOOKED_AT, _REMOVED = 500, 100  # files of earlier runs, events
# A machine without a clock of its own starts in 1970: what it wrote then is not old when it learns the time.
_SANE_NS = 1_577_836_800 * _NS_PER_S  # 2020-01-01


@dataclass(frozen=True, slots=True)
class Removed:
    """What a sweep took away."""

    count: int  # files
    nbytes: int


class Retention:
    """Keeps pictures and clips within an age and a size, both kinds together. For the evidence thread alone.

    What is removed is all that an event has: no clip is left without its picture. All that there is is looked at once,
    a part in each sweep; after that the folder tells what is new. Files that are not ours are never touched, and do
    not count.
    """

    def __init__(
        self,
        folder: EvidenceFolder,
        *,
        max_age_s: float,
        max_bytes: int,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the bounds.

        Args:
            folder: whose files they are.
            max_age_s: an event's files go when the newest of them is older.
            max_bytes: of all files; then the oldest go.
            timer: seconds, by which a sweep finds its end.
        """
        self._folder = folder
        self._max_age_ns = round(max_age_s * _NS_PER_S)
        self._max_bytes = max_bytes
        self._timer = timer
        self._events: dict[str, Measured] = {}  # <camera>/<id> -> what it has; oldest first once all has been looked at
        self._nbytes = 0
        self._unseen: Iterator[tuple[str, str]] | None = _files(folder)  # None: all has been looked at
        self._more = True
        self._stuck = False  # whether the last file could not be removed

    @property
    def nbytes(self) -> int:
        """Bytes of the files that are known of."""
        return self._nbytes

    def sweep(self, now_utc_s: float) -> Removed:
        """Do a part of what is to be done; call it again soon while `busy`.

        Args:
            now_utc_s: seconds since 1970.
        """
        until_s = self._timer() + _LIMIT_S
        for key in self._folder.take_written():
            self._measure(key)
        if self._unseen is not None:
            self._look_on(self._unseen, until_s)
            return Removed(0, 0)  # what is the oldest is not known before
        due, count, before = self._due(round(now_utc_s * _NS_PER_S)), 0, self._nbytes
        self._more = bool(due)
        for key in due:
            if count and self._timer() >= until_s:
                break
            count += self._remove(key)
        else:
            self._more = len(due) == _REMOVED
        return Removed(count, before - self._nbytes)

    @property
    def busy(self) -> bool:
        """Whether the last sweep has left something to do."""
        return self._more

    def _look_on(self, unseen: Iterator[tuple[str, str]], until_s: float) -> None:
        """Look at some more of what earlier runs have left."""
        for _ in range(_LOOKED_AT):
            found = next(unseen, None)
            if found is None:
                self._events = dict(sorted(self._events.items(), key=lambda item: item[1].newest_ns))
                self._unseen = None
                return
            kind, relative = found
            key = key_of(kind, relative)
            if key is not None:
                if key not in self._events:
                    self._measure(key)
            elif kind == SNAPSHOTS and relative.endswith(PART) and key_of(kind, relative[: -len(PART)]) is not None:
                # A crash has left it: pictures are written by this very thread, and in one go.
                _unlink(self._folder.folder(kind) / relative)
            if self._timer() >= until_s:
                return

    def _measure(self, key: str) -> None:
        """Learn what an event has by now; what has just been written becomes the newest."""
        before, after = self._events.pop(key, None), self._folder.measured(key)
        self._nbytes -= 0 if before is None else before.nbytes
        if after is not None:
            self._events[key] = after
            self._nbytes += after.nbytes

    def _due(self, now_ns: int) -> list[str]:
        """Return the events that have to go, oldest first: as many as one sweep may remove."""
        due: list[str] = []
        nbytes = self._nbytes
        for key, (newest_ns, own) in self._events.items():
            if len(due) == _REMOVED:
                break
            too_old = _SANE_NS < newest_ns < now_ns - self._max_age_ns
            if too_old or nbytes > self._max_bytes:
                due.append(key)
                nbytes -= own
            elif newest_ns >= _SANE_NS:  # neither are those behind it
                break
        return due

    def _remove(self, key: str) -> int:
        """Remove an event's files; return how many."""
        paths = [self._folder.path(kind, relative) for kind, relative in names_of(key)]
        count = sum(map(self._gone, paths))
        # What could not be removed does not count any more: it would be tried again for ever. The next run counts it.
        self._nbytes -= self._events.pop(key).nbytes
        for camera in {path.parent for path in paths}:
            _remove_empty(camera)
        return count

    def _gone(self, path: Path) -> bool:
        """Remove a file; return whether it was there, and is no more."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as exc:
            if not self._stuck:
                _log.warning("%s can't be removed: %s", path, exc.strerror)
            self._stuck = True
            return False
        self._stuck = False
        return True


def _files(folder: EvidenceFolder) -> Iterator[tuple[str, str]]:
    """Yield kind and relative path of all that lies where our files do."""
    for kind in KINDS:
        for camera in _entries(folder.folder(kind)):
            if camera.is_dir(follow_symlinks=False):
                yield from ((kind, f"{camera.name}/{entry.name}") for entry in _entries(camera.path))


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder; nothing if there is none, or it can't be read."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return
    except OSError as exc:
        _log.warning("%s can't be read: %s; its pictures and clips do not count", folder, exc.strerror)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        _log.warning("%s can't be removed: %s", path, exc.strerror)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # there is something in it, or it is not there
        return
