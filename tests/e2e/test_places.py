"""Zones, lines and counts as their user runs them: the command, a real clip, a real network, a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import jsonschema
import pytest
from servers.broker import wait_until

if TYPE_CHECKING:
    from servers.broker import Mosquitto, Subscriber

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "event.schema.json").read_text())

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

# Someone stands at a small table, and leaves to the right. The line looks down the picture: its left is the picture's
# right, so that who leaves goes out.
CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1s}}
data_dir: data
models:
  people: {{model: {model}, labels: coco80, precision: f32}}
cameras:
  hall:
    source: {clip}
    detect: {{model: people, classes: {{person: 0.5}}}}
    zones:
      table: {{polygon: [[0.45, 0.80], [0.68, 0.80], [0.68, 0.98], [0.45, 0.98]]}}
    lines:
      way-out: {{from: [0.75, 0.5], to: [0.75, 1.0]}}
    events:
      - {{name: at-the-table, class: person, zone: table, after: 2s}}
      - {{name: left, class: person, line: way-out, direction: out}}
      - {{name: came, class: person, line: way-out, direction: in}}
      - {{name: anybody, class: person, count: {{more_than: 0}}}}
"""


def cut(whole: Path, part: Path, *, from_s: float, to_s: float) -> Path:
    """Copy a stretch of a clip that begins at a key frame."""
    with av.open(str(whole)) as source, av.open(str(part), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and from_s <= packet.pts * packet.time_base < to_s:
                packet.stream = copy
                target.mux(packet)
    return part


def seconds(moment: str, since: str) -> float:
    at, begin = (datetime.strptime(m, "%Y-%m-%dT%H:%M:%S.%f%z") for m in (moment, since))
    return (at - begin).total_seconds()


def test_who_stands_at_the_table_and_goes_out_is_told_so(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber, shared_data: Path
) -> None:
    clip = cut(
        shared_data / "videos/one-by-one-person-detection.mp4", tmp_path / "hall.mp4", from_s=14, to_s=22
    )  # fmt: skip
    config = tmp_path / "config.yaml"
    model = shared_data / "models/yolox_nano_v8layout.onnx"
    config.write_text(CONFIG.format(port=broker.port, clip=clip, model=model))
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "run", str(config)], capture_output=True, text=True, timeout=60, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr  # 4: `drain` is shorter than the 5 s in which a broker may forget
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")

    said: dict[str, dict[str, Any]] = {}
    for message in heard.events():
        jsonschema.validate(message, SCHEMA)
        said.setdefault(message["event"], {})[message["type"]] = message
    assert set(said) == {"at-the-table", "left", "anybody"}
    table, left, anybody = said["at-the-table"], said["left"], said["anybody"]
    began = table["start"]["started_at"]  # 14 s of the clip: she is there from its first picture on
    assert seconds(table["start"]["captured_at"], began) == pytest.approx(2.0, abs=0.15)
    assert (table["start"]["zones"], table["end"]["end_reason"]) == (["table"], "gone")
    assert seconds(table["end"]["ended_at"], began) == pytest.approx(18.5 - 14, abs=0.3)
    assert seconds(left["start"]["started_at"], began) == pytest.approx(18.9 - 14, abs=0.3)
    assert [left["start"][key] for key in ("line", "direction", "zones", "count")] == ["way-out", "out", [], None]
    assert left["end"]["end_reason"] == "gone"
    assert [anybody["start"][key] for key in ("count", "track", "box", "class")] == [1, None, None, "person"]

    def numbers(topic: str) -> list[bytes]:
        return heard.on(f"streamer/hall/{topic}")

    assert numbers("lines/way-out/out") == [b"0", b"1"]
    assert numbers("lines/way-out/in") == [b"0"]
    assert numbers("active/left") == [b"0", b"1", b"0"]
    assert numbers("active/at-the-table") == [b"0", b"1", b"0"]
