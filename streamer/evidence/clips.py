"""Clips of events: begun and ended by what happens, written by the evidence thread from what the cameras send."""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from streamer.core.clock import NS_PER_S

from .files import CLIP, CLIPS, PART, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streamer.core.clock import Clock

    from .files import EvidenceFolder

_log = logging.getLogger(__name__)

DROPPED = "clip_dropped"  # what is counted: clips that were begun and of which nothing came
SAVED = "clips"  # those that came
_MOST = 64  # clips at once: each is a file of its own
_SLICE_BYTES = 4 << 20  # copied at once: 0.4 s of a slow card
_COPIED_BYTES = 4 * _SLICE_BYTES  # in one step
_NOTHING_NS = 5 * NS_PER_S  # a camera of which so long after a clip's end nothing has come is away
UNFINISHED = ".tmp"  # behind a clip's name while its index is put in front


class Finishing(Protocol):
    """Makes a clip of a part."""

    def advance(self, budget_bytes: int) -> tuple[float, int] | None:
        """Copy so many bytes; return seconds and bytes of the clip once it is there, 0 bytes if nothing was in it.

        Raises:
            OSError: the disk does not take it; the part stays.
        """

    def close(self) -> None:
        """Leave it for another attempt. Idempotent, never raises."""


class Cut(Protocol):
    """One clip that is being written."""

    def write(self, until_ns: int) -> int | None:
        """Write what has come up to a moment; return how many pictures there are, None once no more will come.

        Raises:
            OSError: it can't be written.
        """

    def end(self) -> Finishing | None:
        """End the part; None if nothing has come.

        Raises:
            OSError: it can't be written.
        """

    def drop(self) -> None:
        """Leave it, and remove what was written.

        Raises:
            OSError: it can't be removed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedClip:
    """A clip that is whole on the disk."""

    event_id: str
    camera: str
    path: str  # relative to data_dir/clips
    seconds: float
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipsPlan:
    """Where clips come from, and who is told of them."""

    folder: EvidenceFolder
    # camera, moment (monotonic, ns), part, clip -> what writes it; None: nothing is kept of the camera. Never waits.
    open_cut: Callable[[str, int, Path, Path], Cut | None]
    open_leftover: Callable[[Path, Path], Finishing]  # part, clip
    longest_ns: Mapping[str, int]  # of each camera that has clips
    told: Callable[[SavedClip], None]  # evidence thread
    count: Callable[[str, str, int], None]  # camera, counter, how many; any thread


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """A clip that was begun."""

    event_id: str
    camera: str
    cut: Cut
    until_ns: int

    @property
    def path(self) -> str:
        return f"{self.camera}/{self.event_id}{CLIP}"


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A part that becomes a clip."""

    event_id: str
    camera: str
    path: str
    finishing: Finishing


class Clips:
    """Every clip of a run. `begin` and `end` are the events thread's, the rest is the evidence thread's."""

    def __init__(self, plan: ClipsPlan, *, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._lock = threading.Lock()  # guards the orders and whether more are taken
        self._orders: dict[str, _Order] = {}  # by event
        self._closed = False
        self._jobs: deque[_Job] = deque()
        self._looked = False  # whether what a crash left behind has been looked for
        self._trouble: str | None = None  # why the last clip could not be written

    def begin(self, event_id: str, camera: str, from_ns: int) -> None:
        """Begin the clip of an event; never waits.

        Args:
            event_id: whose it is; one that has begun already goes on.
            camera: where it happens.
            from_ns: what the clip is to show first, monotonic, ns: what came before the event lies on the tape.
        """
        longest_ns = self._plan.longest_ns.get(camera)
        if longest_ns is None:
            return
        with self._lock:
            known, full = event_id in self._orders or self._closed, len(self._orders) >= _MOST
        if known:
            return
        path = self._plan.folder.path(CLIPS, f"{camera}/{event_id}{CLIP}")
        cut = None if full else self._plan.open_cut(camera, from_ns, path.with_name(path.name + PART), path)
        if cut is None:
            self._plan.count(camera, DROPPED, 1)
            return
        with self._lock:
            self._orders[event_id] = _Order(event_id, camera, cut, from_ns + longest_ns)

    def end(self, event_id: str, until_ns: int) -> None:
        """Let the clip of an event end with what was captured at `until_ns`, monotonic, ns; never waits."""
        with self._lock:
            order = self._orders.get(event_id)
            if order is not None and until_ns < order.until_ns:
                self._orders[event_id] = replace(order, until_ns=until_ns)

    def step(self, now_ns: int) -> None:
        """Write what has come. Called about four times a second.

        Blocks on: the disk: what has come since the last step, and `_COPIED_BYTES` of what has ended.
        """
        if not self._looked:
            self._looked = True
            self._jobs.extend(self._left_behind())
        orders = self._taken()
        if orders:
            room = self._plan.folder.room(CLIPS)
            for order in orders:
                self._write(order, now_ns, room=room)
        self._finish(_COPIED_BYTES // _SLICE_BYTES)

    def close(self, in_time: Callable[[], bool]) -> None:
        """End every clip where it is; what can't be made ready while there is time is so at the next start.

        Args:
            in_time: asked before each slice; it may become false sooner than it was meant to.
        """
        with self._lock:
            self._closed = True
        now_ns = self._clock.monotonic_ns()
        for order in self._taken():
            self._write(order, now_ns, room=self._plan.folder.room(CLIPS))
        for order in self._taken():
            self._end(order)
        while self._jobs and in_time():
            self._finish(1)
        for job in self._jobs:
            job.finishing.close()
        self._jobs.clear()

    def _taken(self) -> tuple[_Order, ...]:
        with self._lock:
            return tuple(self._orders.values())

    def _write(self, order: _Order, now_ns: int, *, room: bool) -> None:
        pictures: int | None = None  # without room it ends where it is
        if room:
            try:
                pictures = order.cut.write(order.until_ns)
            except OSError as exc:
                self._give_up(order, exc)
                return
        if pictures is None or (pictures == 0 and now_ns > order.until_ns + _NOTHING_NS):
            self._end(order)

    def _end(self, order: _Order) -> None:
        try:
            finishing = order.cut.end()
        except OSError as exc:
            self._give_up(order, exc)
            return
        self._forget(order)
        if finishing is None:
            self._plan.count(order.camera, DROPPED, 1)
        else:
            self._jobs.append(_Job(order.event_id, order.camera, order.path, finishing))

    def _give_up(self, order: _Order, exc: OSError) -> None:
        self._forget(order)
        self._plan.count(order.camera, DROPPED, 1)
        self._refused(order.path, exc)
        with suppress(OSError):  # the disk that refused to write it; the next start finds it
            order.cut.drop()

    def _forget(self, order: _Order) -> None:
        with self._lock:
            del self._orders[order.event_id]

    def _finish(self, slices: int) -> None:
        """Make clips of ended parts, one after the other, for so many slices."""
        for _ in range(slices):
            if not self._jobs:
                return
            job = self._jobs[0]
            try:
                finished = job.finishing.advance(_SLICE_BYTES)
            except OSError as exc:
                self._jobs.popleft().finishing.close()
                self._plan.count(job.camera, DROPPED, 1)
                self._refused(job.path, exc)
                continue
            if finished is not None:
                self._jobs.popleft()
                self._saved(job, *finished)

    def _saved(self, job: _Job, seconds: float, nbytes: int) -> None:
        if nbytes == 0:
            self._plan.count(job.camera, DROPPED, 1)
            return
        self._trouble = None
        self._plan.folder.adopt(CLIPS, job.path)
        self._plan.count(job.camera, SAVED, 1)
        self._plan.told(
            SavedClip(event_id=job.event_id, camera=job.camera, path=job.path, seconds=seconds, nbytes=nbytes)
        )

    def _refused(self, path: str, exc: OSError) -> None:
        """Say it when it changes: a disk that is broken is so for each clip."""
        why = exc.strerror or str(exc)
        if why != self._trouble:
            _log.warning("clips/%s can't be written: %s; events are told and stored", path, why)
        self._trouble = why

    def _left_behind(self) -> Iterator[_Job]:
        """Yield what makes clips of the parts that a crash has left, and remove copies that it broke off."""
        root = self._plan.folder.folder(CLIPS)
        for beside in sorted(root.glob(f"*/*{CLIP}{UNFINISHED}")):
            if key_of(CLIPS, _named(beside, UNFINISHED)) is not None:
                with suppress(OSError):  # as of a disk that can't be written: it would be the same with the next
                    beside.unlink()
        for part in sorted(root.glob(f"*/*{CLIP}{PART}")):
            relative = _named(part, PART)
            key = key_of(CLIPS, relative)
            if key is not None:
                camera, _, event_id = key.partition("/")
                yield _Job(event_id, camera, relative, self._plan.open_leftover(part, root / relative))


def _named(path: Path, end: str) -> str:
    """Return what a file beside a clip stands for: the clip, relative to its kind's folder."""
    return f"{path.parent.name}/{path.name[: -len(end)]}"
