from __future__ import annotations

import pytest

from streamer.capture.av_options import openings
from streamer.capture.base import Delivery, SourceSpec
from streamer.core.errors import ConfigError

NO_BLOCKING = {"fflags": "+4"}


def spec(url: str, **more: str) -> SourceSpec:
    return SourceSpec(camera="c", url=url, delivery=Delivery.NEWEST, **more)  # type: ignore[arg-type]


def test_rtsp_is_tried_over_tcp_then_udp_without_probing() -> None:
    tcp, udp = openings(spec("rtsp://cam/x"))
    assert (tcp.options["rtsp_transport"], udp.options["rtsp_transport"]) == ("tcp", "udp")
    assert tcp.options["probesize"] == "32"
    assert tcp.options["analyzeduration"] == "0"
    assert tcp.timeout_s == (5.0, 3.0)
    assert tcp.options["timeout"] == "4000000"


def test_a_chosen_transport_is_the_only_one() -> None:
    (only,) = openings(spec("rtsp://cam/x", transport="udp"))
    assert only.options["rtsp_transport"] == "udp"
    with pytest.raises(ConfigError, match="auto, tcp or udp"):
        openings(spec("rtsp://cam/x", transport="quic"))


def test_a_usb_camera_is_asked_for_mjpeg_first_then_for_anything() -> None:
    first, second = openings(spec("usb:2"))
    assert (first.file, first.format) == ("/dev/video2", "v4l2")
    assert first.options == {"input_format": "mjpeg", **NO_BLOCKING}
    assert second.options == NO_BLOCKING


def test_a_usb_camera_takes_size_rate_and_format() -> None:
    (only,) = openings(spec("/dev/video0?size=1280x720&fps=30&format=yuyv422"))
    assert only.options == {"video_size": "1280x720", "framerate": "30", "input_format": "yuyv422", **NO_BLOCKING}
    with pytest.raises(ConfigError, match="unknown option colour; there are size, fps, format"):
        openings(spec("usb:0?colour=red"))


def test_a_file_may_have_a_colon_and_stays_a_file() -> None:
    (only,) = openings(spec("/data/12:30.mp4"))
    assert only.file == "file:/data/12:30.mp4"
    assert only.timeout_s is None
    assert openings(spec("file:///data/a%20b.mp4"))[0].file == "file:/data/a b.mp4"


def test_an_opening_does_not_show_its_address() -> None:
    assert "hunter2" not in repr(openings(spec("rtsp://u:hunter2@cam/x")))
