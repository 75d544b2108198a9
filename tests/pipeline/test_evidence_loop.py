"""The evidence thread: pictures in order and in time, a bounded queue, clips that are written on, and an end."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from event_shots import NBYTES, SIDE, event, picture, shot
from factory_line import EventClock

from streamer.core.clock import NS_PER_S, FakeClock, SystemClock
from streamer.evidence.files import SNAPSHOTS, EvidenceFolder, names_of
from streamer.evidence.retention import Retention
from streamer.pipeline.evidence_loop import Evidence, EvidencePlan
from streamer.pipeline.shot_queue import Snap
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.evidence.stills import Shot, Stills

TOO_WIDE = 70_000  # px, for a JPEG


class RecordedClips:
    """When clips were written on and ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.steps: list[int] = []
        self.closed_ns: int | None = None
        self.in_time: Callable[[], bool] = lambda: True

    def step(self, now_ns: int) -> None:
        assert self.closed_ns is None
        assert now_ns == self._clock.monotonic_ns()
        self.steps.append(now_ns)

    def close(self, in_time: Callable[[], bool]) -> None:
        assert self.closed_ns is None
        self.closed_ns = self._clock.monotonic_ns()
        self.in_time = in_time


class Rig:
    """An evidence thread and what it has told."""

    def __init__(self, root: Path, clock: Clock, *, min_free: int = 0, max_bytes: int = 100 * NBYTES) -> None:
        self.clock = clock
        self.saved: list[Shot] = []
        self.stills: list[Stills] = []
        self.snaps: list[tuple[str, bytes]] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.beats = 0
        self.told = threading.Event()
        self.clips = RecordedClips(clock)
        self.folder = EvidenceFolder(root, min_free_bytes=min_free)
        self.retention = Retention(self.folder, max_age_s=3600, max_bytes=1 << 40)
        plan = EvidencePlan(
            folder=self.folder,
            retention=self.retention,
            saved=self._saved,
            snapped=self._snapped,
            count=self._count,
            clips=self.clips,
        )
        self.evidence = Evidence(plan, clock=clock, beat=self._beat, max_bytes=max_bytes)

    def _saved(self, shot: Shot, stills: Stills) -> None:
        self.saved.append(shot)
        self.stills.append(stills)
        self.told.set()

    def _snapped(self, camera: str, jpeg: bytes) -> None:
        self.snaps.append((camera, jpeg))

    def _count(self, camera: str, cause: str, count: int) -> None:
        self.counts[camera, cause] += count

    def _beat(self) -> None:
        self.beats += 1

    def run_and_stop(self) -> None:
        """Have done what waits."""
        self.evidence.stop()
        self.evidence.loop()


def test_an_events_pictures_are_written_and_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeClock())
    rig.evidence.offer(shot(1))
    rig.run_and_stop()
    (told,), (stills,) = rig.saved, rig.stills
    assert told.event_id == event(1)
    written = {relative: path.read_bytes() for kind, relative in names_of(f"porch/{event(1)}")
               if (path := rig.folder.path(kind, relative)).exists()}  # fmt: skip
    assert written == {
        f"porch/{event(1)}.jpg": stills.boxed,
        f"porch/{event(1)}-clean.jpg": stills.clean,
        f"porch/{event(1)}-thumb.jpg": stills.thumb,
    }
    assert not rig.counts


def test_what_was_asked_for_is_told_and_not_kept(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeClock())
    rig.evidence.offer(Snap(camera="porch", picture=picture(200)))
    rig.run_and_stop()
    ((camera, jpeg),) = rig.snaps
    pixels = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    assert (camera, pixels.shape) == ("porch", (SIDE, SIDE, 3))
    assert abs(float(pixels.mean()) - (200 - 16) * 255 / 219) < 2
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_nobody_from_being_shown(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeClock(), min_free=1 << 62)
    for number in range(3):
        rig.evidence.offer(shot(number))
    rig.run_and_stop()
    assert len(rig.saved) == 3
    assert rig.counts == {("porch", "snapshot_unsaved"): 3}
    assert list(tmp_path.iterdir()) == []


def test_what_is_dropped_is_counted_for_its_camera(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeClock(), max_bytes=3 * NBYTES)
    for number in range(5):
        rig.evidence.offer(shot(number, camera="ab"[number % 2]))
    rig.run_and_stop()
    assert [told.event_id for told in rig.saved] == [event(2), event(3), event(4)]
    assert rig.counts == {("a", "snapshot_dropped"): 1, ("b", "snapshot_dropped"): 1}


def test_a_picture_that_can_t_be_made_is_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, FakeClock())
    for number in range(3):
        rig.evidence.offer(shot(number, picture(side=1, width=TOO_WIDE)))
    rig.evidence.offer(shot(3))
    with caplog.at_level(logging.WARNING):
        rig.run_and_stop()
    assert [told.event_id for told in rig.saved] == [event(3)]
    assert rig.counts == {("porch", "snapshot_failed"): 3}
    assert len(caplog.records) == 1


def test_clips_are_written_on_four_times_a_second_and_ended_last(tmp_path: Path) -> None:
    clock = EventClock()
    rig, start_ns = Rig(tmp_path, clock), clock.monotonic_ns()
    clock.at(start_ns + 10 * NS_PER_S + 1, rig.evidence.stop)
    clock.at(start_ns + 5 * NS_PER_S, partial(rig.evidence.offer, shot(1)))
    rig.evidence.loop()
    gaps = np.diff(rig.clips.steps)
    assert len(rig.clips.steps) == 40
    assert gaps.max() <= NS_PER_S // 4
    assert len(rig.saved) == 1
    assert rig.clips.closed_ns is not None
    assert rig.beats >= 40


def test_clips_are_written_on_however_many_pictures_there_are(tmp_path: Path) -> None:
    """Each picture takes 0.1 s here, and there is always another one."""
    clock = FakeClock()
    rig, numbers = Rig(tmp_path, clock), iter(range(60))
    end = threading.Event()

    def took_a_while(told: Shot, _: Stills) -> None:
        rig.saved.append(told)
        clock.advance(0.1)
        number = next(numbers, None)
        if number is None:
            end.set()
            rig.evidence.stop()
        else:
            rig.evidence.offer(shot(number + 1))

    object.__setattr__(rig.evidence._plan, "saved", took_a_while)
    rig.evidence.offer(shot(0))
    rig.evidence.loop()
    assert end.is_set()
    assert len(rig.saved) == 61
    assert np.diff(rig.clips.steps).max() <= 0.35 * NS_PER_S


def test_what_waits_at_the_end_is_written_for_a_while_and_clips_get_the_rest_of_it(tmp_path: Path) -> None:
    clock = FakeClock()
    rig = Rig(tmp_path, clock)
    told: list[Shot] = []

    def took_a_while(made: Shot, _: Stills) -> None:
        told.append(made)
        clock.advance(0.3)

    object.__setattr__(rig.evidence._plan, "saved", took_a_while)
    for number in range(10):
        rig.evidence.offer(shot(number))
    rig.run_and_stop()
    assert len(told) == 2
    assert rig.counts == {("porch", "snapshot_dropped"): 8}
    assert rig.clips.in_time()  # 0.6 s of the one have gone
    clock.advance(0.39)
    assert rig.clips.in_time()
    rig.evidence.stop(0.0)  # a signal: it can only shorten the time
    assert not rig.clips.in_time()
    rig.evidence.stop(10.0)
    assert not rig.clips.in_time()
    rig.evidence.offer(shot(11))  # nobody is there to make it
    assert rig.counts == {("porch", "snapshot_dropped"): 9}


def test_what_is_too_old_goes_once_a_minute(tmp_path: Path) -> None:
    clock = EventClock()
    rig, start_ns = Rig(tmp_path, clock), clock.monotonic_ns()
    sweeps: list[float] = []
    sweep = rig.retention.sweep

    def recorded(now_utc_s: float) -> object:
        sweeps.append((clock.monotonic_ns() - start_ns) / NS_PER_S)
        assert now_utc_s == clock.utc_ns() / NS_PER_S
        return sweep(now_utc_s)

    rig.retention.sweep = recorded  # type: ignore[method-assign,assignment]
    clock.at(start_ns + 200 * NS_PER_S, rig.evidence.stop)
    rig.evidence.loop()
    assert sweeps[0] <= 0.5  # what earlier runs have left is looked at, at once
    late = [at for at in sweeps if at > 1]
    assert late == pytest.approx([60, 120, 180], abs=1)


@pytest.mark.parametrize("waiting", [0, 3])
def test_the_thread_ends_when_it_is_told_to(tmp_path: Path, waiting: int) -> None:
    rig = Rig(tmp_path, SystemClock())
    worker = Worker("evidence", rig.evidence.loop)
    worker.start()
    for number in range(waiting):
        rig.evidence.offer(shot(number))
    rig.evidence.stop()
    assert worker.join(5.0)
    assert worker.failure is None
    assert len(rig.saved) == waiting
    assert rig.clips.closed_ns is not None


def test_a_job_wakes_the_thread(tmp_path: Path) -> None:
    rig = Rig(tmp_path, SystemClock())
    worker = Worker("evidence", rig.evidence.loop)
    worker.start()
    rig.evidence.offer(shot(1))
    assert rig.told.wait(5.0)
    rig.evidence.stop()
    assert worker.join(5.0)


def test_without_clips_there_are_pictures(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FakeClock())
    object.__setattr__(rig.evidence._plan, "clips", None)
    rig.evidence.offer(shot(1))
    rig.run_and_stop()
    assert (tmp_path / SNAPSHOTS / "porch" / f"{event(1)}.jpg").exists()
