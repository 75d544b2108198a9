"""What measuring needs around a run: a broker, cameras in a process of their own, `streamer run`, times of arrival.

Everything runs as its user would run it: separate processes, real sockets on 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.broker import Mosquitto, Subscriber, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
RTSP = ROOT / "tests" / "servers" / "rtsp.py"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message, when it came, and when that was on the wall clock."""

    topic: str
    payload: bytes
    at_ns: int  # monotonic
    retained: bool = False

    def json(self) -> Any:  # noqa: ANN401  whatever the payload holds
        return json.loads(self.payload)


@dataclass
class Heard:
    """Everything the broker handed out, in order of arrival."""

    arrivals: list[Arrival] = field(default_factory=list)

    def on(self, suffix: str) -> list[Arrival]:
        return [a for a in list(self.arrivals) if a.topic.endswith(suffix)]

    def events(self, camera: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of events, repeats left out."""
        seen: set[tuple[str, int]] = set()
        events = []
        for arrival in self.on("/event"):
            event = arrival.json()
            key = (event["id"], event["seq"])
            if key not in seen and camera in (None, event["camera"]):
                seen.add(key)
                events.append(event)
        return events


@contextmanager
def broker(folder: Path) -> Iterator[Mosquitto]:
    """A real broker on a port of its own."""
    mosquitto = Mosquitto(folder).start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


@contextmanager
def listening(port: int, topic: str = "streamer/#") -> Iterator[Heard]:
    """Hear everything under a topic."""
    heard = Heard()

    def arrive(topic: str, payload: bytes) -> None:
        heard.arrivals.append(Arrival(topic, payload, time.monotonic_ns()))

    subscriber = Subscriber(port, topic=topic, client_id=f"measure-{time.monotonic_ns()}", on_arrival=arrive).start()
    try:
        yield heard
    finally:
        subscriber.stop()


@contextmanager
def cameras(*arguments: str | Path) -> Iterator[dict[str, Any]]:
    """RTSP cameras in a process of their own; gives what the server says of itself (`urls`, `period`, ...)."""
    process = subprocess.Popen(
        [sys.executable, str(RTSP), *map(str, arguments)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


class Streamer:
    """`streamer run` as a child."""

    def __init__(self, config: Path, *, log: Path, extra: Sequence[str] = ()) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamer", "run", str(config), *extra], stderr=stream, stdout=stream, cwd=ROOT
            )

    def rss_mib(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / (1 << 20)

    def cpu_s(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)


@contextmanager
def streamer(config: Path, *, log: Path) -> Iterator[Streamer]:
    """`streamer run` until the block ends."""
    child = Streamer(config, log=log)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.stop()


def rest(seconds: float) -> None:
    """Let measured time pass."""
    threading.Event().wait(seconds)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def environment() -> str:
    """Return the machine and the versions in a line, for the record of a measurement."""
    import av  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    from streamer.infer.backends.open import runtime_version  # noqa: PLC0415

    versions = {"python": sys.version.split()[0], "av": av.__version__, "onnxruntime": onnxruntime.__version__}
    versions["openvino"] = runtime_version("openvino")
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return f"{cpu}, {os.cpu_count()} cores, numpy {np.__version__}, " + ", ".join(
        f"{k} {v}" for k, v in versions.items()
    )


__all__ = [
    "ROOT", "RTSP", "SHARED", "Arrival", "Heard", "Streamer", "broker", "cameras", "environment", "listening",
    "quantile", "rest", "streamer", "wait_until",
]  # fmt: skip
