"""Where results can't be written: one sentence, whatever the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
PICTURE = Path(__file__).resolve().parents[1] / "streamer" / "infer" / "data" / "hopper.jpg"

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("models", "list"),
        ("detect", str(PICTURE), "--model", "shapes"),
        ("--help",),
        ("--version",),
    ],
)
def test_a_full_disk_is_said_in_a_sentence(arguments: tuple[str, ...], unbuffered: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamer", *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=50, check=False,
        )  # fmt: skip
    assert done.stderr == "stdout: can't be written (No space left on device)\n"
    assert done.returncode == 2


@pytest.mark.timeout(30)
def test_closed_streams_and_a_full_stderr_change_no_exit_code() -> None:
    program = f"{sys.executable} -m streamer"
    for command, code in (("--version >&-", 0), ("models show none >&- 2>&-", 2), ("models show none 2>/dev/full", 2)):
        assert subprocess.run(f"{program} {command}", shell=True, timeout=20, check=False).returncode == code  # noqa: S602  a shell's redirections
