"""The live status table on a terminal: one row a camera, drawn from a plain snapshot."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

_STATE_STYLE = {"online": "green", "connecting": "yellow", "offline": "red", "disabled": "dim"}
_NOTHING = "–"  # noqa: RUF001  an en dash reads as "no number"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRow:
    """One camera, now. None: not known (yet)."""

    camera: str
    state: str  # online | connecting | offline | disabled
    reason: str | None = None  # why it is not online
    size: tuple[int, int] | None = None  # width, height, px
    fps_in: float | None = None  # decoded frames a second
    inferred_per_s: float | None = None
    drops: int = 0  # frames, over all causes but the next, since the start
    still: int | None = None  # frames that the motion gate saved; None: it has saved none
    age_p50_ms: float | None = None  # capture to result; None for files
    open_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsRow:
    """What became of a camera's items since the start."""

    camera: str
    items: int  # those that began; some may not be decided yet
    accepted: int
    rejected: int
    why_accepted: tuple[tuple[str, int], ...] = ()  # although they could not be judged, most frequent first
    why_rejected: tuple[tuple[str, int], ...] = ()  # defects, and why they could not be judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model, now."""

    name: str
    backend: str  # empty: it is not open yet
    precision: str
    infer_ms: float | None = None  # of one batch, p50
    doing: str | None = None  # what is being built or proved beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRow:
    """The way out."""

    address: str  # without secrets
    connected: bool
    undelivered: int  # rows in the outbox
    parked: int = 0  # rows that the broker refused for good
    missed: int = 0  # decisions that did not reach it in their time


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRow:
    """A receiver beside the broker."""

    name: str
    undelivered: int  # rows of it in the outbox
    parked: int = 0  # rows that it refused for good
    trouble: str | None = None  # why it takes nothing now


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the table shows."""

    cameras: tuple[CameraRow, ...]
    models: tuple[ModelRow, ...]
    broker: BrokerRow
    items: tuple[ItemsRow, ...] = ()  # of the cameras that decide on items
    sinks: tuple[SinkRow, ...] = ()


def render(snapshot: Snapshot) -> Group:
    """Return the table and the lines below it, ready for a console. Pure."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # narrow: a terminal has 80 columns
    table.add_column("camera", no_wrap=True)
    table.add_column("state")  # where there is no room, the reason goes to a second line
    gated = any(row.still is not None for row in snapshot.cameras)
    for title in ("size", "fps in", "inferred/s", *(["still"] if gated else []), "dropped", "age p50", "events"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in snapshot.cameras:
        table.add_row(*_cells(row, gated=gated))
    lines = [_items_line(row) for row in snapshot.items]
    lines += [_broker_line(snapshot.broker), *map(_sink_line, snapshot.sinks), *map(_model_line, snapshot.models)]
    return Group(table, *lines)


def one_line(snapshot: Snapshot) -> str:
    """Return the gist, for `systemctl status`."""
    online = sum(row.state == "online" for row in snapshot.cameras)
    wanted = sum(row.state != "disabled" for row in snapshot.cameras)
    broker = "connected" if snapshot.broker.connected else "not connected"
    return f"{online} of {wanted} cameras online, broker {broker}, {snapshot.broker.undelivered} messages waiting"


class LiveStatus:
    """The table at the bottom of a terminal; log lines scroll above it. Used by the main thread alone.

    It writes to stderr only, as everything does that is no result, and starts no thread: `update` draws.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,  # the last table is stale once the run is over
            # Results printed to a terminal must not run through the table; those printed to a pipe must stay there.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )

    @staticmethod
    def possible() -> bool:
        """Whether stderr is a terminal that can show it."""
        return Console(stderr=True).is_terminal and not Console(stderr=True).is_dumb_terminal

    def __enter__(self) -> LiveStatus:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Draw the table anew."""
        self._live.update(render(snapshot), refresh=True)


def _cells(row: CameraRow, *, gated: bool) -> tuple[Text, ...]:
    state = f"{row.state}: {row.reason}" if row.reason else row.state
    return (
        Text(row.camera),
        Text(state, style=_STATE_STYLE.get(row.state, "")),
        Text(f"{row.size[0]}x{row.size[1]}" if row.size else _NOTHING),
        Text(_number(row.fps_in, ".1f")),
        Text(_number(row.inferred_per_s, ".1f")),
        *([Text(_NOTHING if row.still is None else f"{row.still:,}")] if gated else []),
        Text(f"{row.drops:,}"),
        Text(f"{_number(row.age_p50_ms, '.0f')} ms" if row.age_p50_ms is not None else _NOTHING),
        Text(str(row.open_events), style="bold" if row.open_events else ""),
    )


def items_in_words(row: ItemsRow) -> Text:
    """Return what became of a camera's items, as one line."""
    line = Text(f"{row.items:,} | accepted {row.accepted:,}")
    line.append(_reasons(row.why_accepted), style="yellow")
    line.append(" | ")
    line.append(f"rejected {row.rejected:,}{_reasons(row.why_rejected)}", style="red" if row.rejected else "")
    return line


def _items_line(row: ItemsRow) -> Text:
    return Text.assemble(("items   ", "bold"), f"{row.camera}  ", items_in_words(row))


def _reasons(counts: tuple[tuple[str, int], ...]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in counts)})" if counts else ""


def _broker_line(row: BrokerRow) -> Text:
    line = Text.assemble(("broker  ", "bold"), row.address, "  ")
    line.append("connected" if row.connected else "not connected", style="green" if row.connected else "red")
    line.append(f"  {row.undelivered:,} waiting in the outbox", style="yellow" if row.undelivered else "")
    if row.parked:
        line.append(f"  {row.parked:,} refused", style="red")
    if row.missed:
        line.append(f"  {row.missed:,} decisions not delivered in time", style="red")
    return line


def _sink_line(row: SinkRow) -> Text:
    line = Text.assemble(("sink    ", "bold"), row.name)
    line.append(f"  {row.undelivered:,} waiting in the outbox", style="yellow" if row.undelivered else "")
    if row.parked:
        line.append(f"  {row.parked:,} refused", style="red")
    if row.trouble is not None:
        line.append(f"  {row.trouble}", style="red")
    return line


def _model_line(row: ModelRow) -> Text:
    speed = f"  {_number(row.infer_ms, '.1f')} ms" if row.infer_ms is not None else ""
    line = Text.assemble(("model   ", "bold"), f"{row.name}  {row.backend} {row.precision}".rstrip() + speed)
    if row.doing is not None:
        line.append(f"  {row.doing}", style="yellow")
    return line


def _number(value: float | None, spec: str) -> str:
    return _NOTHING if value is None else format(value, spec)
