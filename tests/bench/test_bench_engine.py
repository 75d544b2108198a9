"""An engine as the bench measures it, over the stand-in of TensorRT: in true children, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamer.capture.record import record_scene

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def test_the_engines_own_time_and_the_pipelines_share_of_it_are_told(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    record_scene(clip, size=(320, 192), fps=10, seconds=2.0, seed=1)
    environ = {**os.environ, **fake_gpu.environ, "STREAMER_CACHE": str(tmp_path / "cache")}

    def streamer(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "streamer", *arguments],
            env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=70, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    f32 = ("--precision", "f32")
    streamer("models", "build", "shapes", *f32)
    quick = ("--rounds", "1", "--seconds", "0.5", "--json", "--file", str(clip))
    report = json.loads(streamer("bench", "--model", "shapes", "--backend", "tensorrt", *f32, *quick))

    (engine,) = report["engines"].values()
    assert engine["batch_ms"]["median"] > 0
    assert engine["pipeline_batch_ms"] > 0
    assert 0 < engine["busy"]["median"] < 10  # a share; the two are measured at moments that may differ a lot
    (model,) = report["models"].values()
    assert model["backend"] == "tensorrt"
