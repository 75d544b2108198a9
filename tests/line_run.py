"""A factory line as its user runs it, watched from outside: the command, its decisions on MQTT and in the store."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
from servers.broker import wait_until

if TYPE_CHECKING:
    from servers.broker import Subscriber

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "decision.schema.json").read_text())

Said = dict[str, Any]


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamer", "run", str(config)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(child: subprocess.Popen[str], heard: Subscriber) -> str:
    """Wait for a run's end and what it said last; return its log."""
    _, log = child.communicate(timeout=45)
    assert child.returncode in {0, 4}, log
    assert "Traceback" not in log
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    return log


def decisions(heard: Subscriber, camera: str = "belt") -> list[Said]:
    found = [json.loads(payload) for payload in heard.on(f"streamer/{camera}/decision")]
    for said in found:
        jsonschema.validate(said, SCHEMA)
    return found


def kept(config: Path) -> list[Said]:
    """Return the decisions in the store."""
    command = [sys.executable, "-m", "streamer", "events", str(config), "--decisions", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def utc_ms(moment: str) -> float:
    return datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1e3
