"""What goes when pictures and clips are too old or too many, and what never does."""

from __future__ import annotations

import os
import random
from itertools import count
from typing import TYPE_CHECKING

import pytest

from streamer.evidence.files import CLIPS, SNAPSHOTS, EvidenceFolder, names_of
from streamer.evidence.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.evidence.files import Measured

DAY = 86_400
NOW = 1_790_000_000  # seconds since 1970


def event(number: int, camera: str = "porch") -> str:
    return f"{camera}/{number:08x}-7d1e-7c44-9a31-5f1f0c7b2a10"


def put(root: Path, kind: str, relative: str, *, size: int = 100, at: float = NOW) -> Path:
    path = root / kind / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (at, at))
    return path


def folder(root: Path) -> EvidenceFolder:
    return EvidenceFolder(root, min_free_bytes=0)


def kept(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def settled(retention: Retention, now: float = NOW) -> tuple[int, int]:
    """Sweep until nothing is left to do; return files and bytes that were removed."""
    files = nbytes = 0
    for _ in range(1000):
        removed = retention.sweep(now)
        files, nbytes = files + removed.count, nbytes + removed.nbytes
        if not retention.busy:
            return files, nbytes
    pytest.fail("never done")


def test_what_is_too_old_goes_and_its_empty_folder_with_it(tmp_path: Path) -> None:
    put(tmp_path, SNAPSHOTS, f"{event(1, 'old')}.jpg", at=NOW - 15 * DAY)
    put(tmp_path, CLIPS, f"{event(1, 'old')}.mp4", at=NOW - 15 * DAY)
    put(tmp_path, SNAPSHOTS, f"{event(2)}.jpg", at=NOW - 13 * DAY)
    retention = Retention(folder(tmp_path), max_age_s=14 * DAY, max_bytes=1 << 40)
    assert settled(retention) == (2, 200)
    assert kept(tmp_path) == {f"snapshots/{event(2)}.jpg"}
    assert not (tmp_path / "snapshots" / "old").exists()
    assert not (tmp_path / "clips" / "old").exists()
    assert retention.nbytes == 100


def test_an_event_is_as_old_as_its_newest_file_and_goes_whole(tmp_path: Path) -> None:
    """No clip stays behind without its picture, nor a picture of an event whose clip was ended a minute ago."""
    put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg", at=NOW - 20 * DAY)
    put(tmp_path, CLIPS, f"{event(1)}.mp4", at=NOW - 60)
    for kind, relative in names_of(event(2)):
        put(tmp_path, kind, relative, at=NOW - 15 * DAY)
    assert settled(Retention(folder(tmp_path), max_age_s=14 * DAY, max_bytes=1 << 40)) == (4, 400)
    assert kept(tmp_path) == {f"snapshots/{event(1)}.jpg", f"clips/{event(1)}.mp4"}


def test_the_oldest_go_first_whatever_their_kind_or_camera(tmp_path: Path, seed: int) -> None:
    ages = list(range(30))
    random.Random(seed).shuffle(ages)  # in another order than their names'
    for number, age in enumerate(ages):
        kind, end = ((SNAPSHOTS, ".jpg"), (CLIPS, ".mp4"))[number % 2]
        put(tmp_path, kind, event(number, "ab"[number % 3 == 0]) + end, at=NOW - age)
    retention = Retention(folder(tmp_path), max_age_s=DAY, max_bytes=1200)
    assert settled(retention) == (18, 1800)
    left = {path.stat().st_mtime for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {NOW - age for age in range(12)}


def test_what_fits_stays(tmp_path: Path) -> None:
    put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg", size=1000, at=NOW - DAY)
    assert settled(Retention(folder(tmp_path), max_age_s=DAY, max_bytes=1000)) == (0, 0)


def test_files_that_are_not_ours_are_never_touched_and_do_not_count(tmp_path: Path) -> None:
    old = NOW - 100 * DAY
    ours = put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg", at=old)
    others = [
        put(tmp_path, "snapshots", "porch/holiday.jpg", at=old, size=10_000),
        put(tmp_path, "snapshots", "porch/.keep", at=old),
        put(tmp_path, "snapshots", f"{event(1)}.jpg.bak", at=old),
        put(tmp_path, "snapshots", f"{event(2)}.mp4", at=old),
        put(tmp_path, "clips", f"{event(2)}.mp4.part", at=old),  # for whoever writes clips to finish
        put(tmp_path, "clips", f"deeper/{event(2)}.mp4", at=old),
        put(tmp_path, "clips", "note.txt", at=old),
        put(tmp_path, ".", "streamer.db", at=old),
        put(tmp_path, "other", f"{event(3)}.jpg", at=old),
    ]
    (tmp_path / "snapshots" / "link").symlink_to(tmp_path / "other")
    retention = Retention(folder(tmp_path), max_age_s=DAY, max_bytes=0)
    assert settled(retention) == (1, 100)
    assert not ours.exists()
    assert all(path.exists() for path in others)
    assert retention.nbytes == 0


def test_half_a_picture_that_a_crash_has_left_goes_at_the_next_start(tmp_path: Path) -> None:
    put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg.part")
    put(tmp_path, SNAPSHOTS, f"{event(2)}.jpg")
    settled(Retention(folder(tmp_path), max_age_s=DAY, max_bytes=1 << 40))
    assert kept(tmp_path) == {f"snapshots/{event(2)}.jpg"}


def test_what_this_run_writes_counts_and_a_better_picture_makes_an_event_young(tmp_path: Path) -> None:
    ours = folder(tmp_path)
    retention = Retention(ours, max_age_s=1000 * DAY, max_bytes=250)
    settled(retention)
    for number in (1, 2, 1):  # the first one is seen better once more
        ours.write(SNAPSHOTS, f"{event(number)}.jpg", b"x" * 100)
    assert settled(retention) == (0, 0)
    assert retention.nbytes == 200
    ours.write(SNAPSHOTS, f"{event(3)}.jpg", b"x" * 100)
    assert settled(retention) == (1, 100)
    assert kept(tmp_path) == {f"snapshots/{event(1)}.jpg", f"snapshots/{event(3)}.jpg"}


def test_what_comes_while_earlier_runs_files_are_looked_at_is_counted_once(tmp_path: Path) -> None:
    for number in range(1200):
        put(tmp_path, SNAPSHOTS, f"{event(number)}.jpg", size=1, at=NOW - 5000 + number)
    ours = folder(tmp_path)
    retention = Retention(ours, max_age_s=1 << 40, max_bytes=1 << 40)
    retention.sweep(NOW)
    assert retention.busy
    for number in (*range(1200, 1210), 5, 1100):  # one that was looked at, perhaps, and one that was not
        ours.write(SNAPSHOTS, f"{event(number)}.jpg", b"xx")
    settled(retention)
    assert retention.nbytes == sum(path.stat().st_size for path in tmp_path.rglob("*.jpg"))
    assert retention.nbytes == 1198 + 24


def test_no_sweep_does_all_the_work_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes clips waits for it: it looks at a few files, and removes a few."""
    for number in range(1300):
        put(tmp_path, SNAPSHOTS, f"{event(number)}.jpg", at=NOW - 5000 + number)
    ours = folder(tmp_path)
    measured: list[str] = []
    measure = ours.measured

    def recorded(key: str) -> Measured | None:
        measured.append(key)
        return measure(key)

    monkeypatch.setattr(ours, "measured", recorded)
    retention = Retention(ours, max_age_s=1000 * DAY, max_bytes=0, timer=lambda: 0.0)
    steps, removals = [], []
    while retention.busy:
        before = len(measured)
        removals.append(retention.sweep(NOW).count)
        steps.append(len(measured) - before)
    assert max(steps) == 500
    assert sum(steps) == 1300
    assert max(removals) == 100
    assert sum(removals) == 1300
    assert kept(tmp_path) == set()
    measured.clear()
    for _ in range(60):
        retention.sweep(NOW)
    assert measured == []  # nothing is looked at again


def test_a_disk_that_is_slow_is_given_up_for_now(tmp_path: Path) -> None:
    """Each look at the time is 20 ms after the last here: three files are looked at, and three are removed."""
    for number in range(20):
        put(tmp_path, SNAPSHOTS, f"{event(number)}.jpg", at=NOW - 5000 + number)
    ticks = count()
    retention = Retention(folder(tmp_path), max_age_s=DAY, max_bytes=0, timer=lambda: 0.02 * next(ticks))
    removals = []
    while retention.busy:
        removals.append(retention.sweep(NOW).count)
    assert sum(removals) == 20
    assert [n for n in removals if n] == [3, 3, 3, 3, 3, 3, 2]
    assert removals.count(0) == 7  # six to look at twenty files, and the one that finds nothing to be left
    assert kept(tmp_path) == set()


def test_what_a_clock_that_was_not_set_has_dated_is_not_old(tmp_path: Path) -> None:
    """A machine without a clock of its own starts in 1970. By size such a file goes first."""
    put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg", at=1000)
    put(tmp_path, SNAPSHOTS, f"{event(2)}.jpg", at=NOW - 20 * DAY)
    put(tmp_path, SNAPSHOTS, f"{event(3)}.jpg", at=NOW)
    assert settled(Retention(folder(tmp_path), max_age_s=14 * DAY, max_bytes=1000)) == (1, 100)
    assert kept(tmp_path) == {f"snapshots/{event(1)}.jpg", f"snapshots/{event(3)}.jpg"}
    assert settled(Retention(folder(tmp_path), max_age_s=14 * DAY, max_bytes=100)) == (1, 100)
    assert kept(tmp_path) == {f"snapshots/{event(3)}.jpg"}


def test_a_clock_that_goes_back_removes_nothing(tmp_path: Path) -> None:
    put(tmp_path, SNAPSHOTS, f"{event(1)}.jpg", at=NOW)
    retention = Retention(folder(tmp_path), max_age_s=DAY, max_bytes=1000)
    assert settled(retention, now=1000) == (0, 0)
    assert settled(retention, now=NOW + 2 * DAY) == (1, 100)


def test_what_somebody_else_has_removed_is_no_trouble(tmp_path: Path) -> None:
    paths = [put(tmp_path, SNAPSHOTS, f"{event(number)}.jpg", at=NOW - 10 + number) for number in range(4)]
    retention = Retention(folder(tmp_path), max_age_s=DAY, max_bytes=400)
    settled(retention)
    paths[0].unlink()
    put(tmp_path, SNAPSHOTS, f"{event(9)}.jpg")
    assert settled(retention, now=NOW + 2 * DAY) == (3, 400)
    assert kept(tmp_path) == {f"snapshots/{event(9)}.jpg"}  # nobody has told of it: the next run finds it


def test_what_can_t_be_removed_is_told_once_and_not_tried_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        put(tmp_path, SNAPSHOTS, f"{event(number)}.jpg", at=NOW - 10)
    retention = Retention(folder(tmp_path), max_age_s=1, max_bytes=1000)

    def refuse(path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    assert settled(retention)[0] == 0
    (record,) = caplog.records
    assert record.getMessage().endswith("can't be removed: Permission denied")


def test_there_need_not_be_anything(tmp_path: Path) -> None:
    retention = Retention(folder(tmp_path / "nowhere"), max_age_s=1, max_bytes=1)
    assert retention.busy
    assert settled(retention) == (0, 0)
