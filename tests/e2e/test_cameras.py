"""One bad camera harms nobody: a good one beside three that misbehave, as a user runs them.

One run is made and watched from outside; each test looks at what was heard of it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from servers.broker import Mosquitto, Subscriber, mosquitto_program, wait_until
from servers.clip import clip_of_file
from servers.faulty import LOGIN, WRONG, MovingServer, record_scene
from servers.rtsp import Mount, RtspServer

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "event.schema.json").read_text())
CLIP_S = 13.0

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(150)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", topic_prefix: {prefix}, client_id: {prefix}}}
data_dir: data-{prefix}
models: {{net: {{model: shapes, precision: f32}}}}
cameras:
"""
CAMERA = """\
  {name}:
    source: {url}
    frames: newest
    detect: {{model: net}}
    events: [{{name: shape, class: [circle, square, triangle, star, cross], end_after: 1s}}]
"""


@dataclass(frozen=True, slots=True)
class Witness:
    """What is left of the run."""

    messages: Sequence[tuple[str, bytes, bool]]  # topic, payload, retained
    log: str
    code: int
    logins: int  # attempts with the wrong password
    film: Sequence[dict[str, Any]]  # the events of the same clip as a file
    files: bytes  # everything under data_dir

    def states(self, camera: str) -> list[tuple[str, str | None]]:
        told = [json.loads(payload) for topic, payload, _ in self.messages if topic == f"live/{camera}/status"]
        return [(state["state"], state["reason"]) for state in told]

    def stays(self, camera: str) -> list[list[dict[str, Any]]]:
        return stays(self.messages, f"live/{camera}/event")


def stays(messages: Sequence[tuple[str, bytes, bool]], where: str) -> list[list[dict[str, Any]]]:
    """Return the messages of each event under a topic, repeats left out."""
    by_id: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for topic, payload, _ in messages:
        if topic == where:
            event = json.loads(payload)
            by_id[event["id"]].setdefault(event["seq"], event)
    return [list(event.values()) for event in by_id.values()]


def write(folder: Path, prefix: str, port: int, urls: dict[str, str]) -> Path:
    config = folder / f"{prefix}.yaml"
    cameras = (CAMERA.format(name=name, url=url) for name, url in urls.items())
    config.write_text(CONFIG.format(port=port, prefix=prefix) + "".join(cameras))
    return config


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamer", "run", str(config), "--verbose"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    folder = tmp_path_factory.mktemp("cameras")
    film = folder / "scene.mp4"
    record_scene(film, seed=12, seconds=CLIP_S)
    with Mosquitto(folder / "broker") as mosquitto:
        subscriber = Subscriber(mosquitto.port, topic="#").start()
        config = write(folder, "film", mosquitto.port, {"film": str(film)})
        config.write_text(config.read_text().replace("frames: newest", "frames: every"))  # however busy the machine is
        reference = start(config)
        try:
            return live(folder, film, mosquitto.port, subscriber, reference)
        finally:
            reference.kill()
            reference.communicate(timeout=5)
            subscriber.stop()


def live(folder: Path, film: Path, port: int, heard: Subscriber, reference: subprocess.Popen[str]) -> Witness:
    """Run with the cameras, and beside it what they are compared with: lose one in mid-event, freeze another, stop."""
    clip = clip_of_file(film)
    good = Mount(clip=clip)
    frozen = Mount(clip=clip)
    mounts = {
        "/good": good,
        "/frozen": frozen,
        "/login": Mount(clip=clip, login=LOGIN, digest=True),
        "/garbage": Mount(clip=clip, garbage=True),
    }
    with RtspServer(mounts) as server, MovingServer(Mount(clip=clip)) as moving:
        urls = {name[1:]: server.url(name) for name in mounts} | {"moving": moving.url}
        urls["login"] = server.url("/login", userinfo=f"{LOGIN[0]}:{WRONG}")
        child = start(write(folder, "live", port, urls))
        try:
            lose_and_return(heard, moving, frozen)
            _, log = reference.communicate(timeout=60)
            assert reference.returncode == 0, log
            wait_until(lambda: len(good.sent) > 2.5 * len(clip.units), 60, "two turns of the good camera and a half")
        finally:
            child.send_signal(signal.SIGTERM)
            _, log = child.communicate(timeout=15)
        wait_until(lambda: heard.on("live/status")[-1:] == [b"offline"], 5, "the goodbye")
        logins = sum("authorization" in fields and "/login" in url for _, url, fields in server.requests)
    return Witness(
        messages=tuple(heard.messages),
        log=log,
        code=child.returncode,
        logins=logins,
        film=[event[0] for event in stays(heard.messages, "film/film/event")],
        files=b"".join(path.read_bytes() for path in (folder / "data-live").rglob("*") if path.is_file()),
    )


def lose_and_return(heard: Subscriber, moving: MovingServer, frozen: Mount) -> None:
    def events(camera: str, kind: str) -> list[dict[str, Any]]:
        return [e for p in heard.on(f"live/{camera}/event") if (e := json.loads(p))["type"] == kind]

    def going_on(camera: str) -> bool:
        return len(events(camera, "start")) > len(events(camera, "end"))

    wait_until(lambda: going_on("moving"), 30, "an event of the camera that will leave")
    moving.go(rudely=True)
    wait_until(lambda: not going_on("moving"), 5, "its end, told at once")
    wait_until(lambda: any(b"refused" in p for p in heard.on("live/moving/status")), 10, "that nobody answers")
    seen = len(events("moving", "start"))
    wait_until(lambda: going_on("frozen"), 30, "an event of the camera that will freeze")
    frozen.frozen.set()
    moving.come()
    wait_until(lambda: len(events("moving", "start")) > seen, 60, "an event of the camera that came back")


def test_the_good_camera_loses_no_event(witness: Witness) -> None:
    expected = Counter(event["class"] for event in witness.film)
    whole = [stay for stay in witness.stays("good") if stay[-1].get("end_reason") == "gone"]
    assert len(expected) >= 3
    for kind, number in expected.items():
        assert sum(stay[0]["class"] == kind for stay in whole) >= 2 * number, kind
    assert witness.states("good") == [("connecting", None), ("online", None), ("offline", None)]


def test_every_event_is_whole_and_fits_the_schema(witness: Witness) -> None:
    for camera in ("good", "moving", "frozen"):
        for messages in witness.stays(camera):
            assert [m["seq"] for m in messages] == list(range(len(messages)))
            assert [m["type"] for m in messages if m["type"] != "update"] == ["start", "end"]
            for message in messages:
                jsonschema.validate(message, SCHEMA)


def test_a_camera_lost_in_mid_event_ends_it_and_comes_back(witness: Witness) -> None:
    moving = witness.stays("moving")
    reasons = [messages[-1]["end_reason"] for messages in moving]
    assert "camera_lost" in reasons
    assert reasons.index("camera_lost") < len(reasons) - 1, "something happened after it"
    told = witness.states("moving")
    assert told[:3] == [("connecting", None), ("online", None), ("offline", "ended")]
    assert ("offline", "refused") in told
    assert told.count(("online", None)) == 2
    assert told[-1] == ("offline", None)
    counts = [p for t, p, _ in witness.messages if t.startswith("live/moving/objects/")]
    assert b"null" in counts
    active = [p for t, p, _ in witness.messages if t == "live/moving/active/shape"]
    assert active[-1] == b"0"


def test_a_camera_that_freezes_is_told_and_ends_its_events(witness: Witness) -> None:
    assert witness.states("frozen") == [("connecting", None), ("online", None), ("offline", "frozen")]
    assert "camera_lost" in [messages[-1]["end_reason"] for messages in witness.stays("frozen")]


def test_garbage_makes_no_picture_and_no_event(witness: Witness) -> None:
    assert witness.states("garbage") == [("connecting", None), ("offline", "codec")]
    assert witness.stays("garbage") == []


def test_a_refused_login_is_told_and_hardly_tried_again(witness: Witness) -> None:
    assert witness.states("login") == [("connecting", None), ("offline", "login")]
    assert 1 <= witness.logins <= 4  # each attempt may ask twice; the next comes after 15 s at the earliest


def test_no_password_is_shown_anywhere(witness: Witness) -> None:
    assert "the login is refused" in witness.log
    for secret in (WRONG, LOGIN[1]):
        assert secret not in witness.log
        assert secret.encode() not in witness.files
        assert not [topic for topic, payload, _ in witness.messages if secret.encode() in payload]


def test_a_bad_camera_is_told_once_and_not_at_each_attempt(witness: Witness) -> None:
    for camera in ("login", "garbage", "frozen"):
        assert witness.log.count(f"WARN  {camera}  ") == 1, witness.log


def test_the_run_ends_well(witness: Witness) -> None:
    assert witness.code == 0, witness.log
    assert "Traceback" not in witness.log
    assert "stuck" not in witness.log


def test_the_camera_topics_are_the_contracts(witness: Witness) -> None:
    topics = {topic.removeprefix("live/") for topic, _, _ in witness.messages if topic.startswith("live/")}
    own = {topic.split("/", 1)[1].split("/")[0] for topic in topics if "/" in topic}
    assert own <= {"status", "event", "active", "objects", "snapshot"}, topics
