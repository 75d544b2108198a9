"""The tap: what a source gives is on its tape too, with its capture time, and decoding is none the wiser."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from clip_packets import MadeReader, S, coded_of
from host_picture import on_host
from servers import barcode
from servers.clip import bar_coded_clip, write_recording
from servers.mjpeg import MjpegServer
from servers.rtsp import Mount, RtspServer

from streamer.capture.av_source import open_packets
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.capture.tape import Reading, Tape
from streamer.capture.taped import taped_live
from streamer.core.errors import EndOfStream

if TYPE_CHECKING:
    from pathlib import Path

    from servers.clip import Clip

    from streamer.capture.base import Grab, Source

LATE = 1 << 62
STEP = S // 25


def whole(tape: Tape) -> Reading:
    return tape.reader(0).read(LATE)


def source_of(spec: SourceSpec) -> Source:
    return open_source(spec, stopping=lambda: False, dropped=lambda *_: None)


def number(grab: Grab) -> int | None:
    return barcode.read(on_host(grab.picture).planes[0])


@pytest.mark.parametrize(("name", "b_frames"), [("a.mp4", "0"), ("a.mp4", "2"), ("a.avi", "0"), ("a.ts", "2")])
def test_the_times_on_the_tape_are_those_of_the_pictures(tmp_path: Path, name: str, b_frames: str) -> None:
    write_recording(tmp_path / name, frames=60, codec="libx264", options={"g": "20", "bf": b_frames})
    tape = Tape(seconds=60)
    spec = SourceSpec(camera="c", url=str(tmp_path / name), delivery=Delivery.EVERY, epoch_ns=50 * S, tape=tape)
    source = source_of(spec)
    grabs = []
    with pytest.raises(EndOfStream):
        while True:
            grabs.append(source.read())
    source.close()
    reading = whole(tape)
    assert reading.over
    assert len(grabs) == len(reading.pictures) == 60
    assert sorted(t.captured_ns for t in reading.pictures) == pytest.approx([g.captured_ns for g in grabs], abs=1000)
    assert min(t.captured_ns for t in reading.pictures) == 50 * S
    assert reading.facts is not None
    assert reading.facts.codec == "h264"


def test_a_camera_s_packets_are_on_the_tape_with_the_times_of_its_pictures() -> None:
    tape = Tape(seconds=60)
    clip = bar_coded_clip(width=160, height=96, seconds=1.0, gop=10)
    with RtspServer({"/cam": Mount(clip=clip)}) as server:
        source = source_of(SourceSpec(camera="c", url=server.url(), delivery=Delivery.NEWEST, tape=tape))
        grabs = [source.read() for _ in range(15)]
        source.close()
    taped = {t.pts_ns: t.captured_ns for t in whole(tape).pictures}
    assert len(taped) >= 15
    assert [number(g) for g in grabs] == list(range(15))
    found = list(taped.values())[: len(grabs)]
    assert found == pytest.approx([g.captured_ns for g in grabs], abs=S // 10)
    assert whole(tape).over


def test_a_record_stream_is_taped_and_not_decoded() -> None:
    tape = Tape(seconds=60)
    clip = bar_coded_clip(width=160, height=96, seconds=1.0, gop=10)
    with RtspServer({"/main": Mount(clip=clip)}) as server:
        spec = SourceSpec(camera="c", url=server.url("/main"), delivery=Delivery.NEWEST, tape=tape)
        packets = open_packets(spec, lambda: False)
        for _ in range(12):
            packets.next()
        assert not packets.codec.is_open
        packets.close()
    assert len(whole(tape).pictures) == 12


def test_what_no_clip_can_hold_is_said_once_and_looked_at_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape(seconds=60)
    with MjpegServer() as server, caplog.at_level(logging.WARNING):
        for _ in range(2):
            source = source_of(SourceSpec(camera="door", url=server.url(), delivery=Delivery.NEWEST, tape=tape))
            assert source.read().picture.width > 0
            source.close()
    assert whole(tape) == Reading()
    (said,) = [r for r in caplog.records if "no clips" in r.message]
    assert "mjpeg" in said.message
    assert said.__dict__["camera"] == "door"


def test_without_a_tape_the_reader_is_left_as_it_is() -> None:
    packets = MadeReader([])
    spec = SourceSpec(camera="c", url="rtsp://192.0.2.1/x", delivery=Delivery.NEWEST)
    assert taped_live(packets, spec) is packets


def test_a_late_packet_has_the_time_at_which_it_was_captured() -> None:
    tape = Tape(seconds=60)
    clip = bar_coded_clip(width=160, height=96, seconds=2.0, gop=10)
    coded = [
        replace(c, arrived_ns=c.arrived_ns + (5 * S if n > 20 else 0), waited=n <= 20)
        for n, c in enumerate(coded_of(clip, began_ns=100 * S))
    ]
    packets = taped_live(MadeReader(coded), SourceSpec(camera="c", url="x", delivery=Delivery.NEWEST, tape=tape))
    for _ in coded:
        packets.next()
    assert [t.captured_ns for t in whole(tape).pictures] == [100 * S + n * STEP for n in range(50)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_recording(path, width=160, height=96, frames=500, codec="libx264", options={"g": "20", "bf": "0"})
    return path


def test_a_recording_waits_for_who_writes_its_clips(film: Path) -> None:
    tape = Tape(seconds=3)
    spec = SourceSpec(camera="c", url=str(film), delivery=Delivery.EVERY, epoch_ns=0, tape=tape)
    source = source_of(spec)
    source.read()
    reader = tape.reader(0)
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(EndOfStream):
            while True:
                source.read()
        ended.set()

    thread = threading.Thread(target=read, name="streamer-test-film", daemon=True)
    thread.start()
    found = 0
    while not ended.is_set():
        found += len(reader.read(LATE).pictures)
        ended.wait(0.001)
    thread.join(5.0)
    assert found + len(reader.read(LATE).pictures) == 500
    source.close()


def test_a_recording_that_waits_ends_with_the_run(film: Path) -> None:
    tape = Tape(seconds=3)
    asked: list[None] = []

    def stopping() -> bool:
        asked.append(None)
        return len(tape.reader(0).read(LATE).pictures) > 75  # that is when it has to wait

    spec = SourceSpec(camera="c", url=str(film), delivery=Delivery.EVERY, epoch_ns=0, tape=tape)
    source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    source.read()
    tape.reader(0)
    source._packets._waits = stopping  # type: ignore[attr-defined]
    with pytest.raises(EndOfStream):
        for _ in range(500):
            source.read()
    assert asked
    source.close()


def test_a_camera_never_waits(film: Path) -> None:
    tape = Tape(seconds=3)
    spec = SourceSpec(camera="c", url=str(film), delivery=Delivery.NEWEST, epoch_ns=0, tape=tape)
    source = source_of(spec)
    reader = tape.reader(0)
    with pytest.raises(EndOfStream):
        while True:
            source.read()
    assert len(reader.read(LATE).pictures) < 120
    source.close()


def test_stamps_that_begin_anew_go_on(tmp_path: Path) -> None:
    joined = tmp_path / "joined.ts"
    for _ in range(2):
        write_recording(tmp_path / "one.ts", width=160, height=96, frames=50, options={"g": "10", "bf": "0"})
        joined.write_bytes((joined.read_bytes() if joined.exists() else b"") + (tmp_path / "one.ts").read_bytes())
    tape = Tape(seconds=60)
    source = source_of(SourceSpec(camera="c", url=str(joined), delivery=Delivery.EVERY, epoch_ns=0, tape=tape))
    with pytest.raises(EndOfStream):
        while True:
            source.read()
    source.close()
    times = [t.captured_ns for t in whole(tape).pictures]
    assert times == pytest.approx([n * STEP for n in range(100)], abs=STEP)


def test_two_connections_do_not_run_into_each_other(clip: Clip) -> None:
    tape = Tape(seconds=60)
    spec = SourceSpec(camera="c", url="rtsp://192.0.2.1/x", delivery=Delivery.NEWEST, tape=tape)
    readers = []
    for began_s in (100, 200):
        inner = MadeReader(coded_of(clip, began_ns=began_s * S))
        packets = taped_live(inner, spec)
        for _ in range(20):
            packets.next()
        readers.append(tape.reader(0))
        packets.close()
        assert inner.closed
    first, second = (reader.read(LATE) for reader in readers)
    assert [t.captured_ns // S for t in first.pictures] == [100] * 20
    assert [t.captured_ns // S for t in second.pictures] == [200] * 20
    assert first.over
    assert second.over


@pytest.fixture(scope="module")
def clip() -> Clip:
    return bar_coded_clip(width=160, height=96, seconds=1.0, gop=10)
