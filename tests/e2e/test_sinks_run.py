"""Webhooks and commands beside the broker, as their user runs them: all is told, and each fails alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers.broker import Mosquitto, Subscriber, free_port, wait_until
from servers.hook import HookServer, Says

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "event.schema.json").read_text())
SECRET = "the-true-Passw0rd"  # noqa: S105  of a test

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: {drain}, home_assistant: false}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  scene:
    source: "synthetic:shapes?{options}"
    frames: {frames}
    detect: {{model: shapes}}
    save: {{snapshot: false}}
sinks:
  - {{name: alarm, webhook: "{hook}", secret: "${{HOOK_SECRET}}"}}
  - {{name: starts, webhook: "{hook}/starts", types: [start]}}
  - {{name: file, command: [sh, -c, "cat >> {folder}/seen; env >> {folder}/environment"], types: [end]}}
  - {{name: away, webhook: "http://127.0.0.1:{nobody}/"}}
"""


def write(folder: Path, port: int, hook: str, **changes: str) -> Path:
    values = {"options": "seed=4&seconds=10&pace=fast", "frames": "every", "drain": "2s"}
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(port=port, hook=hook, folder=folder, nobody=free_port(), **(values | changes)))
    return path


def started(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamer", "run", str(config)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOOK_SECRET": SECRET},
    )


def messages(lines: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """Return messages by event, each once; repeats are allowed, and another order is not."""
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        message = json.loads(line)
        jsonschema.validate(message, SCHEMA)
        if message not in by_id[message["id"]]:
            by_id[message["id"]].append(message)
    return by_id


def test_every_receiver_gets_what_it_wants_and_one_that_is_away_costs_no_other_anything(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    moods = [Says(status=503), Says(hangs_up=True)]
    with HookServer(answer=lambda _: moods.pop() if moods else Says()) as server:
        child = started(write(tmp_path, broker.port, server.url()))
        _, log = child.communicate(timeout=60)
        posted = server.posted()
    assert child.returncode == 4, log  # what is for the one that is away is not delivered
    assert "sink away: an event was not taken" in log
    assert SECRET not in log
    told = messages([json.dumps(event).encode() for event in heard.events()])
    assert len(told) >= 3
    assert messages([one.body for one in posted if one.path == "/hook"]) == told
    starts = messages([one.body for one in posted if one.path == "/hook/starts"])
    assert starts == {key: its[:1] for key, its in told.items()}
    seen = messages((tmp_path / "seen").read_bytes().splitlines())
    assert seen == {key: its[-1:] for key, its in told.items()}
    assert SECRET not in (tmp_path / "environment").read_text()
    for one in posted:
        if one.path == "/hook":
            at = one.headers["x-streamer-timestamp"].encode()
            proof = hmac.new(SECRET.encode(), at + b"." + one.body, hashlib.sha256).hexdigest()
            assert one.headers["x-streamer-signature"] == f"sha256={proof}"


def test_what_a_killed_run_has_not_told_the_next_one_tells(tmp_path: Path, broker: Mosquitto) -> None:
    config = write(tmp_path, broker.port, "http://127.0.0.1:1/", options="seed=4", frames="newest")
    child = started(config)
    data = tmp_path / "data"
    wait_until(lambda: b'"type":"start"' in b"".join(p.read_bytes() for p in data.glob("*.db*")), 30, "an event")
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=10)
    with HookServer() as server:
        config.write_text(config.read_text().replace("http://127.0.0.1:1/", server.url()))
        child = started(config)
        posted = server.until(2, timeout_s=30.0)  # it has to start first
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=10)
    assert child.returncode == 4, log
    first = messages([one.body for one in posted if one.path == "/hook"])
    types = [[message["type"] for message in its] for its in first.values()]
    assert types[0][0] == "start"
    reasons = {its[-1]["end_reason"] for its in messages([one.body for one in server.posted()]).values()}
    assert "interrupted" in reasons
