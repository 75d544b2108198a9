"""Classification of frames and zones as its user runs it: a file and live cameras, the command, a real broker."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import jsonschema
import numpy as np
import pytest
from servers.broker import Mosquitto, Subscriber, wait_until
from servers.clip import clip_of_file
from servers.faulty import MovingServer
from servers.rtsp import Mount
from tiny_classifier import write_classifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "streamer" / "events" / "class.schema.json").read_text())
FPS = 10
WIDTH, HEIGHT = 160, 120
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(60)]

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1s}}
data_dir: data
models:
  hue: {{model: hue.onnx, task: classify, labels: [red, green, blue], look: ultralytics, precision: f32}}
cameras:
  lamp:
    source: {source}
    zones:
      corner: {{polygon: [[0.5, 0.5], [0.96, 0.52], [0.98, 0.98], [0.52, 0.95]]}}
    classify:
      - {{name: whole, model: hue, of: frame, fps: 0, agree: 3}}
      - {{name: corner, model: hue, of: {{zone: corner}}, every: 500ms}}
      - {{name: held, model: hue, of: frame, fps: 0, agree: 3, last: 4, for: 1s}}
"""


def record(path: Path, frames: Sequence[str]) -> Path:
    """Write a film: each picture has one colour, and a green corner at its lower right."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {"preset": "veryfast", "g": str(FPS), "bf": "0"}
        for colour in frames:
            picture = np.full((HEIGHT, WIDTH, 3), COLOURS[colour], np.uint8)
            picture[HEIGHT // 2 :, WIDTH // 2 :] = COLOURS["green"]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def write(folder: Path, port: int, source: str | Path) -> Path:
    write_classifier(folder / "hue.onnx", shape=("N", 3, 32, 32))
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(port=port, source=source))
    return config


def start(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamer", "run", str(config)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that is stopped by a signal at the end, and must end well then."""
    child = start(config)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=15)
    assert child.returncode in {0, 4}, log
    assert "Traceback" not in log, log


def told(heard: Subscriber, name: str) -> list[dict[str, Any] | None]:
    """Return the states of a classification, in order; each was retained, and fits the schema."""
    topic = f"streamer/lamp/class/{name}"
    found = [(json.loads(payload), retained) for where, payload, retained in list(heard.messages) if where == topic]
    for state, retained in found:
        assert retained
        jsonschema.validate(state, SCHEMA)
    return [state for state, _ in found]


def names(heard: Subscriber, name: str) -> list[str | None]:
    return [None if state is None else state["class"] for state in told(heard, name)]


def moment(state: dict[str, Any] | None) -> float:
    assert state is not None
    return datetime.strptime(state["since"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def fits(states: list[dict[str, Any] | None], shown: list[tuple[str, float]]) -> bool:
    """Whether the states are those shown since these moments, s, and at the end none.

    A film is read as fast as it can be: a state that is over before it was sent is never told.
    """
    known = [(state["class"], moment(state)) for state in states if state is not None]
    return (
        bool(known)
        and states[-1] is None
        and None not in states[1:-1]
        and any(
            all(name == wanted for (name, _), (wanted, _) in zip(known, some, strict=True))
            and max(at - s for (_, at), (_, s) in zip(known, some, strict=True))
            - min(at - s for (_, at), (_, s) in zip(known, some, strict=True))
            <= 0.002
            for some in itertools.combinations(shown, len(known))
        )
    )


def test_a_film_without_a_detector_tells_what_has_held_and_nothing_that_flickers(
    tmp_path: Path, broker: Mosquitto, heard: Subscriber
) -> None:
    flicker = ["blue", "red", "red", "blue", "red", "red"]
    film = record(tmp_path / "lamp.mp4", ["red"] * 20 + flicker + ["red"] * 10 + ["blue"] * 5 + ["red"] * 9)
    child = start(write(tmp_path, broker.port, film))
    _, log = child.communicate(timeout=30)
    assert child.returncode in {0, 4}, log  # 4: `drain` is shorter than the 5 s in which a broker may forget
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")

    assert fits(told(heard, "whole"), [("red", 0.0), ("blue", 3.6), ("red", 4.1)])
    assert all(state is None or state["score"] > 0.6 for state in told(heard, "whole"))
    assert fits(told(heard, "corner"), [("green", 0.0)])
    assert fits(told(heard, "held"), [("red", 0.0)])  # no other colour lasts a second
    assert not [topic for topic, _, _ in heard.messages if "/objects/" in topic or "/active/" in topic]
    assert "50 frames decoded" in log


def test_a_live_cameras_classes_are_null_while_it_is_away(tmp_path: Path, broker: Mosquitto, heard: Subscriber) -> None:
    mount = Mount(clip=clip_of_file(record(tmp_path / "lamp.mp4", ["red"] * 40)))
    with MovingServer(mount) as camera, running(write(tmp_path, broker.port, camera.url)):
        wait_until(lambda: names(heard, "held") == [None, "red"], 20, "the state")
        camera.go(rudely=True)
        wait_until(lambda: names(heard, "held")[-1] is None, 10, "that nothing is known")
        assert names(heard, "whole") == [None, "red", None]
        assert names(heard, "corner") == [None, "green", None]
        first = moment(told(heard, "held")[1])
        camera.come()
        wait_until(lambda: names(heard, "held") == [None, "red", None, "red"], 20, "the state of the new connection")
        assert moment(told(heard, "held")[-1]) > first
    wait_until(lambda: heard.on("streamer/status")[-1:] == [b"offline"], 5, "the goodbye")
    for name in ("whole", "held"):
        assert names(heard, name) == [None, "red", None, "red", None]
