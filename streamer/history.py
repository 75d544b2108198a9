"""`streamer events`: what happened, from the local store, also while a run is writing to it."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ConfigError
from streamer.settings import load
from streamer.store.database import FILE_NAME
from streamer.store.history import open_history
from streamer.store.rows import DecisionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streamer.store.history import History
    from streamer.store.rows import EventRow

_VERDICT_STYLE = {"accept": "green", "reject": "bold red"}
_STEP = 500
_MOST_IN_TABLE = 1_000  # decisions: a line makes twenty a second
_FOLLOW_S = 0.5  # how often a followed store is looked at
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def show_events(
    config: Path,
    *,
    follow: bool,
    camera: str | None,
    since: str | None,
    as_json: bool,
    out: TextIO,
    decisions: bool = False,
) -> int:
    """Print the events of a configuration's store, in the order of their last message; return the exit code.

    Args:
        config: the file.
        follow: go on, as they come.
        camera: of this one only.
        since: how long ago, or when.
        as_json: their payloads, one a line.
        out: where to.
        decisions: a factory's decisions, in their order, instead of events.

    Raises:
        ConfigError: the configuration, the camera or the time is wrong.
        StoreError: the store can't be read.
    """
    settings = load(config, os.environ).settings
    if camera is not None and camera not in settings.cameras:
        raise ConfigError(f"{config} has no camera {camera}; it has {', '.join(settings.cameras)}")
    since_utc_ns = 0 if since is None else _utc_ns(since, time.time_ns())
    while not os.path.isfile(settings.data_dir / FILE_NAME):  # noqa: PTH113  pathlib raises where a name is too long
        if not follow:
            what = "decisions" if decisions else "events"
            sys.stderr.write(f"no {what} yet: {settings.data_dir} holds none (`streamer run` stores them there)\n")
            return 0
        time.sleep(_FOLLOW_S)
    with closing(open_history(settings.data_dir)) as history:

        def read(after: int) -> Sequence[EventRow | DecisionRow]:
            asked = history.decisions if decisions else history.query
            return asked(camera=camera, since_utc_ns=since_utc_ns, after=after, limit=_STEP)

        if follow or as_json:
            _write_lines(read, follow=follow, as_json=as_json, out=out)
        elif decisions:
            newest = history.decisions(camera=camera, since_utc_ns=since_utc_ns, limit=_MOST_IN_TABLE, newest=True)
            _decision_table(newest, out)
        else:
            _event_table(list(_steps(history, camera, since_utc_ns)), out)
    return 0


def _write_lines(
    read: Callable[[int], Sequence[EventRow | DecisionRow]], *, follow: bool, as_json: bool, out: TextIO
) -> None:
    after = 0
    while True:
        while rows := read(after):
            after = rows[-1].changed
            out.writelines(f"{row.payload.decode() if as_json else _line(row)}\n" for row in rows)
        out.flush()
        if not follow:
            return
        time.sleep(_FOLLOW_S)


def _steps(history: History, camera: str | None, since_utc_ns: int) -> Iterator[EventRow]:
    after = 0
    while rows := history.query(camera=camera, since_utc_ns=since_utc_ns, after=after, limit=_STEP):
        yield from rows
        after = rows[-1].changed


def _event_table(rows: list[EventRow], out: TextIO) -> None:
    if not rows:
        out.write("no events in that time\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # narrow: a terminal has 80 columns
    for title in ("began", "camera", "event"):
        table.add_column(title, no_wrap=True)
    table.add_column("class", overflow="fold")
    for title in ("score", "lasted"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("ended", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.started_utc_ns):
        table.add_row(
            _local(row.started_utc_ns), row.camera, row.rule, _what(row), f"{row.top_score:.2f}", _lasted(row),
            row.end_reason or "going on",
        )  # fmt: skip
    _print(table, out)


def _decision_table(rows: list[DecisionRow], out: TextIO) -> None:
    if not rows:
        out.write("no decisions in that time\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("decided", "camera", "item", "verdict", "reason", "late"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(
            _local(row.decided_utc_ns, timespec="milliseconds"),
            row.camera,
            Text(row.item),  # from outside: no markup
            Text(row.verdict, style=_VERDICT_STYLE.get(row.verdict, "")),
            Text(row.reason or ""),
            Text("late" if row.late else "", style="yellow" if row.late else ""),
        )
    _print(table, out)
    if len(rows) == _MOST_IN_TABLE:
        out.write(f"the newest {_MOST_IN_TABLE:,}; --json gives all, --since and --camera fewer\n")


def _print(table: Table, out: TextIO) -> None:
    console = Console(file=out)
    if not console.is_terminal:
        # A pipe has no width of its own: whole lines are worth more there than eighty columns. The height must be
        # given, too: without it a dumb terminal's width is taken.
        console = Console(file=out, width=160, height=25)
    console.print(table)


def _line(row: EventRow | DecisionRow) -> str:
    if isinstance(row, DecisionRow):
        why = f" ({row.reason})" if row.reason else ""
        when = _local(row.decided_utc_ns, timespec="milliseconds")
        return f"{when}  {row.camera}  item {row.item}  {row.verdict}{why}{', late' if row.late else ''}"
    state = f"ended ({row.end_reason})" if row.ended_utc_ns is not None else "began" if row.seq == 0 else "goes on"
    when_ns = row.last_seen_utc_ns if row.seq else row.started_utc_ns
    return f"{_local(when_ns)}  {row.camera}  {row.rule}  {_what(row)} {row.top_score:.2f}  {state}, {_lasted(row)}"


def _what(row: EventRow) -> Text:
    """Return an event's class, with what a classifier calls the object: `suitcase (box)`."""
    labels = json.loads(row.payload).get("labels", {})
    said = ", ".join(label["class"] for label in labels.values())
    return Text(f"{row.class_name} ({said})" if said else row.class_name)  # from outside: no markup


def _lasted(row: EventRow) -> str:
    end_ns = row.last_seen_utc_ns if row.ended_utc_ns is None else row.ended_utc_ns
    seconds = max(0, end_ns - row.started_utc_ns) / NS_PER_S
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"


def _local(utc_ns: int, *, timespec: str = "seconds") -> str:
    moment = datetime.fromtimestamp(utc_ns / NS_PER_S, tz=timezone.utc).astimezone().replace(tzinfo=None)
    return moment.isoformat(sep=" ", timespec=timespec)


def _utc_ns(text: str, now_utc_ns: int) -> int:
    """Read `--since`: so long ago (`90s`, `10m`, `2h`, `3d`), or a time (`2026-11-21T10:15`, local unless it says)."""
    if ago := _AGO.fullmatch(text.strip()):
        return now_utc_ns - round(float(ago[1]) * _UNITS_S[ago[2]] * NS_PER_S)
    try:
        # Python 3.10 does not read the Z that our own payloads carry.
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(
            f"--since {text}: say how long ago (90s, 10m, 2h, 3d) or when (2026-11-21T10:15, 2026-11-21T09:15Z)"
        ) from None
    return round(moment.timestamp() * NS_PER_S)
