"""The thread that writes pictures and clips, and keeps them within their bounds."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamer.core.clock import NS_PER_S
from streamer.evidence.files import BOXED, CLEAN, SNAPSHOTS, THUMB
from streamer.evidence.stills import StillError, drawn, encoded, pixels_of

from .shot_queue import ShotQueue, Snap

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.evidence.files import EvidenceFolder
    from streamer.evidence.retention import Retention
    from streamer.evidence.stills import Shot, Stills

    from .shot_queue import Job

_log = logging.getLogger(__name__)

_TICK_NS = NS_PER_S // 4  # how often clips are written on
_SWEEP_NS = 60 * NS_PER_S
_AT_END_S = 1.0  # what waits then is written for so long: half of it for pictures, the rest for clips
_BYTES = 64 << 20  # of pictures that wait


class Clips(Protocol):
    """What writes clips. For the evidence thread."""

    def step(self, now_ns: int) -> None:
        """Write what has come since."""

    def close(self, in_time: Callable[[], bool]) -> None:
        """End what is being written; what can't be made ready while there is time is so at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePlan:
    """What the evidence thread needs."""

    folder: EvidenceFolder
    retention: Retention
    saved: Callable[[Shot, Stills], None]  # an event's pictures were made, whether or not the disk had room for them
    snapped: Callable[[str, bytes], None]  # (camera, JPEG): the picture that was asked for
    count: Callable[[str, str, int], None]  # (camera, cause, how many); any thread
    clips: Clips | None = None


class Evidence:
    """Makes the pictures of events. `loop` is the evidence thread; `offer` and `stop` may be called from any."""

    def __init__(self, plan: EvidencePlan, *, clock: Clock, beat: Callable[[], None], max_bytes: int = _BYTES) -> None:
        """Store the parts.

        Args:
            plan: the parts.
            clock: of ticks and of ages.
            beat: called at each round.
            max_bytes: of the pictures that may wait; then some go, counted as `snapshot_dropped`: the oldest, but the
                only ones of their events last.
        """
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._waiting = ShotQueue(max_bytes)
        self._wake = threading.Event()
        self._deadline_ns: int | None = None  # of `stop`
        self._failing = False  # whether the last picture could not be made
        self._ticked_ns = self._swept_ns = clock.monotonic_ns()

    def offer(self, job: Job) -> None:
        """Have a picture made; never waits. A newer one of the same event takes an older one's place. Any thread."""
        for dropped in self._waiting.put(job):
            self._plan.count(dropped.camera, "snapshot_dropped", 1)
        self._wake.set()

    def stop(self, within_s: float = _AT_END_S) -> None:
        """Write what waits, for so long at most, and end the loop; called again it can only shorten the time."""
        deadline_ns = self._clock.monotonic_ns() + round(within_s * NS_PER_S)
        self._deadline_ns = deadline_ns if self._deadline_ns is None else min(self._deadline_ns, deadline_ns)
        self._wake.set()

    def loop(self) -> None:
        """Make pictures as they are asked for, write clips on, and remove what is over its age or size.

        Thread: evidence.  Ends: `stop`; what waits is written and clips are ended within the time that it gives.
        Blocks on: its wake event (a job, stop; at most until the next tick, 0.25 s), the disk.
        """
        while self._deadline_ns is None:
            self._beat()
            self._wake.clear()  # before the look: a job that comes during it wakes again
            job = self._waiting.take()
            if job is not None:
                self._do(job)
            self._tick()
            if job is None:
                self._clock.wait(self._wake, self._pause_s())
        self._finish()

    def _finish(self) -> None:
        began_ns = self._clock.monotonic_ns()
        while self._clock.monotonic_ns() - began_ns < self._left_ns() and (job := self._waiting.take()) is not None:
            self._beat()
            self._do(job)
        for dropped in self._waiting.close():
            self._plan.count(dropped.camera, "snapshot_dropped", 1)
        if self._plan.clips is not None:
            self._plan.clips.close(lambda: self._left_ns() > 0)

    def _left_ns(self) -> int:
        return 0 if self._deadline_ns is None else self._deadline_ns - self._clock.monotonic_ns()

    def _tick(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._ticked_ns < _TICK_NS:
            return
        self._ticked_ns = now_ns
        if self._plan.clips is not None:
            self._plan.clips.step(now_ns)
        if self._plan.retention.busy or now_ns - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now_ns
            removed = self._plan.retention.sweep(self._clock.utc_ns() / NS_PER_S)
            if removed.count:
                _log.debug("%d pictures and clips removed, %d bytes", removed.count, removed.nbytes)

    def _pause_s(self) -> float:
        """Return how long nothing is due."""
        return max(0.0, (self._ticked_ns + _TICK_NS - self._clock.monotonic_ns()) / NS_PER_S)

    def _do(self, job: Job) -> None:
        try:
            if isinstance(job, Snap):
                self._plan.snapped(job.camera, encoded(pixels_of(job.picture)))
            else:
                self._save(job, drawn(job))
        except StillError as exc:
            self._plan.count(job.camera, "snapshot_failed", 1)
            if not self._failing:
                _log.warning("no picture: %s", exc, extra={"camera": job.camera})
            self._failing = True
        else:
            self._failing = False

    def _save(self, shot: Shot, stills: Stills) -> None:
        """Write an event's pictures, and tell of them: a full disk keeps nobody from being shown."""
        key = f"{shot.camera}/{shot.event_id}"
        for end, jpeg in ((BOXED, stills.boxed), (CLEAN, stills.clean), (THUMB, stills.thumb)):
            if not self._plan.folder.write(SNAPSHOTS, key + end, jpeg):
                self._plan.count(shot.camera, "snapshot_unsaved", 1)
                break
        self._plan.saved(shot, stills)
