from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.capture.base import Delivery, Grab, Source, SourceSpec
from streamer.core.clock import FakeClock
from streamer.core.errors import EndOfStream, LostReason, SourceError
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.capture_loop import Capture, CapturePlan
from streamer.pipeline.frames import FrameQueue, Lane
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.outlets import DetectorOutlet, DetectorPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.capture.base import DropCause
    from streamer.pipeline.messages import Still

S = 1_000_000_000


class StillCamera:
    """Gives the same picture ten times a second, for so many seconds."""

    live = True

    def __init__(self, begin_s: float, seconds: float, end: Exception) -> None:
        plane = np.full((90, 160), 80, np.uint8)
        self._picture = Picture(format=PixelFormat.GRAY, planes=(plane,), width=160, height=90)
        self._times = iter(range(round(begin_s * S), round((begin_s + seconds) * S), S // 10))
        self._end = end

    def read(self) -> Grab:
        for captured_ns in self._times:
            return Grab(picture=self._picture, captured_ns=captured_ns)
        raise self._end

    def close(self) -> None:
        pass


class NotingQueue(FrameQueue[Frame]):
    """Takes everything, and notes when."""

    def __init__(self) -> None:
        super().__init__({"cam": Lane.NEWEST}, lambda _camera, _cause: None)
        self.offered: list[tuple[int, float]] = []

    def offer(self, frame: Frame, timeout_s: float = 1.0) -> bool:
        self.offered.append((frame.info.connection, frame.info.captured_ns / S))
        return super().offer(frame, timeout_s)


def watch(cameras: list[StillCamera], *, settled: bool) -> tuple[NotingQueue, list[Still], Counter[str]]:
    lane, counts = NotingQueue(), Counter[str]()
    stills: list[Still] = []
    waiting, stop = list(cameras), threading.Event()

    def opened(spec: SourceSpec, *, stopping: Callable[[], bool], dropped: Callable[[DropCause, int], None]) -> Source:
        assert spec.camera == "cam"
        assert not stopping()
        assert callable(dropped)
        if not waiting:
            stop.set()
            raise EndOfStream
        return waiting.pop(0)

    gate = Gated(
        GatePlan(gate=MotionGate(MotionPlan()), settled_ns=lambda: 2**62 if settled else -1, still=stills.append)
    )
    outlet = DetectorOutlet(
        DetectorPlan(
            camera="cam", frames=lane, cadence=Cadence(5), gate=gate, skipped=lambda: counts.update({"still": 1})
        )
    )
    plan = CapturePlan(
        spec=SourceSpec(camera="cam", url="x", delivery=Delivery.NEWEST),
        finite=False,
        open_source=opened,
        backoff=Backoff(random.Random(1)),
        outlets=[outlet],
        changed=lambda _change: None,
        count=lambda name, n: counts.update({name: n}),
        seen=lambda _frame: None,
    )
    Capture(plan, clock=FakeClock(), stop=stop, beat=lambda: None).loop()
    return lane, stills, counts


def test_frames_of_a_still_scene_are_saved_counted_and_told_of() -> None:
    lane, stills, counts = watch([StillCamera(100, 30, EndOfStream())], settled=True)

    assert len(lane.offered) == 25 + 2  # the first five seconds, and two heartbeats
    assert counts["decoded"] == 300
    assert counts["still"] == 150 - len(lane.offered)
    times = [still.info.captured_ns / S for still in stills]
    assert all(0.5 <= later - earlier <= 0.81 for earlier, later in itertools.pairwise(times))
    assert len(times) >= 40


def test_nothing_is_saved_while_something_is_uncertain() -> None:
    lane, stills, counts = watch([StillCamera(100, 20, EndOfStream())], settled=False)

    assert len(lane.offered) == 100
    assert stills == []
    assert counts["still"] == 0


def test_a_new_connection_is_a_new_scene() -> None:
    lost = SourceError(LostReason.FROZEN, "no packets")
    lane, _, _ = watch([StillCamera(100, 8, lost), StillCamera(109, 8, EndOfStream())], settled=True)

    assert sum(connection == 0 for connection, _ in lane.offered) == 25
    assert sum(connection == 1 for connection, _ in lane.offered) == 25


def test_it_idles_while_the_gate_is_shut_and_all_is_certain() -> None:
    settled_ns = 2**62
    gate = Gated(GatePlan(gate=MotionGate(MotionPlan()), settled_ns=lambda: settled_ns, still=lambda _: None))
    plane = np.full((90, 160), 80, np.uint8)
    still = Picture(format=PixelFormat.GRAY, planes=(plane,), width=160, height=90)
    moved = plane.copy()
    moved[30:60, 40:80] = 200
    begins = replace(still, planes=(moved,))

    def show(seq: int, picture: Picture) -> bool:
        info = FrameInfo(
            camera="cam", connection=0, seq=seq, captured_ns=seq * S // 10, utc_ns=0, width=160, height=90, live=True
        )
        gate.watch(Frame(info=info, picture=picture))
        return gate.idle()

    assert not gate.idle()
    idle = [show(seq, still) for seq in range(60)]
    assert idle == [False] * 50 + [True] * 10
    settled_ns = -1
    assert not show(60, still)
    settled_ns = 2**62
    assert show(61, still)
    assert not show(62, begins)
    (where,) = gate.regions()
    assert where == pytest.approx((0.25, 30 / 90, 0.5, 60 / 90))
    assert not show(0, still)  # a new connection
    assert gate.regions() == ()
