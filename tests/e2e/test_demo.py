"""The demo as its user sees it: the command, its lines, its end. How fast it is: tests/measure/demo.py."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamer.capture.scenes.boards import Boards

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BOARD = re.compile(
    r"(?:\d\d:\d\d:\d\d| {8})  board (?P<number>\d+) +(?P<verdict>accept|REJECT) +(?:\d+ ms)?  "
    r"(?P<outcome>right|MISSED|FALSE REJECT|not judged)(?:  +(?P<why>[^ (].*?))??(?:  +\(drawn: (?P<drawn>.*)\))?"
)
SEED, RATE = 7, 4.0
LAST_TALLY = re.compile(r"^(\d+) boards, (?:each|(\d+)) judged in time", re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "streamer", "demo", *arguments]


def in_folder(folder: Path) -> dict[str, str]:
    """An environment in which temporary files are put there."""
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that runs; killed if it has not ended behind the block."""
    child = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=in_folder(folder),
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def boards_in(text: str) -> list[dict[str, str]]:
    return [found.groupdict() for line in text.splitlines() if (found := BOARD.fullmatch(line))]


def test_each_board_is_decided_once_in_order_and_tallied_against_what_was_drawn(tmp_path: Path) -> None:
    done = subprocess.run(
        command("--seconds", "6", "--seed", str(SEED), "--rate", str(RATE)),
        capture_output=True, text=True, timeout=60, cwd=ROOT, env=in_folder(tmp_path), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "mosquitto_sub -p" in done.stderr
    assert not list(tmp_path.glob("streamer*"))

    told, scene = boards_in(done.stdout), Boards(SEED, 640, 640, rate=RATE)
    assert [int(board["number"]) for board in told] == list(range(1, 25))
    shares = Counter[str]()
    for index, board in enumerate(told):
        drawn = Counter(defect.kind for defect in scene.truth(index))
        if board["outcome"] != "FALSE REJECT":
            kinds = [kind.partition(" ") for kind in board["drawn"].split(", ")] if board["drawn"] else []
            assert {kind: int(count or 1) for kind, _, count in kinds} == drawn
        if board["outcome"] != "not judged":
            good = board["verdict"] == "accept"
            assert board["outcome"] == ("right" if good != bool(drawn) else "MISSED" if good else "FALSE REJECT")
        else:
            assert board["why"] in {"late", "overrun"}  # a machine that others use as well
            assert board["verdict"] == "REJECT"
        shares[board["outcome"]] += 1
    last = LAST_TALLY.findall(done.stdout)
    assert last == [("24", str(24 - shares["not judged"]) if shares["not judged"] else "")]
    assert done.stdout.count("-- 20 boards, ") == 1


def test_a_demo_that_is_stopped_says_its_tally_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, "--rate", "2") as child:
        assert child.stdout is not None
        shown = "".join(child.stdout.readline() for _ in range(2))
        assert len(boards_in(shown)) == 2
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        rest, log = child.communicate(timeout=30)
        took_s = time.monotonic() - began
    assert child.returncode == 0, log
    assert took_s < 10.0  # the contract's 5 s, what the listener waits for, and what a busy machine adds
    boards = boards_in(shown + rest)
    numbers = [int(board["number"]) for board in boards]
    assert numbers == sorted(set(numbers))
    (last,) = LAST_TALLY.findall(rest)
    assert int(last[0]) == len(boards)
    assert "Traceback" not in log
    assert not list(tmp_path.glob("streamer*"))


def test_a_demo_that_nobody_reads_any_more_ends_by_itself_without_a_word(tmp_path: Path) -> None:
    with started(tmp_path, "--rate", "10") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert "board 1 " in child.stdout.readline()
        child.stdout.close()
        log = child.stderr.read()
        child.stderr.close()
        assert child.wait(30) == 0, log
    assert "Traceback" not in log
    assert not list(tmp_path.glob("streamer*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scene", "garden"), r"'garden' is not one of 'line', 'yard'"),
        (("--rate", "0.1"), r"--rate.*0\.5"),
        (("--rate", "11"), r"--rate.*10"),
        (("--scene", "yard", "--rate", "2"), "--rate: boards a second are of the line, the yard has none"),
    ],
)
def test_what_a_demo_does_not_know_is_said(arguments: tuple[str, ...], said: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr
    assert re.search(said, " ".join(done.stderr.replace("│", " ").split()))
    assert done.stdout == ""
