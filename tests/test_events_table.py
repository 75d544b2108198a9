"""`streamer events` for people: whole lines, on a terminal and in a pipe."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from servers.made_events import encode, make_event

from streamer.core.clock import FakeClock
from streamer.history import show_events
from streamer.store.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

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
