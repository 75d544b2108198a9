from __future__ import annotations

import base64

import pytest

from streamer.capture.sdp import video_of

BASE = "rtsp://cam/stream/"
SPS, PPS = b"\x67\x42\xc0\x1e", b"\x68\xce\x3c\x80"


def sdp(*, video: str = "", session: str = "") -> str:
    sets = f"{base64.b64encode(SPS).decode()},{base64.b64encode(PPS).decode()}"
    usual = (
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={sets}\r\na=control:trackID=1\r\n"
    )
    return f"v=0\r\ns=x\r\n{session}m=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n{video or usual}"


def test_the_first_video_track_is_found_behind_audio() -> None:
    media = video_of(sdp(), base_url=BASE)
    assert media is not None
    assert (media.codec, media.payload_type, media.clock_hz) == ("h264", 96, 90_000)
    assert media.control == "rtsp://cam/stream/trackID=1"
    assert media.aggregate == BASE
    assert media.parameter_sets == b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS


def test_controls_are_appended_as_cameras_expect_and_absolute_ones_kept() -> None:
    media = video_of(sdp(session="a=control:*\r\n"), base_url="rtsp://cam/live?channel=1")
    assert media is not None
    assert media.control == "rtsp://cam/live?channel=1/trackID=1"
    video = "m=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\na=control:rtsp://other/x\n"
    media = video_of(sdp(video=video, session="a=control:rtsp://cam/all\n"), base_url=BASE)
    assert media is not None
    assert (media.control, media.aggregate, media.parameter_sets) == ("rtsp://other/x", "rtsp://cam/all", b"")


def test_h265_brings_three_parameter_sets() -> None:
    video = (
        "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 sprop-vps=AAAA; sprop-sps=AQEB; sprop-pps=AgIC\r\n"
    )
    media = video_of(sdp(video=video), base_url=BASE)
    assert media is not None
    assert media.codec == "hevc"
    assert media.parameter_sets == b"".join(b"\0\0\0\1" + bytes([n] * 3) for n in range(3))


def test_broken_parameter_sets_are_left_out() -> None:
    video = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Z,\r\n"
    media = video_of(sdp(video=video), base_url=BASE)
    assert media is not None
    assert media.parameter_sets == b""


@pytest.mark.parametrize(
    "video",
    [
        "m=video 0 RTP/AVP 26\r\n",  # MJPEG
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n",
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\n",
        "m=application 0 RTP/AVP 107\r\n",
        "\0\1\2",
    ],
)
def test_what_is_not_understood_is_left_to_ffmpeg(video: str) -> None:
    assert video_of(sdp(video=video), base_url=BASE) is None
