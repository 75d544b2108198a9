"""A camera that is switched off and on while it runs: its capture loop, in the test's own thread."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

import numpy as np

from streamer.capture.base import Delivery, DropCause, Grab, Source, SourceSpec
from streamer.core.clock import FakeClock
from streamer.core.errors import EndOfStream
from streamer.core.frame import Picture, PixelFormat
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.capture_loop import Capture, CapturePlan
from streamer.pipeline.switch import Switch

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from streamer.core.frame import Frame
    from streamer.pipeline.messages import CameraChange


class Camera:
    """A live camera that always has a picture, and is switched off at the second picture of each connection."""

    live = True

    def __init__(self, *, connections: int, on_after_beats: int) -> None:
        self.switch = Switch()
        self.clock = FakeClock()
        self.opened = self.closed = 0
        self.changes: list[tuple[str, int]] = []
        self.frames: list[tuple[int, int]] = []
        self._stop = threading.Event()
        self._stopping: Callable[[], bool] = self._stop.is_set
        self._connections = connections
        self._beats_left = self._on_after_beats = on_after_beats
        self.capture = Capture(
            CapturePlan(
                spec=SourceSpec(camera="cam", url="x", delivery=Delivery.NEWEST),
                finite=False,
                open_source=self.open,
                backoff=Backoff(random.Random(1)),
                outlets=[],
                changed=self._changed,
                count=lambda _name, _n: None,
                seen=self._saw,
                wanted=self.switch.on,
            ),
            clock=self.clock,
            stop=self._stop,
            beat=self._beat,
        )

    def open(
        self,
        spec: SourceSpec,  # noqa: ARG002  there is one
        *,
        stopping: Callable[[], bool],
        dropped: Callable[[DropCause, int], None],  # noqa: ARG002  nothing is
    ) -> Source:
        assert self.switch.on(), "a camera that is off is left alone"
        self.opened += 1
        self._stopping = stopping
        return self

    def read(self) -> Grab:
        if self._stopping():
            raise EndOfStream
        picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((4, 4), np.uint8),), width=4, height=4)
        return Grab(picture=picture, captured_ns=self.clock.monotonic_ns())

    def close(self) -> None:
        self.closed += 1

    def _saw(self, frame: Frame) -> None:
        self.frames.append((frame.info.connection, frame.info.seq))
        if frame.info.seq == 1:
            self.switch.turn(on=False)

    def _beat(self) -> None:
        if self.switch.on() or self.opened != self.closed:  # it beats once more with the picture that it has read
            return
        self._beats_left -= 1
        if self._beats_left == 0:
            self._beats_left = self._on_after_beats
            self._stop.set() if self.opened == self._connections else self.switch.turn(on=True)

    def _changed(self, change: CameraChange) -> None:
        self.changes.append((change.state.value, change.connection))


def test_a_switch_begins_on_and_stays_as_it_is_turned() -> None:
    switch = Switch()
    assert switch.on()
    switch.turn(on=False)
    switch.turn(on=False)
    assert not switch.on()
    switch.turn(on=True)
    assert switch.on()


def test_a_camera_that_is_switched_off_closes_says_so_and_opens_anew_when_it_is_on() -> None:
    camera = Camera(connections=2, on_after_beats=5)
    camera.capture.loop()
    assert camera.changes == [
        ("connecting", 0),
        ("online", 0),
        ("disabled", 0),
        ("connecting", 1),
        ("online", 1),
        ("disabled", 1),
    ]
    assert camera.frames == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (camera.opened, camera.closed) == (2, 2)


def test_the_log_says_why_a_camera_is_not_watched(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    camera = Camera(connections=2, on_after_beats=5)
    camera.capture.loop()
    off = "switched off by a command, until it is switched on"
    assert [record.getMessage() for record in caplog.records] == ["online (4x4)", off, "online again (4x4)", off]
