"""What the demo's line shows: a line for each board, a tally, and neither of them in the other's way."""

from __future__ import annotations

import io
import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from made_boards import KINDS, board, drawn, found

from streamer.core.decision import Verdict
from streamer.line_display import board_line, open_display, summary
from streamer.ops.log import LineFormatter, StderrHandler
from streamer.tally import Outcome, Tally

if TYPE_CHECKING:
    from streamer.board_reports import Board


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def counted() -> Tally:
    tally = Tally(KINDS)
    for number in range(1, 11):
        tally.add(board(number), ())
    for number in range(11, 17):
        tally.add(board(number, "open", found("open")), drawn("open"))
    tally.add(board(17), drawn("spur"))
    tally.add(board(18, "unsure"), ())
    tally.add(board(19, "spur", found("spur")), ())
    tally.add(board(20, "spur", found("spur")), ())
    tally.add(board(21, "late", late=True), ())
    tally.add(board(24, "late", late=True), drawn("open"))
    return tally


@pytest.mark.parametrize(
    ("seen", "kinds", "outcome", "shown"),
    [
        (
            board(17, "short", found("short", 0.93), found("open", 0.881)), ("open", "short"), Outcome.RIGHT,
            "10:15:08  board 17    REJECT   61 ms  right         short 0.93, open 0.88  (drawn: open, short)",
        ),
        (board(2), (), Outcome.RIGHT, "10:15:01  board 2     accept   61 ms  right"),
        (
            board(3), ("spur", "spur", "open"), Outcome.MISSED,
            "10:15:01  board 3     accept   61 ms  MISSED        (drawn: spur 2, open)",
        ),
        (
            board(4, "spur", found("spur", 0.5)), (), Outcome.FALSE_REJECT,
            "10:15:02  board 4     REJECT   61 ms  FALSE REJECT  spur 0.50  (drawn: nothing)",
        ),
        (
            board(5, "unsure", found("spur", 0.46)), (), Outcome.FALSE_REJECT,
            "10:15:02  board 5     REJECT   61 ms  FALSE REJECT  unsure: spur 0.46  (drawn: nothing)",
        ),
        (
            board(6, "open", told=False), ("open",), Outcome.RIGHT,
            "10:15:03  board 6     REJECT   61 ms  right         open  (drawn: open)",
        ),
        (
            board(7, "late", verdict=Verdict.ACCEPT, late=True), (), Outcome.NOT_JUDGED,
            "10:15:03  board 7     accept   61 ms  not judged    late",
        ),
    ],
)  # fmt: skip
def test_a_board_is_one_line(seen: Board, kinds: tuple[str, ...], outcome: Outcome, shown: str) -> None:
    assert str(board_line(seen, drawn(*kinds), outcome)) == shown


def test_a_board_without_a_picture_has_no_time_and_no_age() -> None:
    blind = replace(board(8, "failed", told=False), captured_at=None, age_ms=None)
    assert str(board_line(blind, (), Outcome.NOT_JUDGED)).split() == ["board", "8", "REJECT", "not", "judged", "failed"]


def test_the_tally_in_one_line() -> None:
    assert summary(counted()) == (
        "-- 22 boards, 20 judged in time (late 2, decision not delivered 2); accepted 10 of 13 good,"
        " rejected 6 of 7 bad; found 6 of 7 defects"
    )
    tally = Tally(KINDS)
    tally.add(board(1), ())
    assert summary(tally) == (
        "-- 1 board, each judged in time; accepted 1 of 1 good, rejected 0 of 0 bad; found 0 of 0 defects"
    )


def printed(tally: Tally) -> list[str]:
    out = io.StringIO()
    with ExitStack() as stack:
        open_display(out, stack).finish(tally)
    return out.getvalue().splitlines()


def test_the_whole_tally_says_what_went_wrong_and_where() -> None:
    lines = [" ".join(line.split()) for line in printed(counted()) if line.strip(" ─")]
    assert lines == [
        "22 boards, 20 judged in time (late 2, decision not delivered 2)",
        "good boards 13 accepted 10 rejected 3 (spur 2, unsure 1)",
        "bad boards 7 rejected 6 accepted 1 (spur 1)",
        "defect drawn found recall false alarms",
        "open 6 6 1.000 0",
        "short 0 0 - 0",
        "spur 1 0 0.000 2",
        "all 7 6 0.857 2",
    ]
    assert all(len(line) <= 80 for line in printed(counted()))


def test_what_no_detections_came_of_is_said() -> None:
    tally = counted()
    tally.add(board(25, "open", told=False), drawn("open"))
    assert "of 1 boards no detections came: their defects are not counted here" in printed(tally)


def test_where_no_board_was_judged_there_is_no_table() -> None:
    tally = Tally(KINDS)
    assert printed(tally) == ["no board was decided"]
    tally.add(board(1, "late", late=True), drawn("open"))
    assert printed(tally) == ["1 board, 0 judged in time (late 1)"]


def test_a_pipe_gets_plain_lines_and_a_tally_every_twenty_boards() -> None:
    out, tally = io.StringIO(), Tally(KINDS)
    with ExitStack() as stack:
        display = open_display(out, stack)
        for number in range(1, 41):
            tally.add(board(number), ())
            display.show(board_line(board(number), (), Outcome.RIGHT), tally)
    lines = out.getvalue().splitlines()
    assert len(lines) == 42
    assert [i for i, line in enumerate(lines) if line.startswith("-- ")] == [20, 41]
    assert "\x1b" not in out.getvalue()


def test_a_pipe_gets_plain_lines_whatever_the_environment_says_of_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in "".join(printed(counted()))


def test_where_only_ascii_can_be_written_the_tally_is_ascii() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")
    with ExitStack() as stack:
        open_display(out, stack).finish(counted())
    assert b"defect" in raw.getvalue()


def test_on_a_terminal_lines_and_log_scroll_above_the_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    out, tally = Terminal(), Tally(KINDS)
    monkeypatch.setattr(sys, "stderr", out)
    handler = StderrHandler()
    handler.setFormatter(LineFormatter())
    with ExitStack() as stack:
        display = open_display(out, stack)
        for number in (1, 2):
            tally.add(board(number), ())
            display.show(board_line(board(number), (), Outcome.RIGHT), tally)
            handler.emit(logging.LogRecord("streamer", logging.INFO, "", 0, "told %d", (number,), None))
        display.finish(tally)
    # Left at once, it has a cursor: nothing hides that once the table stands.
    assert out.getvalue().index("\x1b[?25l") < out.getvalue().index("\x1b[?25h") < out.getvalue().index("board 1 ")
    # What is drawn anew is first rubbed out: a terminal's last picture has each line once.
    assert shown_by_a_terminal(out.getvalue()) == [
        "10:15:00  board 1     accept   61 ms  right",
        "told 1",
        "10:15:01  board 2     accept   61 ms  right",
        "told 2",
        *printed(tally),
    ]


def shown_by_a_terminal(said: str) -> list[str]:
    """Play the few escape sequences that rich writes, and return the screen; a log line without its time."""
    lines, row, i = [""], 0, 0
    while i < len(said):
        if said.startswith("\x1b[", i):
            end = next(j for j in range(i + 2, len(said)) if said[j].isalpha())
            count, code = said[i + 2 : end], said[end]
            if code == "A":
                row -= int(count or 1)
            elif code == "K":
                lines[row] = ""
            i = end + 1
            continue
        if said[i] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif said[i] == "\r":
            lines[row] = lines[row] if said[i + 1 : i + 2] in "\n\x1b\r" else ""
        else:
            lines[row] += said[i]
        i += 1
    return [line.rpartition("INFO  ")[2].rstrip() for line in lines][:-1]
