"""The motion gate as its user runs it: a recording in which nothing moves, played as a camera would."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CONFIG = """\
mqtt: {{url: embedded}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  yard:
    source: still.mp4
    frames: {frames}
    motion: {{enabled: true}}
    detect: {{model: shapes}}
"""


def record(path: Path, seconds: float) -> None:
    """Write a recording of a grey wall, ten pictures a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 120, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("frames", ["newest", "every"])
def test_a_still_scene_is_looked_at_seldom_unless_every_frame_is_wanted(tmp_path: Path, frames: str) -> None:
    record(tmp_path / "still.mp4", 6.0)
    (tmp_path / "config.yaml").write_text(CONFIG.format(frames=frames))

    ran = subprocess.run(
        [sys.executable, "-m", "streamer", "run", str(tmp_path / "config.yaml")],
        capture_output=True, text=True, timeout=40, cwd=ROOT, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    if frames == "every":
        assert "the motion gate is off" in ran.stderr
        assert "60 frames decoded, 60 inferred; dropped: none" in ran.stderr
    else:
        still = re.search(r"(\d+) still", ran.stderr)
        assert still is not None, ran.stderr
        assert 3 <= int(still[1]) <= 5  # of 30 chosen, those after the first five seconds
