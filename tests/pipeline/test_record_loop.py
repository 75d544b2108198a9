from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from clip_packets import MadeReader, S, coded_of
from servers.clip import bar_coded_clip
from servers.rtsp import Mount, RtspServer

from streamer.capture.av_source import open_packets
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.tape import Tape
from streamer.capture.taped import taped_live
from streamer.core.clock import FakeClock, SystemClock
from streamer.core.errors import EndOfStream, LostReason, SourceError
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.record_loop import LOST, Recording, RecordingPlan
from streamer.pipeline.switch import Switch
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.clip import Clip

    from streamer.capture.packets import Coded, PacketReader
    from streamer.core.clock import Clock


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=1.0, gop=10)


class Rig:
    """A recording whose connections are given one after the other; when there are none left, the run stops."""

    def __init__(self, *connections: list[Coded | Exception] | Exception) -> None:
        self.tape = Tape(seconds=60)
        self.stop = threading.Event()
        self.clock = FakeClock()
        self.counts: Counter[str] = Counter()
        self.readers: list[MadeReader] = []
        self.opened_ns: list[int] = []
        self.beats = 0
        self._left = list(connections)
        self.recording = Recording(self.plan(self._open), clock=self.clock, stop=self.stop, beat=self._beat)

    def plan(
        self, opener: Callable[[SourceSpec, Callable[[], bool]], PacketReader], url: str = "rtsp://192.0.2.1/main"
    ) -> RecordingPlan:
        return RecordingPlan(
            spec=SourceSpec(camera="porch", url=url, delivery=Delivery.NEWEST, tape=self.tape),
            open_packets=opener,
            backoff=Backoff(random.Random(1)),
            count=lambda counter, n: self.counts.update({counter: n}),
        )

    def _open(self, spec: SourceSpec, stopping: Callable[[], bool]) -> PacketReader:
        self.opened_ns.append(self.clock.monotonic_ns())
        assert not stopping()
        connection = self._left.pop(0)
        if isinstance(connection, Exception):
            raise connection
        self.readers.append(MadeReader(self._items(connection)))
        return taped_live(self.readers[-1], spec)

    def _items(self, connection: list[Coded | Exception]) -> Iterator[Coded | Exception]:
        yield from connection
        if not self._left:
            self.stop.set()

    def _beat(self) -> None:
        self.beats += 1

    def waited_s(self) -> list[float]:
        return [(b - a) / S for a, b in zip(self.opened_ns, self.opened_ns[1:], strict=False)]


def test_it_records_and_after_a_loss_records_again(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    refused = SourceError(LostReason.REFUSED, "rtsp://192.0.2.1: the connection is refused")
    gone = SourceError(LostReason.FROZEN, "rtsp://192.0.2.1: no picture comes any more")
    rig = Rig(refused, refused, [*coded_of(clip), gone], [*coded_of(clip, began_ns=90 * S)])
    with caplog.at_level(logging.INFO):
        rig.recording.loop()
    assert rig.counts == {LOST: 3}
    assert [r.message for r in caplog.records] == [
        "no clips while its record stream is lost: rtsp://192.0.2.1: the connection is refused (refused)",
        "recording again",
        "no clips while its record stream is lost: rtsp://192.0.2.1: no picture comes any more (frozen)",
        "recording again",
    ]
    assert {r.__dict__["camera"] for r in caplog.records} == {"porch"}
    assert all(reader.closed for reader in rig.readers)
    assert rig.beats > 50
    assert len(rig.tape.reader(90 * S).read(1 << 62).pictures) == 25
    first, second, third = rig.waited_s()
    assert 0.25 <= first <= 0.5
    assert 0.5 <= second <= 1.0
    assert 0.25 <= third <= 0.5  # a picture has come: the back-off begins anew


def test_a_stream_that_ends_is_opened_anew(clip: Clip) -> None:
    rig = Rig([*coded_of(clip), EndOfStream()], [*coded_of(clip)])
    rig.recording.loop()
    assert len(rig.opened_ns) == 2
    assert rig.counts == {LOST: 1}


def test_a_camera_that_is_switched_off_is_not_recorded_until_it_is_on_again(clip: Clip) -> None:
    rig, switch = Rig([], [*coded_of(clip)]), Switch()

    def watched() -> Iterator[Coded | Exception]:
        yield from coded_of(clip)
        switch.turn(on=False)
        rig.beats = 0
        yield EndOfStream()  # as it is raised where `stopping` says so

    def beat() -> None:
        rig.beats += 1
        if rig.beats == 40:  # ten seconds later
            switch.turn(on=True)

    rig._left[0] = watched()  # type: ignore[call-overload]
    plan = replace(rig.plan(rig._open), wanted=switch.on)
    Recording(plan, clock=rig.clock, stop=rig.stop, beat=beat).loop()
    assert rig.waited_s() == [pytest.approx(10.0, abs=0.3)]
    assert [reader.closed for reader in rig.readers] == [True, True]
    assert not rig.counts  # it is no loss


def test_a_fault_of_ours_stays_within_the_recording(clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([*coded_of(clip), ZeroDivisionError("a fault")], [*coded_of(clip)])
    rig.recording.loop()
    assert rig.counts == {"fault": 1}
    assert "unexpected fault" in caplog.text
    assert "a fault" in caplog.text


def test_no_password_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(SourceError(LostReason.LOGIN, "rtsp://user:secret@192.0.2.1/main: the login is refused"), [])
    rig.recording.loop()
    assert "the login is refused" in caplog.text
    assert "secret" not in caplog.text
    assert rig.waited_s()[0] >= 15.0  # who asks too often is locked out


def test_it_keeps_a_real_stream_open_and_ends_with_the_run(clip: Clip) -> None:
    rig = Rig()
    clock: Clock = SystemClock()
    with RtspServer({"/main": Mount(clip=clip)}) as server:
        plan = rig.plan(open_packets, server.url("/main"))
        there = threading.Event()
        seen = [0]

        def beat() -> None:
            seen[0] += 1
            if seen[0] >= 15:
                there.set()

        worker = Worker("record-porch", Recording(plan, clock=clock, stop=rig.stop, beat=beat).loop)
        worker.start()
        assert there.wait(5.0)
        server.reset_clients()
        seen[0] = 0
        there.clear()
        assert there.wait(5.0)
        rig.stop.set()
        assert worker.join(3.0)
        assert worker.failure is None
    assert rig.counts == {LOST: 1}
    assert rig.tape.reader(0).read(1 << 62).over
