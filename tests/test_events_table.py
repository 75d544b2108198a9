"""`streamer events` for people and programs: events, and a factory's decisions."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from servers.made_decisions import make_decision
from servers.made_events import NOON_NS, encode, make_event

from streamer import history
from streamer.core.clock import FakeClock
from streamer.core.decision import Doubt, Verdict
from streamer.events.verdicts import encode_decision
from streamer.history import show_events
from streamer.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamer.core.decision import Decision
    from streamer.core.event import Event
    from streamer.store.store import EventStore

CONFIG = """\
mqtt: {url: mqtt://localhost}
data_dir: data
models: {net: {model: yolox-nano}}
cameras: {porch: {source: "rtsp://192.0.2.1/x", detect: {model: net}}}
"""


@pytest.mark.parametrize("terminal", ["dumb", "xterm", ""])
def test_a_pipe_gets_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.delenv("COLUMNS", raising=False)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    store = open_store(tmp_path / "data", encode=encode, clock=FakeClock())
    store.append([make_event("a", camera="a-camera-with-a-long-name"), make_event("a", "end", 1, at_s=5)])
    store.append([make_event("b", camera="a-camera-with-a-long-name-too")])
    store.close()
    out = io.StringIO()
    assert show_events(config, follow=False, camera=None, since=None, as_json=False, out=out) == 0
    assert "a-camera-with-a-long-name-too" in out.getvalue()
    assert "going on" in out.getvalue()
    assert "…" not in out.getvalue()


def test_what_a_classifier_calls_the_object_stands_beside_its_class(tmp_path: Path) -> None:
    def labelled(event: Event, _age_ms: float | None) -> bytes:
        labels = {"role": {"class": "[b]staff", "score": 0.9}, "hat": {"class": "none", "score": 0.7}}
        return json.dumps({"id": event.id, "labels": labels}).encode()

    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    store = open_store(tmp_path / "data", encode=labelled, clock=FakeClock())
    store.append([make_event("a")])
    store.close()
    for follow in (False, True):
        out = io.StringIO()
        if follow:
            out.flush = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
        with suppress(KeyboardInterrupt):
            show_events(config, follow=follow, camera=None, since=None, as_json=False, out=out)
        assert "person ([b]staff, none)" in out.getvalue()


NOW_NS = FakeClock().monotonic_ns()
GOOD = make_decision(1, item="A-1", now_ns=NOW_NS)
SHORT = replace(make_decision(2, item="A-2", now_ns=NOW_NS), verdict=Verdict.REJECT, reason="short")
LATE = replace(SHORT, number=3, item="[red]A-3", reason=Doubt.LATE.value, late=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(tmp_path / "data", encode=encode, clock=FakeClock(utc_ns=NOON_NS))
    yield opened
    opened.close()


def decided(store: EventStore, *decisions: Decision) -> None:
    store.decided([(decision, encode_decision(decision, now_ns=NOW_NS)) for decision in decisions])
    store.touch({})


def shown(
    config: Path,
    *,
    out: io.StringIO | None = None,
    follow: bool = False,
    camera: str | None = None,
    since: str | None = None,
    as_json: bool = False,
) -> str:
    out = out or io.StringIO()
    shown = show_events(config, follow=follow, camera=camera, since=since, as_json=as_json, out=out, decisions=True)
    assert shown == 0
    return out.getvalue()


def test_decisions_are_a_table_of_their_own(config: Path, store: EventStore) -> None:
    store.append([make_event("a")])
    decided(store, GOOD, SHORT, LATE)
    _, title, _, *rows = shown(config).splitlines()
    assert title.split() == ["decided", "camera", "item", "verdict", "reason", "late"]
    assert [row.split()[2:] for row in rows if row.strip()] == [
        ["belt", "A-1", "accept"],
        ["belt", "A-2", "reject", "short"],
        ["belt", "[red]A-3", "reject", "late", "late"],  # a name from outside is no markup
    ]
    assert "person" not in shown(config)


def test_a_verdict_has_its_colour_on_a_terminal(
    config: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(store, GOOD, SHORT)
    monkeypatch.setattr(history, "Console", lambda file, **_: Console(file=file, force_terminal=True, width=100))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(config)
    assert "\x1b[32maccept" in text
    assert "\x1b[1;31mreject" in text


def test_for_programs_each_line_is_the_message_that_was_sent(config: Path, store: EventStore) -> None:
    decided(store, GOOD, SHORT)
    lines = shown(config, as_json=True).splitlines()
    assert lines == [encode_decision(made, now_ns=NOW_NS).decode() for made in (GOOD, SHORT)]
    assert [json.loads(line)["item"] for line in lines] == ["A-1", "A-2"]


def test_decisions_are_chosen_by_camera_and_time(config: Path, store: EventStore) -> None:
    decided(store, GOOD, replace(SHORT, camera="porch"))
    assert [json.loads(line)["camera"] for line in shown(config, camera="porch", as_json=True).splitlines()] == [
        "porch"
    ]
    assert shown(config, since="1h", as_json=True) == ""  # they are of 2023
    assert len(shown(config, since="2023-11-01", as_json=True).splitlines()) == 2
    assert shown(config, since="1h") == "no decisions in that time\n"


def test_a_table_shows_the_newest(config: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MOST_IN_TABLE", 2)
    decided(store, GOOD, SHORT, LATE)
    text = shown(config)
    assert "A-1" not in text
    assert "A-2" in text
    assert text.splitlines()[-1] == "the newest 2; --json gives all, --since and --camera fewer"


class _Told(io.StringIO):
    """What is written while a run goes on: at the end of each look, the next thing happens; then its reader leaves."""

    def __init__(self, *happen: tuple[EventStore, Decision]) -> None:
        super().__init__()
        self._happen = list(happen)

    def flush(self) -> None:
        if not self._happen:
            raise KeyboardInterrupt
        store, decision = self._happen.pop(0)
        decided(store, decision)


def test_they_can_be_followed_while_a_run_writes(
    config: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_FOLLOW_S", 0.0)
    decided(store, GOOD)
    told = _Told((store, SHORT), (store, LATE))
    with pytest.raises(KeyboardInterrupt):
        shown(config, out=told, follow=True)
    assert [line.split("  ", 1)[1] for line in told.getvalue().splitlines()] == [
        "belt  item A-1  accept",
        "belt  item A-2  reject (short)",
        "belt  item [red]A-3  reject (late), late",
    ]


def test_a_store_that_no_run_has_carried_on_yet_has_none(config: Path, store: EventStore, tmp_path: Path) -> None:
    store.append([make_event("a")])
    with closing(sqlite3.connect(tmp_path / "data" / "events.db")) as db:
        db.execute("DROP TABLE decisions")  # as older versions leave it
    assert shown(config) == "no decisions in that time\n"


def test_without_a_store_there_are_none_yet(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(config) == ""
    assert "no decisions yet" in capsys.readouterr().err
