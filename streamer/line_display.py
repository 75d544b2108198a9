"""How the demo's line is shown: a line for each board, and the tally below it."""

from __future__ import annotations

import io
import sys
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamer.core.decision import Verdict

from .tally import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from streamer.capture.scenes.shapes import SceneObject

    from .board_reports import Board
    from .tally import Tally

_TALLY_EVERY = 20  # boards, where no table can stand below the lines
_NOTHING = "-"  # there is no number
_STYLE = {
    Outcome.RIGHT: "green",
    Outcome.MISSED: "bold red",
    Outcome.FALSE_REJECT: "bold yellow",
    Outcome.NOT_JUDGED: "yellow",
}


class Display(Protocol):
    """Where boards and tallies are shown. One thread at a time."""

    def show(self, line: Text, tally: Tally) -> None:
        """Show the next board, and the tally up to it."""

    def finish(self, tally: Tally) -> None:
        """Show the last tally."""


def open_display(out: TextIO, stack: ExitStack) -> Display:
    """Return what shows boards on `out`; `stack` ends it."""
    console = Console(file=out, highlight=False)
    # For its colours rich takes a pipe for a terminal, if the environment says so; a table can't stand in one.
    if not (out.isatty() and console.is_terminal) or console.is_dumb_terminal:
        return _Lines(out)
    # What is logged to a terminal must not run through the table; what is logged to a file must stay there.
    to_terminal = sys.stderr.isatty()
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=to_terminal)
    page = _Page(stack.enter_context(live))
    console.show_cursor()  # rich has hidden it, and a second Ctrl-C leaves no time to bring it back
    return page


class _Lines:
    """For a file or a pipe: plain lines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, line: Text, tally: Tally) -> None:
        self._out.write(f"{line.plain}\n")
        if tally.boards % _TALLY_EVERY == 0:
            self._out.write(f"{summary(tally)}\n")
        self._out.flush()

    def finish(self, tally: Tally) -> None:
        # A pipe has no width of its own; the height is given for a dumb terminal, whose width would be taken else.
        blank = io.TextIOWrapper(io.BytesIO(), self._out.encoding or "utf-8")  # no lines that can't be written there
        console = Console(file=blank, width=100, height=25, highlight=False, force_terminal=False)
        with console.capture() as said:
            console.print(render(tally))
        self._out.write("".join(f"{line.rstrip()}\n" for line in said.get().splitlines()))
        self._out.flush()


class _Page:
    """For a terminal: the tally stands at the bottom, and the lines scroll above it."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, line: Text, tally: Tally) -> None:
        self._live.console.print(line, soft_wrap=True)
        self._live.update(render(tally), refresh=True)

    def finish(self, tally: Tally) -> None:
        self._live.stop()
        self._live.console.print(render(tally))


def board_line(board: Board, drawn: Sequence[SceneObject], outcome: Outcome) -> Text:
    """Return one line about a board: when, which, its verdict and why, how old its picture was, and the truth. Pure."""
    moment = board.captured_at
    when = "" if moment is None else f"{datetime.fromisoformat(moment.replace('Z', '+00:00')).astimezone():%H:%M:%S}"
    rejected = board.verdict is Verdict.REJECT
    line = Text(f"{when:<8}  board {board.number:<5} ")
    line.append("REJECT" if rejected else "accept", style="bold red" if rejected else "green")
    line.append(f" {'' if board.age_ms is None else f'{board.age_ms:.0f} ms':>7}  ")
    line.append(f"{outcome.value:<12}", style=_STYLE[outcome])
    if why := _why(board):
        line.append(f"  {why}")
    if drawn or outcome is Outcome.FALSE_REJECT:
        kinds = Counter(defect.kind for defect in drawn)
        line.append(f"  (drawn: {_counted(kinds, ones=False) or 'nothing'})", style="dim")
    line.rstrip()
    return line


def summary(tally: Tally) -> str:
    """Return the tally in one line. Pure."""
    drawn, found = tally.drawn.total(), tally.found.total()
    return (
        f"-- {_boards(tally)}; accepted {tally.good - tally.false_rejects.total():,} of {tally.good:,} good, rejected"
        f" {tally.bad - tally.missed:,} of {tally.bad:,} bad; found {found:,} of {drawn:,} defects"
    )


def render(tally: Tally) -> Group:
    """Return the whole tally, ready for a console. Pure."""
    if tally.judged == 0:
        return Group(Text(_boards(tally), style="bold"))
    falsely = tally.false_rejects.total()
    lines = [
        Text(_boards(tally), style="bold"),
        Text(f"good boards {tally.good:>6,}   accepted {tally.good - falsely:>6,}   rejected {falsely:>6,}"),
        Text(f"bad boards  {tally.bad:>6,}   rejected {tally.bad - tally.missed:>6,}   accepted {tally.missed:>6,}"),
    ]
    if falsely:
        lines[1].append(f" ({_counted(tally.false_rejects)})", style="yellow")
    if tally.missed:
        lines[2].append(f" ({_counted(tally.missed_kinds)})", style="red")
    if tally.untold:
        lines.append(Text(f"of {tally.untold:,} boards no detections came: their defects are not counted here"))
    return Group(*lines, _kinds(tally))


def _boards(tally: Tally) -> str:
    others = [f"{reason} {count:,}" for reason, count in tally.not_judged.most_common()]
    if tally.lost:
        others.append(f"decision not delivered {tally.lost:,}")
    if tally.boards == 0:
        return "no board was decided"
    plural = "" if tally.boards == 1 else "s"
    if not others:
        return f"{tally.boards:,} board{plural}, each judged in time"
    return f"{tally.boards:,} board{plural}, {tally.judged:,} judged in time ({', '.join(others)})"


def _kinds(tally: Tally) -> Table:
    """Return a row for each kind of defect."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("defect", no_wrap=True)
    for title in ("drawn", "found", "recall", "false alarms"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = [(kind, tally.drawn[kind], tally.found[kind], tally.invented[kind]) for kind in tally.kinds]
    total = ("all", tally.drawn.total(), tally.found.total(), tally.invented.total())
    for kind, drawn, found, invented in (*rows, total):
        recall = f"{found / drawn:.3f}" if drawn else _NOTHING
        table.add_row(kind, f"{drawn:,}", f"{found:,}", recall, f"{invented:,}")
    return table


def _why(board: Board) -> str:
    """Return what is wrong with a board, as far as it was told."""
    found = ", ".join(f"{each.kind} {each.score:.2f}" for each in board.found or ())
    told = board.reason is None or any(each.kind == board.reason for each in board.found or ())
    return found if told else ": ".join(filter(None, (board.reason, found)))


def _counted(counts: Counter[str], *, ones: bool = True) -> str:
    """Return what was counted, most frequent first; a single one without its number if `ones` is false."""
    return ", ".join(f"{name} {count:,}" if ones or count > 1 else name for name, count in counts.most_common())
