"""The main job as its user runs it: the command, a scene, the shipped network, a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from servers.broker import Mosquitto, Subscriber, free_port, mosquitto_program, wait_until

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "event.schema.json").read_text())

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: {drain}}}
data_dir: data
models:
  shapes: {{model: shapes, precision: f32}}
cameras:
  scene:
    source: "synthetic:shapes?{options}"
    frames: {frames}
    detect: {{model: shapes{fps}}}
    publish_detections: {feed}
"""


def write(folder: Path, port: int, **changes: str) -> Path:
    values = {"options": "seed=4&seconds=20&pace=fast", "frames": "every", "drain": "10s", "feed": "false", "fps": ""}
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(port=port, **(values | changes)))
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "streamer", *map(str, arguments)]


def run(*arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)


def by_id(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    stays: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        stays[event["id"]].append(event)
    return stays


def states(heard: Subscriber, topic: str) -> list[Any]:
    return [json.loads(payload) for name, payload, _ in heard.messages if name == f"streamer/{topic}" and payload]


def test_a_finite_scene_makes_whole_events_and_ends_by_itself(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    done = run("run", write(tmp_path, broker.port))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    stays = by_id(heard.events())
    assert len(stays) >= 3
    for messages in stays.values():
        assert [m["seq"] for m in messages] == list(range(len(messages)))
        assert messages[0]["type"] == "start"
        assert messages[-1]["type"] == "end"
        assert messages[-1]["end_reason"] in {"gone", "source_ended"}
        assert messages[0]["age_ms"] is None
        for message in messages:
            jsonschema.validate(message, SCHEMA)
    assert [s["state"] for s in states(heard, "scene/status")] == ["connecting", "online", "offline"]
    assert states(heard, "scene/status")[-1]["reason"] == "ended"
    shown = run("events", tmp_path / "config.yaml", "--json")
    assert {json.loads(line)["id"] for line in shown.stdout.splitlines()} == set(stays)
    table = run("events", tmp_path / "config.yaml")
    assert "source_ended" in table.stdout or "gone" in table.stdout


def test_a_signal_ends_open_events_and_the_process_within_five_seconds(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    config = write(tmp_path, broker.port, options="seed=4", frames="newest", feed="true")
    child = subprocess.Popen(command("run", config), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(heard.events()) > 0, 30, "an event")
    began = time.monotonic()
    child.send_signal(signal.SIGTERM)
    _, log = child.communicate(timeout=10)
    assert time.monotonic() - began < 5.0
    assert child.returncode == 0, log
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    for messages in by_id(heard.events()).values():
        assert messages[-1]["type"] == "end"
        assert 0 < messages[0]["age_ms"] < 2000
    assert states(heard, "scene/status")[-1] | {"since": ""} == {"state": "offline", "reason": None, "since": ""}
    feed = [json.loads(p) for p in heard.on("scene/detections")]
    assert feed
    assert all(0 < frame["age_ms"] < 2000 for frame in feed[3:])


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    # Nobody listens at this port: with something to deliver, the first signal would drain for some seconds.
    config = write(tmp_path, free_port(), options="seed=4", frames="newest")
    child = subprocess.Popen(command("run", config), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    data = tmp_path / "data"
    wait_until(lambda: b'"type":"start"' in b"".join(p.read_bytes() for p in data.glob("*.db*")), 30, "an event")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    _, log = child.communicate(timeout=10)
    assert child.returncode in {130, 4}, log  # 4: it was done with everything but the drain already


def test_events_that_no_broker_took_are_sent_first_by_the_next_run(tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    config = write(tmp_path, free_port(), drain="1s")
    done = run("run", config)
    assert done.returncode == 4, done.stderr
    assert "next run sends them first" in done.stderr
    stored = [json.loads(line) for line in run("events", config, "--json").stdout.splitlines()]
    mosquitto = Mosquitto(tmp_path / "broker").start()
    subscriber = Subscriber(mosquitto.port).start()
    try:
        done = run("run", write(tmp_path, mosquitto.port))
        assert done.returncode == 0, done.stderr
        ids = [event["id"] for event in subscriber.events()]
        first_of_second = next(i for i, key in enumerate(ids) if key not in {event["id"] for event in stored})
        assert set(ids[:first_of_second]) == {event["id"] for event in stored}
    finally:
        subscriber.stop()
        mosquitto.stop()


def test_what_a_crash_left_open_is_ended_by_the_next_run(tmp_path: Path, broker: Mosquitto, heard: Subscriber) -> None:
    config = write(tmp_path, broker.port, options="seed=4", frames="newest")
    child = subprocess.Popen(command("run", config), cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(heard.events()) > 0, 30, "an event")
    child.kill()
    child.wait(5)
    done = run("run", write(tmp_path, broker.port, options="seed=4&seconds=1&pace=fast"))
    assert done.returncode == 0, done.stderr
    first = by_id(heard.events())[heard.events()[0]["id"]]
    wait_until(lambda: any(e["end_reason"] == "interrupted" for e in heard.events()), 5, "the interrupted end")
    end = next(e for e in heard.events() if e["id"] == first[0]["id"] and e["type"] == "end")
    jsonschema.validate(end, SCHEMA)
    assert end["end_reason"] == "interrupted"
    assert end["seq"] > first[0]["seq"]


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_numbers_that_a_crash_has_left_are_taken_back_before_anything_is_seen(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber, enabled: str
) -> None:
    def left() -> dict[str, bytes]:
        """Return the numbers above 0 that stand at the broker."""
        newest = {topic: payload for topic, payload, _ in heard.messages}
        return {
            topic: payload for topic, payload in newest.items()
            if topic.split("/")[2:3] in (["objects"], ["active"]) and payload not in (b"0", b"null", b"")
        }  # fmt: skip

    child = subprocess.Popen(
        command("run", write(tmp_path, broker.port, options="seed=4", frames="newest")),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: {topic.split("/")[2] for topic in left()} == {"objects", "active"}, 30, "numbers above 0")
    child.kill()
    child.wait(5)
    before, seen = left(), len(heard.messages)
    config = write(tmp_path, broker.port, options="seed=4&seconds=1&pace=fast")
    config.write_text(
        config.read_text()
        + f"    enabled: {enabled}\n"
        + "  other: {source: 'synthetic:shapes?seconds=1&pace=fast', detect: {model: shapes}}\n"
    )
    done = run("run", config)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: set(before) <= {topic for topic, _, _ in heard.messages[seen:]}, 5, "the numbers taken back")
    for topic in before:
        told = [payload for name, payload, _ in heard.messages[seen:] if name == topic]
        assert told[0] == (b"null" if "/objects/" in topic else b"0")
        assert b"" not in told


def test_a_data_dir_in_use_is_refused_and_the_run_that_has_it_goes_on(tmp_path: Path) -> None:
    config = write(tmp_path, free_port(), options="seed=4", frames="newest")
    child = subprocess.Popen(command("run", config), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: any((tmp_path / "data").glob("*.db")), 30, "the store")
        done = run("run", config)
        assert done.returncode == 2
        assert "in use" in done.stderr
        assert "Traceback" not in done.stderr
        assert child.poll() is None
    finally:
        child.kill()
        child.wait(5)


def test_a_file_that_is_missing_or_no_video_is_one_sentence(tmp_path: Path) -> None:
    config = write(tmp_path, free_port())
    text = config.read_text()
    config.write_text(text.replace('"synthetic:shapes?seed=4&seconds=20&pace=fast"', "nothing.mp4"))
    done = run("run", config)
    assert done.returncode == 2
    assert "nothing.mp4" in done.stderr
    (tmp_path / "nothing.mp4").write_bytes(b"this is no video" * 100)
    done = run("run", config)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_used_ends_with_three(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07\x12" + b"x" * 1000)
    config = write(tmp_path, free_port())
    config.write_text(config.read_text().replace("model: shapes, precision", "model: ./broken.onnx, precision"))
    done = run("run", config)
    assert done.returncode == 3
    assert "broken.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_yard_of_the_demo_prints_events_as_they_arrive() -> None:
    done = run("demo", "--scene", "yard", "--seconds", "12")
    assert done.returncode == 0, done.stderr
    assert "appeared" in done.stdout
    assert "ms old" in done.stdout
    assert "left" in done.stdout
