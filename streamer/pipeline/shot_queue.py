"""Pictures that wait for the evidence thread."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from streamer.evidence.stills import Shot

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snap:
    """A picture that somebody has asked for."""

    camera: str
    picture: AnyPicture


Job: TypeAlias = Shot | Snap
_Key: TypeAlias = tuple[str, str | None]  # camera, event; without one: somebody has asked


class ShotQueue:
    """Jobs in order of arrival, one for each event, bounded in bytes of their pictures. Thread-safe, never waits.

    A picture that several jobs share counts once. When there are too many bytes those go first that are only better
    than what their events have, the oldest of them; then the oldest of all. One job there always may be.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards all below
        self._jobs: dict[_Key, Job] = {}
        self._held: Counter[int] = Counter()  # how many jobs share a picture, by its identity
        self._nbytes = 0
        self._closed = False

    def put(self, job: Job) -> list[Job]:
        """Append a job; return those that are dropped for it, or itself if nobody will take it."""
        key = (job.camera, job.event_id if isinstance(job, Shot) else None)
        with self._lock:
            if self._closed:
                return [job]
            before = self._jobs.get(key)
            if isinstance(before, Shot) and isinstance(job, Shot) and before.first:
                job = replace(job, first=True)
            self._jobs[key] = job  # in its place: it has waited as long
            self._hold_locked(job)
            if before is not None:
                self._release_locked(before)
            dropped: list[Job] = []
            while self._nbytes > self._max_bytes and len(self._jobs) > 1:
                dropped.append(self._pop_locked(self._least_locked()))
            return dropped

    def take(self) -> Job | None:
        """Return the oldest job, if there is one."""
        with self._lock:
            return self._pop_locked(next(iter(self._jobs))) if self._jobs else None

    def close(self) -> list[Job]:
        """Take no more jobs; return those that waited."""
        with self._lock:
            self._closed = True
            left, self._jobs, self._nbytes = list(self._jobs.values()), {}, 0
            self._held.clear()
            return left

    def _least_locked(self) -> _Key:
        """Return what goes first: the oldest one that is only better than what there is, else the oldest of all."""
        better = (key for key, job in self._jobs.items() if isinstance(job, Shot) and not job.first)
        return next(better, next(iter(self._jobs)))

    def _pop_locked(self, key: _Key) -> Job:
        job = self._jobs.pop(key)
        self._release_locked(job)
        return job

    def _hold_locked(self, job: Job) -> None:
        if not self._held[id(job.picture)]:
            self._nbytes += job.picture.nbytes
        self._held[id(job.picture)] += 1

    def _release_locked(self, job: Job) -> None:
        self._held[id(job.picture)] -= 1
        if not self._held[id(job.picture)]:
            self._nbytes -= job.picture.nbytes
            del self._held[id(job.picture)]
