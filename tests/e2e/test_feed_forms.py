"""The per-frame feed as a program beside hears it: two cameras that show the same, one in JSON and one in CBOR."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers.broker import Mosquitto, Subscriber, mosquitto_program, wait_until

from streamer.events.feed import decode_feed

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "detections.schema.json").read_text())

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 10s}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  text:
    source: "synthetic:shapes?seed=4&seconds=6&pace=fast"
    frames: every
    detect: {{model: shapes}}
    publish_detections: true
  binary:
    source: "synthetic:shapes?seed=4&seconds=6&pace=fast"
    frames: every
    detect: {{model: shapes}}
    publish_detections: {{format: cbor}}
"""


def by_frame(heard: Subscriber, camera: str) -> dict[int, dict[str, Any]]:
    messages = [decode_feed(payload) for payload in heard.on(f"{camera}/detections")]
    return {message["frame"]["seq"]: message for message in messages}


def test_the_forms_say_the_same_of_the_same_frames(tmp_path: Path) -> None:
    pytest.importorskip("cbor2")
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    config = tmp_path / "config.yaml"
    with Mosquitto(tmp_path / "broker") as broker:
        heard = Subscriber(broker.port).start()
        config.write_text(CONFIG.format(port=broker.port))
        line = [sys.executable, "-m", "streamer", "run", str(config)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
        heard.stop()
    text, binary = by_frame(heard, "text"), by_frame(heard, "binary")
    both = sorted(text.keys() & binary.keys())  # QoS 0: what the socket did not take is not repeated
    assert len(both) > 20
    told = [found for seq in both for found in text[seq]["detections"]]
    for seq in both:
        jsonschema.validate(text[seq], SCHEMA)
        assert text[seq] == binary[seq]
    assert all((found["velocity"] is None) == (found["hits"] == 1) for found in told)
    assert max(found["velocity_norm"][0] for found in told if found["velocity"]) > 0.02  # something does move
