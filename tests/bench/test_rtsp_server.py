"""The bench's own cameras, seen through the client that the pipeline uses and through FFmpeg's."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import av
import pytest

from streamer.bench.child import Child
from streamer.bench.rtsp import RtspServer
from streamer.capture.base import Delivery, DropCause, SourceSpec
from streamer.capture.coded import Clip, clip_of_file
from streamer.capture.open import open_source
from streamer.capture.record import record_scene

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    record_scene(path, size=(160, 96), fps=30, seconds=1.0, seed=2)
    return path


@pytest.fixture(scope="module")
def clip(file: Path) -> Clip:
    return clip_of_file(file)


def test_our_client_gets_every_frame_in_time_over_the_clips_end(clip: Clip) -> None:
    dropped: list[tuple[DropCause, int]] = []
    with RtspServer(clip, 2) as server:
        spec = SourceSpec(camera="x", url=server.urls()[1], delivery=Delivery.EVERY, transport="tcp")
        source = open_source(spec, stopping=lambda: False, dropped=lambda *drop: dropped.append(drop))
        times = [source.read().captured_ns for _ in range(45)]
        source.close()
    assert dropped == []
    assert times == sorted(times)  # where the first comes late, the clock holds the next ones back to its moment
    assert (times[-1] - times[0]) / 1e9 == pytest.approx(44 / 30, abs=0.3)  # a busy machine sends the first one late


def test_ffmpegs_client_plays_it_too(clip: Clip) -> None:
    options = {"rtsp_transport": "tcp", "probesize": "32", "analyzeduration": "0"}
    with RtspServer(clip, 1) as server, av.open(server.urls()[0], options=options, timeout=(3, 2)) as container:
        frames = [frame for frame, _ in zip(container.decode(video=0), range(5), strict=False)]
    assert {(frame.width, frame.height) for frame in frames} == {(160, 96)}


@pytest.mark.parametrize("path", ["/cam1", "/other", "/cam", "/cam-1", "/cam²"])
def test_another_path_is_not_found(clip: Clip, path: str) -> None:
    with RtspServer(clip, 1) as server:
        assert b"404 Not Found" in asked(server, f"DESCRIBE rtsp://x{path} RTSP/1.0\r\nCSeq: 3\r\n\r\n".encode())


def test_udp_is_refused_by_name(clip: Clip) -> None:
    with RtspServer(clip, 1) as server:
        wanted = b"SETUP rtsp://x/cam0/track1 RTSP/1.0\r\nTransport: RTP/AVP;unicast;client_port=9-10\r\n\r\n"
        assert b"461 Unsupported Transport" in asked(server, wanted)


def test_garbage_ends_its_own_connection_only(clip: Clip) -> None:
    with RtspServer(clip, 1) as server:
        assert asked(server, b"\r\n\r\n") == b""
        assert b"200 OK" in asked(server, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")


def test_the_program_serves_until_it_is_left(file: Path) -> None:
    with Child("cameras", {"clip": str(file), "cameras": 2}) as server:
        first, second = server.answer(20.0)["urls"]
        assert first != second
        spec = SourceSpec(camera="x", url=second, delivery=Delivery.NEWEST, transport="tcp")
        source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
        assert source.read().picture.width == 160
        source.close()
    port = int(first.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_a_job_is_json_in_the_arguments(file: Path) -> None:
    assert json.loads(Child("cameras", {"clip": str(file)})._command[-1]) == {"clip": str(file)}


def asked(server: RtspServer, request: bytes) -> bytes:
    host, port = server.urls()[0].removeprefix("rtsp://").split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        connection.sendall(request)
        return connection.recv(4096)
