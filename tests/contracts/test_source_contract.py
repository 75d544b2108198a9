"""What every `Source` keeps to, run on each kind of it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from host_picture import on_host
from servers.clip import bar_coded_clip, write_recording
from servers.mjpeg import MjpegServer
from servers.rtsp import Mount, RtspServer

from streamer.capture.base import Delivery, Source, SourceSpec
from streamer.capture.open import is_finite, open_source
from streamer.core.errors import EndOfStream, SourceError
from streamer.core.frame import Picture, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    url: str
    live: bool


@contextmanager
def a_file(tmp_path: Path) -> Iterator[Case]:
    write_recording(tmp_path / "clip.mp4", frames=20)
    yield Case(str(tmp_path / "clip.mp4"), live=False)


@contextmanager
def rtsp(_: Path) -> Iterator[Case]:
    with RtspServer({"/cam": Mount(clip=bar_coded_clip())}) as server:
        yield Case(server.url(), live=True)


@contextmanager
def mjpeg(_: Path) -> Iterator[Case]:
    with MjpegServer() as server:
        yield Case(server.url(), live=True)


@contextmanager
def synthetic_live(_: Path) -> Iterator[Case]:
    yield Case("synthetic:shapes?size=320x240&fps=25", live=True)


@contextmanager
def synthetic_fast(_: Path) -> Iterator[Case]:
    yield Case("synthetic:shapes?size=320x240&fps=25&seconds=1&pace=fast", live=False)


@contextmanager
def gstreamer(_: Path) -> Iterator[Case]:
    pytest.importorskip("gi", reason="needs PyGObject for this Python (tests/capture/test_gst_source.py runs another)")
    yield Case("gst:videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1", live=True)


KINDS = [a_file, rtsp, mjpeg, synthetic_live, synthetic_fast, gstreamer]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with request.param(tmp_path) as made:
        yield made


def opened(case: Case, *, stopping: Callable[[], bool] = lambda: False) -> Source:
    delivery = Delivery.NEWEST if case.live else Delivery.EVERY
    spec = SourceSpec(camera="c", url=case.url, delivery=delivery)
    return open_source(spec, stopping=stopping, dropped=lambda *_: None)


def check(picture: Picture) -> None:
    assert (picture.width, picture.height) == (320, 240)
    assert picture.planes[0].shape[:2] == (240, 320)
    assert picture.format is PixelFormat.I420
    assert [p.shape for p in picture.planes[1:]] == [(120, 160), (120, 160)]
    assert all(p.dtype == "uint8" for p in picture.planes)


def test_pictures_are_whole_and_times_rise(case: Case) -> None:
    began_ns = time.monotonic_ns()
    source = opened(case)
    try:
        assert source.live is case.live
        times = []
        for _ in range(10):
            grab = source.read()
            check(on_host(grab.picture))
            times.append(grab.captured_ns)
            if case.live:
                assert grab.captured_ns <= time.monotonic_ns()
        assert times == sorted(times)
        assert times[0] >= began_ns - 1_000_000_000
        assert 200_000_000 < times[-1] - times[0] < 900_000_000  # 9 intervals of 40 ms
    finally:
        source.close()


def test_a_picture_stays_as_it_is_while_others_are_read(case: Case) -> None:
    source = opened(case)
    try:
        picture = on_host(source.read().picture)
        before = [plane.copy() for plane in picture.planes]
        for _ in range(8):
            source.read()
        assert all((plane == copy).all() for plane, copy in zip(picture.planes, before, strict=True))
    finally:
        source.close()


def test_a_finite_source_ends_and_says_so_before_it_is_opened(case: Case) -> None:
    if not is_finite(case.url):
        assert case.live
        return
    source = opened(case)
    try:
        with pytest.raises(EndOfStream):
            for _ in range(100):
                source.read()
    finally:
        source.close()


def test_stopping_ends_the_reading(case: Case) -> None:
    stop = False
    source = opened(case, stopping=lambda: stop)
    try:
        source.read()
        stop = True
        with pytest.raises(EndOfStream):
            for _ in range(40):
                source.read()
    finally:
        source.close()


def test_closing_twice_is_fine(case: Case) -> None:
    source = opened(case)
    source.close()
    source.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("streamer")]


def test_a_spec_hides_its_address() -> None:
    assert "hunter2" not in repr(SourceSpec(camera="c", url="rtsp://a:hunter2@b", delivery=Delivery.NEWEST))


@pytest.mark.parametrize("url", ["/nonexistent/clip.mp4", "rtsp://127.0.0.1:1/x", "http://127.0.0.1:1/x", "usb:99"])
def test_what_can_not_be_opened_is_a_source_error(url: str) -> None:
    with pytest.raises(SourceError):
        opened(Case(url, live=True))
