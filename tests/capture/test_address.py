from __future__ import annotations

import pytest

from streamer.capture.address import SourceKind, has_host_name, is_finite, kind_of, shown
from streamer.core.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "kind", "finite"),
    [
        ("rtsp://u:p@192.0.2.1/stream", SourceKind.RTSP, False),
        ("RTSPS://192.0.2.1:322/stream", SourceKind.RTSP, False),
        ("http://192.0.2.1/video.mjpg", SourceKind.HTTP, False),
        ("https://192.0.2.1/video.mjpg", SourceKind.HTTP, False),
        ("clip.mp4", SourceKind.FILE, True),
        ("/data/odd:name.mp4", SourceKind.FILE, True),
        ("file:///data/clip.mp4", SourceKind.FILE, True),
        ("/dev/video0", SourceKind.V4L2, False),
        ("/dev/video10?fps=30", SourceKind.V4L2, False),
        ("usb:0", SourceKind.V4L2, False),
        ("csi:1", SourceKind.CSI, False),
        ("gst:videotestsrc ! identity", SourceKind.GSTREAMER, False),
        ("synthetic:shapes", SourceKind.SYNTHETIC, False),
        ("synthetic:shapes?seed=3&seconds=20", SourceKind.SYNTHETIC, True),
    ],
)
def test_an_address_says_its_kind_and_whether_it_ends(url: str, kind: SourceKind, *, finite: bool) -> None:
    assert kind_of(url) is kind
    assert is_finite(url) is finite


@pytest.mark.parametrize("url", ["ftp://192.0.2.1/x", "usb:", "usb:front", "csi:x", "gst:", "synthetic: "])
def test_a_wrong_address_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match=r"may begin with|needs"):
        kind_of(url)


def test_a_host_is_a_name_or_a_number() -> None:
    assert has_host_name("rtsp://u:p@camera.local/x")
    assert not has_host_name("rtsp://u:p@192.0.2.1:554/x")
    assert not has_host_name("rtsp://[2001:db8::1]/x")
    assert not has_host_name("clip.mp4")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://admin:hunter2@192.0.2.1:554/stream?password=hunter2", "rtsp://192.0.2.1:554"),
        ("rtsp://192.0.2.1/user=admin&password=hunter2", "rtsp://192.0.2.1"),
        ("http://admin:hun@ter2@cam/video?pwd=hunter2", "http://cam"),
        ("gst:rtspsrc location=rtsp://a:hunter2@cam ! decodebin", "gst:..."),
        ("/data/clip.mp4", "/data/clip.mp4"),
        ("usb:0?fps=30", "usb:0"),
    ],
)
def test_what_is_shown_holds_no_secret(url: str, expected: str) -> None:
    assert shown(url) == expected
