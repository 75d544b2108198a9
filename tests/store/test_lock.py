from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import StoreError
from streamer.store.lock import lock_data_dir

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_run_is_told_who_has_the_directory(tmp_path: Path) -> None:
    lock = lock_data_dir(tmp_path / "made" / "deep")
    with pytest.raises(StoreError, match=rf"in use by another run \(pid {os.getpid()}\)"):
        lock_data_dir(tmp_path / "made" / "deep")
    lock.close()
    lock.close()
    lock_data_dir(tmp_path / "made" / "deep").close()


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from streamer.store.lock import lock_data_dir;"
        "lock_data_dir(pathlib.Path(sys.argv[1])); print('have it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"have it\n"
        with pytest.raises(StoreError, match=f"pid {other.pid}"):
            lock_data_dir(tmp_path)
        other.kill()
        other.wait(5.0)
    lock_data_dir(tmp_path).close()


def test_a_directory_that_is_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="can't be used"):
        lock_data_dir(tmp_path / "data")
