"""Closer looks as their user runs them: something too small for the whole frame, in a recording played at 1x."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from streamer.capture.scenes.backdrop import Backdrop

ROOT = Path(__file__).resolve().parents[2]
W, H = 1280, 720

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {url: embedded}
data_dir: data
dashboard: {enabled: false}
models:
  shapes: {model: shapes, precision: f32, backend: onnxruntime}
cameras:
  yard:
    source: far.mp4
    frames: newest
    detect: {model: shapes, zoom: true}
"""


def record(path: Path) -> None:
    """Write four seconds in which a circle of 28 px, 7 of the network's, comes in after one and stops after two."""
    quiet = Backdrop(7, W, H).picture()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "18", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for number in range(40):
            drawn = quiet.copy()
            if number >= 10:
                x = 500 + 5 * (min(number, 20) - 10)
                cv2.circle(drawn, (x, 300), 14, (30, 30, 30), -1, cv2.LINE_AA)
                cv2.circle(drawn, (x, 300), 12, (40, 60, 220), -1, cv2.LINE_AA)
            frame = av.VideoFrame.from_ndarray(drawn, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def streamer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip


def test_what_is_far_away_is_told_of_where_closer_looks_are_asked_for(tmp_path: Path) -> None:
    """Without them it is no circle to the network: `test_gate_clips.py` shows that."""
    record(tmp_path / "far.mp4")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    ran = streamer("run", str(config))
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in streamer("events", str(config), "--json").stdout.splitlines()]
    assert "circle" in {event["class"] for event in events}
