"""The folder of pictures and clips: whole files or none, no name that leads elsewhere, and a disk that is full."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from streamer.evidence.files import CLIPS, KINDS, SNAPSHOTS, EvidenceFolder, key_of, names_of

ID = "0199c3b2-7d1e-7c44-9a31-5f1f0c7b2a10"
KEY = f"porch/{ID}"
MB = 1_000_000


class Usage(NamedTuple):
    free: int


class Disk:
    """What `shutil.disk_usage` is asked."""

    def __init__(self, free: int = 100 * MB) -> None:
        self.free = free
        self.asked: list[Path] = []

    def __call__(self, path: Path) -> Usage:
        self.asked.append(path)
        return Usage(self.free)


def folder(root: Path, disk: Disk | None = None) -> EvidenceFolder:
    return EvidenceFolder(root, min_free_bytes=10 * MB, free=disk or Disk())


def test_what_is_written_lies_under_the_path_that_the_event_names(tmp_path: Path) -> None:
    written = folder(tmp_path)
    assert written.write(SNAPSHOTS, f"{KEY}.jpg", b"whole")
    assert (tmp_path / "snapshots" / "porch" / f"{ID}.jpg").read_bytes() == b"whole"
    assert [path.name for path in (tmp_path / "snapshots" / "porch").iterdir()] == [f"{ID}.jpg"]


def test_a_better_picture_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    written = folder(tmp_path)
    assert written.write(SNAPSHOTS, f"{KEY}.jpg", b"first" * 100)
    assert written.write(SNAPSHOTS, f"{KEY}.jpg", b"better")
    assert written.path(SNAPSHOTS, f"{KEY}.jpg").read_bytes() == b"better"


def test_nobody_ever_reads_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the write is cut off by, the name shows the old picture or the new one."""
    written = folder(tmp_path)
    written.write(SNAPSHOTS, f"{KEY}.jpg", b"before")
    seen: list[bytes] = []
    write_bytes = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        write_bytes(path, data[: len(data) // 2])
        seen.append(written.path(SNAPSHOTS, f"{KEY}.jpg").read_bytes())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    assert not written.write(SNAPSHOTS, f"{KEY}.jpg", b"after")
    monkeypatch.undo()
    assert seen == [b"before"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "snapshots" / "porch").iterdir()} == {
        f"{ID}.jpg": b"before"
    }


@pytest.mark.parametrize(
    "relative",
    [
        f"../{ID}.jpg",
        f"/etc/{ID}.jpg",
        f"porch/../../{ID}.jpg",
        f"porch/{ID}.jpg/x",
        f"porch/{ID}",
        f"porch/{ID}.mp4",
        f"porch/{ID}.jpg\n",
        f"Porch/{ID}.jpg",
        "porch/me.jpg",
        f"{ID}.jpg",
        "",
    ],
)
def test_what_is_not_ours_has_no_path(tmp_path: Path, relative: str) -> None:
    written = folder(tmp_path)
    assert key_of(SNAPSHOTS, relative) is None
    with pytest.raises(ValueError, match="snapshots: "):
        written.write(SNAPSHOTS, relative, b"")
    with pytest.raises(ValueError, match="no file of ours"):
        written.adopt(SNAPSHOTS, relative)
    assert list(tmp_path.iterdir()) == []


def test_all_files_of_an_event_are_known_by_it() -> None:
    names = list(names_of(KEY))
    assert {kind for kind, _ in names} == set(KINDS)
    assert {key_of(kind, relative) for kind, relative in names} == {KEY}
    assert (SNAPSHOTS, f"{KEY}.jpg") in names
    assert (CLIPS, f"{KEY}.mp4") in names


def test_nothing_is_written_where_the_disk_is_short_and_that_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    written = folder(tmp_path, disk)
    caplog.set_level(logging.INFO)
    disk.free = 10 * MB - 1
    assert [written.write(SNAPSHOTS, f"{KEY}.jpg", b"x") for _ in range(3)] == [False] * 3
    assert not written.room()
    assert list(tmp_path.iterdir()) == []
    disk.free = 10 * MB
    assert written.room()
    assert [written.write(SNAPSHOTS, f"{KEY}.jpg", b"x") for _ in range(3)] == [True] * 3
    why = "the disk has less than 10 MB to spare (evidence.min_free)"
    assert [record.getMessage() for record in caplog.records] == [
        f"pictures and clips are not written: {why}; events are told and stored all the same",
        "pictures and clips are written again",
    ]


def test_a_folder_that_can_t_be_made_is_told_in_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "snapshots").write_text("somebody's")
    written = folder(tmp_path)
    assert [written.write(SNAPSHOTS, f"{KEY}.jpg", b"x") for _ in range(2)] == [False, False]
    (record,) = caplog.records
    assert "can't be written to (Not a directory)" in record.getMessage()
    assert (tmp_path / "snapshots").read_text() == "somebody's"


def test_a_disk_that_can_t_be_looked_at_has_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written = EvidenceFolder(tmp_path / "gone", min_free_bytes=0)
    assert not written.room()
    assert "can't be looked at (No such file or directory)" in caplog.text


def test_the_real_disk_is_asked_unless_told_otherwise(tmp_path: Path) -> None:
    assert EvidenceFolder(tmp_path, min_free_bytes=0).room()
    assert not EvidenceFolder(tmp_path, min_free_bytes=1 << 62).room()


def test_a_kind_may_lie_on_a_disk_of_its_own(tmp_path: Path) -> None:
    """Where clips have a disk of their own, that one is asked; before there is a folder, the one it will be made on."""
    disk = Disk()
    written = folder(tmp_path, disk)
    written.room(CLIPS)
    (tmp_path / "clips").mkdir()
    written.room(CLIPS)
    written.room(SNAPSHOTS)
    assert disk.asked == [tmp_path, tmp_path / "clips", tmp_path]


def test_what_was_written_is_told_once_and_measured_whole(tmp_path: Path) -> None:
    written = folder(tmp_path)
    written.write(SNAPSHOTS, f"{KEY}.jpg", b"1" * 5)
    written.write(SNAPSHOTS, f"{KEY}-clean.jpg", b"1" * 7)
    clip = written.path(CLIPS, f"{KEY}.mp4")
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"1" * 11)
    os.utime(clip, ns=(0, 2_000_000_000 * 10**9))
    written.adopt(CLIPS, f"{KEY}.mp4")
    assert written.take_written() == [KEY]
    assert written.take_written() == []
    assert written.measured(KEY) == (2_000_000_000 * 10**9, 23)
    assert written.measured(f"yard/{ID}") is None
