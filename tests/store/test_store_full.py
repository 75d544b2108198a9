"""A start on a disk that is full: the ballast of the run before is there to be given up."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.made_events import encode, encode_interrupted, make_event

from streamer.core.clock import FakeClock
from streamer.core.errors import StoreError
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a small file system")
    command = [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def opened(data_dir: Path) -> EventStore:
    return open_store(data_dir, encode=encode, clock=FakeClock())


def fill(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            return


def crashed(data_dir: Path, left_by: Path) -> None:
    """Leave what a crash leaves: an open event in the journal, the ballast, and no shared memory."""
    store = opened(left_by)
    store.append([make_event("open")])
    data_dir.mkdir()
    for name in ("events.db", "events.db-wal"):
        shutil.copy(left_by / name, data_dir)
    (data_dir / "ballast").write_bytes(os.urandom(8 << 20))
    store.close()


def open_events(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "events.db")) as db:
        return int(db.execute("SELECT count(*) FROM events WHERE ended IS NULL").fetchone()[0])


def test_the_ballast_is_given_up_to_end_what_a_crash_left_open(small_disk: Path, tmp_path: Path) -> None:
    data_dir = small_disk / "data"
    crashed(data_dir, tmp_path / "before")
    fill(small_disk)
    store = opened(data_dir)
    assert store.interrupted(encode_interrupted) == 1
    assert not (data_dir / "ballast").exists()
    outbox = store.outbox()
    assert [json.loads(row.payload)["type"] for row in outbox.pending(0, 10)] == ["start", "end"]
    outbox.close()
    store.close()


def test_a_new_store_is_begun_in_the_space_of_the_ballast(small_disk: Path) -> None:
    data_dir = small_disk / "data"
    data_dir.mkdir()
    (data_dir / "ballast").write_bytes(os.urandom(8 << 20))
    fill(small_disk)
    store = opened(data_dir)
    store.append([make_event("a")])
    assert store.refusal is None
    store.close()


def test_without_any_space_events_stay_open_for_a_later_start(
    small_disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_dir = small_disk / "data"
    crashed(data_dir, tmp_path / "before")
    opened(data_dir).close()  # folds the journal in
    store = opened(data_dir)
    (data_dir / "ballast").unlink(missing_ok=True)
    fill(small_disk)
    for i in range(1_000):  # what the journal had room for
        if store.refusal is not None:
            break
        store.append([make_event(f"e{i}")])
        fill(small_disk)
    assert store.interrupted(encode_interrupted) == 0
    assert "a later start ends them" in caplog.text
    store.append([make_event("new")])
    outbox = store.outbox()
    assert json.loads(outbox.pending(0, 2_000)[-1].payload)["id"] == "new"  # sent from memory
    outbox.close()
    (small_disk / "filler").unlink()
    store.close()
    left = open_events(data_dir)
    later = opened(data_dir)
    assert later.interrupted(encode_interrupted) == left > 1
    later.close()


def test_what_is_wrong_but_not_a_full_disk_still_ends_the_start(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([make_event("open")])
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="can't be written"):
        store.interrupted(encode_interrupted)
    store.close()
    assert (tmp_path / "ballast").exists()


def test_a_store_of_the_first_version_is_carried_on_with_what_the_ballast_leaves(small_disk: Path) -> None:
    data_dir = small_disk / "data"
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "events.db")) as db:
        db.executescript(Path(__file__).with_name("written_by_schema_1.sql").read_text())
    (data_dir / "ballast").write_bytes(os.urandom(8 << 20))
    fill(small_disk)
    store = opened(data_dir)
    assert not (data_dir / "ballast").exists()
    assert store.interrupted(encode_interrupted) == 1
    store.close()
