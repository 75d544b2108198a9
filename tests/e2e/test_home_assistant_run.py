"""`streamer run` as Home Assistant sees it: what it finds, shows, commands, and what is taken back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from home_assistant import HomeAssistant
from servers.broker import Mosquitto, Subscriber, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("jinja2")
pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}"}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  yard:
    source: "synthetic:shapes?seed=4"
    detect: {{model: shapes}}
    {more}
  attic: {{source: "synthetic:shapes?seed=5", detect: {{model: shapes}}, enabled: false}}
"""
ALWAYS = {"status", "enabled", "events", "snapshot", "take-snapshot"}


@contextmanager
def running(folder: Path, port: int, more: str = "") -> Iterator[None]:
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=port, more=more))
    child = subprocess.Popen([sys.executable, "-m", "streamer", "run", config], cwd=ROOT, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=10)
    assert child.returncode in {0, 4}, log.decode()


def test_a_run_is_found_shown_commanded_and_kept_up_to_date(broker: Mosquitto, tmp_path: Path) -> None:
    home = HomeAssistant()
    heard = Subscriber(broker.port, topic="#", on_arrival=home.hear).start()
    with running(tmp_path, broker.port):
        wait_until(lambda: home.of("streamer_yard") >= ALWAYS, 30.0, "the yard is found")
        assert home.of("streamer_attic") == {"status", "events"}
        wait_until(lambda: home.state("streamer_attic_status") == "disabled", 5.0, "the attic is disabled")
        # Each class comes with its first object.
        wait_until(lambda: len(home.of("streamer_yard") - ALWAYS) >= 2, 30.0, "rules and counts are found")
        wait_until(lambda: "ON" in home.states("_rule_"), 10.0, "a rule is on")
        wait_until(lambda: any(state.isdigit() for state in home.states("_objects_")), 10.0, "a count")
        wait_until(lambda: "start" in {event["event_type"] for event in home.events}, 10.0, "an event")
        command(home, heard, "streamer_yard_take-snapshot", b"PRESS")
        assert heard.wait_for(1, "/set/snapshot/result", 10.0) == [b'{"ok":true,"error":null}']
        pictures = heard.wait_for(1, home.entities["streamer_yard_snapshot"]["image_topic"], 10.0)
        assert pictures[0].startswith(b"\xff\xd8\xff")
        command(home, heard, "streamer_yard_enabled", b"OFF")
        wait_until(lambda: home.state("streamer_yard_enabled") == "OFF", 10.0, "it is off")
        assert home.state("streamer_yard_status") == "disabled"
        wait_until(lambda: home.events[-1]["event_type"] == "end", 10.0, "its events have ended")
        command(home, heard, "streamer_yard_take-snapshot", b"PRESS")
        command(home, heard, "streamer_yard_enabled", b"on")
        wait_until(lambda: len(heard.on("/set/enabled/result")) == 2, 10.0, "an answer")
        assert not json.loads(heard.on("/set/enabled/result")[-1])["ok"]
        assert not json.loads(heard.wait_for(2, "/set/snapshot/result", 10.0)[-1])["ok"]
        command(home, heard, "streamer_yard_enabled", b"ON")
        wait_until(lambda: home.state("streamer_yard_status") == "online", 10.0, "it is back")
    wait_until(lambda: home.state("streamer_yard_status") == "unavailable", 5.0, "the run is over")
    with running(tmp_path, broker.port, "events: [{name: round, class: [circle]}]"):
        wait_until(lambda: "rule_round" in home.of("streamer_yard"), 30.0, "the new rule is found")
        assert [name for name in home.of("streamer_yard") if name.startswith("rule_")] == ["rule_round"]
    heard.stop()


def command(home: HomeAssistant, heard: Subscriber, unique_id: str, payload: bytes) -> None:
    heard._client.publish(home.entities[unique_id]["command_topic"], payload, qos=1)
