"""Pictures of events as a user gets them: on the disk and from the broker, and none on a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from servers.broker import Mosquitto, Subscriber, wait_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 10s}}
data_dir: data
evidence: {{min_free: {min_free}}}
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  scene:
    source: "synthetic:shapes?seed=4&seconds=6{pace}"
    frames: {frames}
    detect: {{model: shapes}}
  unseen:
    source: "synthetic:shapes?seed=5&seconds=6{pace}"
    frames: {frames}
    detect: {{model: shapes}}
    save: {{snapshot: false}}
"""


def run(folder: Path, port: int, **changes: str) -> str:
    values = {"min_free": "1MB", "frames": "newest", "pace": ""} | changes
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(port=port, **values))
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "run", str(path)],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def test_each_event_has_the_pictures_that_it_names(tmp_path: Path, broker: Mosquitto, heard: Subscriber) -> None:
    run(tmp_path, broker.port)
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    events = [event for event in heard.events() if event["camera"] == "scene"]
    ids = {event["id"] for event in events}
    assert len(ids) >= 2
    snapshots = tmp_path / "data" / "snapshots"
    for event_id in ids:
        messages = [event for event in events if event["id"] == event_id]
        assert {message["snapshot"] for message in messages} == {f"scene/{event_id}.jpg"}
        told = heard.on(f"streamer/scene/event/{event_id}/snapshot")
        boxed, clean, thumb = (
            (snapshots / "scene" / f"{event_id}{end}.jpg").read_bytes() for end in ("", "-clean", "-thumb")
        )
        assert told[-1] == boxed  # the last is the best
        assert len(told) <= 1 + sum(message["type"] == "update" for message in messages) + 1
        size = messages[0]["frame"]
        assert decoded(boxed).shape == decoded(clean).shape == (size["height"], size["width"], 3)
        assert decoded(thumb).shape[1] <= 320
        assert np.abs(decoded(boxed).astype(int) - decoded(clean)).max() > 100  # the box
    assert heard.on("streamer/scene/snapshot")[-1] in {
        heard.on(f"streamer/scene/event/{event_id}/snapshot")[-1] for event_id in ids
    }
    unseen = [event for event in heard.events() if event["camera"] == "unseen"]
    assert {event["snapshot"] for event in unseen} == {None}
    assert not (snapshots / "unseen").exists()
    assert not heard.on("streamer/unseen/snapshot")


def test_with_a_full_disk_events_are_told_and_nothing_is_written(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    log = run(tmp_path, broker.port, min_free="1000TB", frames="every", pace="&pace=fast")
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    assert len({event["id"] for event in heard.events()}) >= 2
    assert log.count("pictures and clips are not written") == 1
    assert not (tmp_path / "data" / "snapshots").exists()
