"""A factory line as its user runs it: the command, drawn items, a real detector, a real broker."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from line_run import decisions, ended, kept, start, utc_ms
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from servers.broker import Mosquitto, Subscriber, wait_until

from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

FPS = 20
SLACK_MS = 100  # behind a deadline; tests/pipeline/test_decide_loop.py and tests/measure/decisions.py are stricter

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(60)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1s}}
data_dir: data
models: {{shapes: {{model: shapes, precision: f32}}}}
cameras:
  belt:
    source: "synthetic:shapes?seed=4&fps={fps}{more}"
    frames: {frames}
    detect: {{model: shapes, classes: {{star: 0.5, circle: 0.5}}}}
    events:
      - {{name: defect, class: [star, circle], decide: {{deadline: {deadline}{decide}}}}}
"""


class Witness:
    """How late the machine wakes who waits for a moment, at worst."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="witness")

    def __enter__(self) -> Witness:  # noqa: PYI034  typing.Self is of Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)

    def _loop(self) -> None:
        while not self._over.is_set():
            due_s = time.monotonic() + 0.01
            self._over.wait(0.01)
            self.worst_ms = max(self.worst_ms, (time.monotonic() - due_s) * 1e3)


def write(folder: Path, port: int, **changes: str) -> Path:
    config = folder / "config.yaml"
    values = {"fps": str(FPS), "more": "", "frames": "every", "deadline": "400ms", "decide": ""}
    config.write_text(CONFIG.format(port=port, **(values | changes)))
    return config


@contextmanager
def stopped(config: Path, heard: Subscriber) -> Iterator[subprocess.Popen[str]]:
    """A run that is stopped by a signal at the end of the block."""
    child = start(config)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        ended(child, heard)


def test_each_frame_of_a_live_camera_is_decided_once_in_order_and_in_time(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    config = write(tmp_path, broker.port, more="&seconds=10")
    with Witness() as witness:
        ended(start(config), heard)

    told = decisions(heard)
    assert [said["number"] for said in told] == list(range(1, 201))
    assert [said["item"] for said in told] == [str(number) for number in range(1, 201)]
    behind_ms = sorted(said["age_ms"] - 400 for said in told)
    print(f"behind the deadline {behind_ms[-3:]} ms, a witness {witness.worst_ms:.1f}")  # noqa: T201  shown if it fails
    assert behind_ms[180] <= SLACK_MS  # others use this machine as well
    assert behind_ms[-1] <= 10 * SLACK_MS + witness.worst_ms
    assert all(said["reason"] == "late" and said["verdict"] == "reject" for said in told if said["late"])
    assert kept(config) == told

    # Each verdict is on its own picture: the scene's truth at that moment.
    scene, right = Scene(4, 640, 360), Counter[bool]()
    for n, said in enumerate(told):
        shown = {shape.kind: shape.visible for shape in scene.at(n / FPS).objects}
        certain = {kind for kind, visible in shown.items() if visible > 0.9} & {"star", "circle"}
        if said["reason"] in ("late", "unsure") or (not certain and shown.keys() & {"star", "circle"}):
            continue
        right[said["reason"] in certain if certain else said["verdict"] == "accept"] += 1
    assert right[True] > 50
    assert right[False] <= 0.02 * right.total()


def trigger(client: Client, *items: str, camera: str = "belt") -> None:
    for item in items:
        client.publish(f"streamer/{camera}/set/trigger", item.encode(), qos=1)


@pytest.fixture
def plc(broker: Mosquitto) -> Iterator[Client]:
    """What tells of items: another client of the broker."""
    client = Client(CallbackAPIVersion.VERSION2, "plc")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def test_each_trigger_is_answered_and_decided_once_in_order_also_those_open_at_a_stop(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber, plc: Client
) -> None:
    config = write(
        tmp_path, broker.port, frames="newest", deadline="60s", decide=", trigger: command, otherwise: accept"
    )
    names = [f"A-{number}" for number in range(1, 31)]
    with Witness() as witness, stopped(config, heard) as child:
        wait_until(lambda: any(b"online" in payload for payload in heard.on("belt/status")), 20, "the camera")
        trigger(plc, "first")  # its decision shows that the model is there
        heard.wait_for(1, "belt/decision", 20)
        sent_ms = time.time() * 1e3
        trigger(plc, *names)
        trigger(plc, "", "two\nlines")
        trigger(plc, "A-1", camera="nothing")
        heard.wait_for(31, "belt/decision", 20)
        assert child.poll() is None
        left_open = [f"B-{number}" for number in range(1, 201)]  # ten seconds of frames
        trigger(plc, *left_open)
        heard.wait_for(1 + 30 + 2 + 200, "belt/set/trigger/result", 10)

    told = decisions(heard)
    assert [said["item"] for said in told] == ["first", *names, *left_open]
    assert [said["number"] for said in told] == list(range(1, 232))
    judged = told[1:31]
    assert {said["late"] for said in told} == {False}
    shown = [utc_ms(said["captured_at"]) for said in judged]
    assert shown == sorted(set(shown))  # each by a picture of its own,
    assert shown[0] >= sent_ms - 1 - witness.worst_ms  # taken behind its trigger
    assert {said["reason"] for said in judged} <= {None, "star", "circle", "unsure"}
    cut_off = [said for said in told[31:] if said["reason"] == "failed"]
    assert cut_off
    assert cut_off == told[-len(cut_off) :]
    assert {said["verdict"] for said in cut_off} == {"accept"}  # `otherwise`
    assert kept(config) == told
    answers = [json.loads(payload) for payload in heard.on("belt/set/trigger/result")]
    assert [answer.get("item") for answer in answers if answer["ok"]] == ["first", *names, *left_open]
    assert ["missing" in answer["error"] for answer in answers if not answer["ok"]] == [True, False]
    (refused,) = [json.loads(payload) for payload in heard.on("nothing/set/trigger/result")]
    assert not refused["ok"]
    assert "belt" in refused["error"]


def test_what_a_broker_missed_in_its_time_never_comes_and_is_kept(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    config = write(tmp_path, broker.port, deadline="200ms")
    late_ms: list[float] = []

    def arrived(topic: str, payload: bytes) -> None:
        if topic.endswith("/decision"):
            late_ms.append(time.time() * 1e3 - utc_ms(json.loads(payload)["captured_at"]))

    heard.on_arrival = arrived
    with stopped(config, heard):
        heard.wait_for(20, "belt/decision", 20)
        broker.kill()
        back_s = time.monotonic() + 6.0
        wait_until(lambda: time.monotonic() >= back_s, 9, "time passes")
        before = len(heard.on("belt/decision"))
        broker.start()
        heard.wait_for(before + 20, "belt/decision", 20)

    told, all_of_them = decisions(heard), kept(config)
    numbers = [said["number"] for said in told]
    assert numbers == sorted(set(numbers))
    assert [said["number"] for said in all_of_them] == list(range(1, len(all_of_them) + 1))
    assert [all_of_them[number - 1] for number in numbers] == told
    # 6 s of them, less what was young enough when the broker came back: 0.2 s and 1 s, and a second for MQTT's expiry.
    assert numbers[-1] - len(numbers) >= 3 * FPS
    assert max(late_ms) < 5000
