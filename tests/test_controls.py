"""What of a run's cameras can be commanded: whether they are watched, and a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.controls import Controls
from streamer.core.clock import FakeClock
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.figures import Figures
from streamer.ops.metrics import Metrics
from streamer.settings import parse

if TYPE_CHECKING:
    from streamer.pipeline.shot_queue import Snap

CONFIG = b"""
models: {net: {model: ./net.onnx}}
cameras:
  yard: {source: "rtsp://127.0.0.1/yard", detect: {model: net}}
  film: {source: ./film.mp4, detect: {model: net}}
"""


def frame(seq: int) -> Frame:
    info = FrameInfo(camera="yard", connection=0, seq=seq, captured_ns=0, utc_ns=0, width=4, height=4, live=True)
    picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((4, 4), np.uint8),), width=4, height=4)
    return Frame(info=info, picture=picture)


class Rig:
    def __init__(self) -> None:
        cameras = parse(CONFIG, file=Path("/etc/streamer/c.yaml"), environ={}).settings.cameras
        self.figures = Figures(list(cameras), Metrics(), FakeClock())
        self.snaps: list[Snap] = []
        self.controls = Controls(cameras, self.figures, offer=self.snaps.append)


def test_a_live_camera_is_switched_and_a_recording_refuses() -> None:
    controls = Rig().controls
    turn = controls.switches()
    assert controls.wanted("yard")()
    turn["yard"](False)
    assert not controls.wanted("yard")()
    turn["yard"](True)
    assert controls.wanted("yard")()
    with pytest.raises(ValueError, match="a recording"):
        turn["film"](False)
    assert controls.wanted("film")()


def test_the_next_frame_after_the_asking_is_taken_once() -> None:
    rig = Rig()
    outlet, ask = rig.controls.snapshots["yard"], rig.controls.asks()["yard"]
    rig.figures.cameras["yard"].state = "online"
    assert not outlet.choose(frame(0), item=False)
    ask()
    ask()
    assert [outlet.choose(frame(n), item=False) for n in (1, 2)] == [True, False]
    wanted = frame(1)
    assert outlet.offer(wanted)
    assert [(snap.camera, snap.picture) for snap in rig.snaps] == [("yard", wanted.picture)]


def test_there_is_no_picture_of_a_camera_that_is_away() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="yard is not online"):
        rig.controls.asks()["yard"]()
    assert not rig.controls.snapshots["yard"].choose(frame(0), item=False)
