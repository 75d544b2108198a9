"""Clips of events as a user gets them: of a film, and of a camera with a `record` stream."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from clip_packets import boxes_in
from servers.broker import Mosquitto, Subscriber, wait_until
from servers.clip import clip_of_file
from servers.rtsp import Mount, RtspServer

from streamer.capture.nal import length_prefixed
from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FPS, GOP, SECONDS = 10, 20, 12
BEFORE_S, AFTER_S = 1.5, 1.0

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 10s}}
data_dir: data
evidence: {{min_free: 1MB}}
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  scene:
    source: "{source}"
    {record}
    detect: {{model: shapes}}
    publish_detections: true
    save: {{snapshot: false, clip: {{before: 1500ms, after: 1s}}}}
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn scene with a key frame every two seconds and nowhere else."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    scene = Scene(seed=4, width=640, height=360)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "bf": "0", "g": str(GOP), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(scene.at(number / FPS).bgr, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def slices(path: Path) -> list[bytes]:
    """Return what tells a file's pictures apart: the last slice of each, as it was coded."""
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    return [tuple(length_prefixed(packet, 4))[-1] for packet in packets]


@contextmanager
def running(folder: Path, **values: object) -> Iterator[subprocess.Popen[str]]:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(**values))
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", "run", str(path)], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def ends_of(heard: Subscriber) -> list[dict[str, Any]]:
    return [event for event in heard.events() if event["type"] == "end"]


def test_each_event_of_a_film_has_a_clip_from_before_it_to_after_it(
    tmp_path: Path, film: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    with running(tmp_path, port=broker.port, source=film, record="frames: every") as process:
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    ends = ends_of(heard)
    assert len(ends) >= 3
    shown = slices(film)
    zero = seconds(json.loads(heard.on("/detections")[0])["captured_at"])  # of the first picture
    for event in ends:
        assert event["clip"] == f"scene/{event['id']}.mp4"
        path = tmp_path / "data" / "clips" / event["clip"]
        (told,) = heard.on(f"streamer/scene/event/{event['id']}/clip")
        found = slices(path)
        length = pytest.approx(len(found) / FPS, abs=0.1)
        assert json.loads(told) == {"path": event["clip"], "seconds": length, "bytes": path.stat().st_size}
        assert boxes_in(path)[:2] == ["ftyp", "moov"]
        first = shown.index(found[0])
        last = first + len(found) - 1
        assert found == shown[first : last + 1]
        asked = (seconds(event["started_at"]) - BEFORE_S - zero) * FPS
        assert first <= max(0.0, asked + 0.1) < first + GOP
        until = (seconds(event["ended_at"]) + AFTER_S - zero) * FPS
        assert until - 1.1 < last < until + 0.1 or last == len(shown) - 1
    assert list((tmp_path / "data" / "clips").rglob("*.part")) == []


def test_clips_of_a_record_stream_outlive_a_crash_and_are_ended_by_a_stop(
    tmp_path: Path, film: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    folder = tmp_path / "data" / "clips"

    def written() -> set[str]:
        parts = folder.rglob("*.part")
        return {part.name.partition(".")[0] for part in parts if part.stat().st_size > 30_000}

    with RtspServer({"/sub": Mount(clip=clip_of_file(film)), "/main": Mount(clip=clip_of_file(film))}) as server:
        values = {"port": broker.port, "source": server.url("/sub"), "record": f'record: "{server.url("/main")}"'}
        with running(tmp_path, **values) as process:
            wait_until(lambda: bool(written()), 30, "some of a clip")
            process.kill()
        crashed = written()
        with running(tmp_path, **values) as process:
            wait_until(lambda: bool(written() - crashed), 30, "some of another clip")
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    told = [json.loads(payload) for payload in heard.on("/clip")]
    ids = {clip["path"].rpartition("/")[2].removesuffix(".mp4") for clip in told}
    assert crashed < ids
    assert {event["id"] for event in ends_of(heard)} >= ids
    named = {event["id"]: event["clip"] for event in ends_of(heard)}
    assert {named[event_id] for event_id in crashed} == {f"scene/{event_id}.mp4" for event_id in crashed}
    shown = slices(film)
    for clip in told:
        path = folder / clip["path"]
        assert path.stat().st_size == clip["bytes"]
        found = slices(path)
        first = shown.index(found[0])
        assert first % GOP == 0
        assert found == [shown[(first + n) % len(shown)] for n in range(len(found))]
    assert list(folder.rglob("*.part")) == []
