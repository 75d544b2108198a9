"""The pipeline under measurement, in a process of its own: what `streamer run` runs, with a gauge beside it.

    python -m streamer.bench.pipeline JOB

Only three things differ from a run of the user's: the broker is the bench's receiver (unless the user's own is asked
for), what is stored goes to a folder that is thrown away, and recordings begin again at their end.
"""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.app import open_loaded
from streamer.core.clock import NS_PER_MS
from streamer.core.errors import ConfigError
from streamer.figures import DROP_CAUSES
from streamer.infer.backends.base import STREAMS
from streamer.settings import BrokerAddress, load

from . import child, threads
from .looped import open_looped
from .subject import models_of

if TYPE_CHECKING:
    from streamer.app import Run
    from streamer.settings import Camera, Loaded

_POLL_S = 0.05
_OPEN_LIMIT_S = 600.0  # a large model compiles for minutes
_FRAMES_LIMIT_S = 30.0  # from the open model to the first result
_OTHERS_S = 5.0  # from the first camera's first result to those of the others
_DETECTED, _CLASSIFIED = "inferred", "classified"  # counters: frames a detector has answered, pictures classifiers have


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineJob:
    """What is to be measured."""

    config: str
    data_dir: str  # made anew for each run
    broker_port: int | None  # of the receiver on 127.0.0.1; None: the broker of the configuration
    settle_s: float  # after the first results, before the measurement begins
    seconds: float


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything that grows, at one moment."""

    at_ns: int  # monotonic
    counts: dict[str, dict[str, int]]  # camera -> counter -> frames
    asked: dict[str, int]  # model -> pictures
    times: threads.ThreadTimes
    rss_mib: float | None


def adapted(loaded: Loaded, job: PipelineJob) -> Loaded:
    """Return the configuration with its broker and its data folder replaced; everything else is the user's."""
    settings = loaded.settings
    mqtt = settings.mqtt
    if job.broker_port is not None:
        address = BrokerAddress("127.0.0.1", job.broker_port, tls=False)
        mqtt = mqtt.model_copy(update={"url": address, "username": None, "password": None, "ca_file": None})
    name = f"{mqtt.client_id or f'streamer-{socket.gethostname()}'}-bench"  # else it would displace a run of the user's
    mqtt = mqtt.model_copy(update={"drain_s": 1.0, "client_id": name})
    return replace(loaded, settings=settings.model_copy(update={"mqtt": mqtt, "data_dir": Path(job.data_dir)}))


def measure(job: PipelineJob) -> dict[str, Any]:
    """Run the pipeline for a while and return its figures.

    Raises:
        ConfigError: the configuration is wrong, or no camera gives a picture.
        BackendError: a model can't work here.
    """
    loaded = adapted(load(Path(job.config), os.environ), job)
    with open_loaded(loaded, table=False, source=open_looped, prove=False) as run:
        gauge = _Gauge(run, loaded, job)
        thread = threading.Thread(target=gauge.loop, name="streamer-bench-gauge", daemon=True)
        thread.start()
        try:
            run.run()
        finally:
            gauge.over.set()
            thread.join(10.0)
    return gauge.figures()


class _Gauge:
    """Looks at a run from beside it: twice, and not in between, so that it costs nothing while it measures."""

    def __init__(self, run: Run, loaded: Loaded, job: PipelineJob) -> None:
        self.over = threading.Event()
        self._run = run
        self._job = job
        self._cameras = {name: c for name, c in loaded.settings.cameras.items() if c.enabled}
        self._looks: list[_Look] = []
        self._models: dict[str, Any] = {}
        self._infer_ms: dict[str, float | None] = {}  # of a batch, from being submitted to being dealt with
        self._ages_ms: dict[str, list[float]] = {}

    def loop(self) -> None:
        """Wait for the first results, look, wait, look again, and end the run.

        Thread: streamer-bench-gauge.  Ends: it has looked twice, no result comes, or the run is over.
        Blocks on: `over` (0.05 s, the time to settle, the time to measure).
        """
        try:
            if self._ready() and not self.over.wait(self._job.settle_s):
                for figures in self._run.figures.cameras.values():
                    figures.ages_ns = deque()  # all ages of the measurement, not only the last
                self._looks.append(self._look())
                self.over.wait(self._job.seconds)
                self._looks.append(self._look())
                self._keep()
        finally:
            self._run.request_stop()

    def figures(self) -> dict[str, Any]:
        """Return what was measured.

        Raises:
            ConfigError: no picture came.
        """
        if len(self._looks) < 2:
            raise ConfigError(f"bench: no frame was inferred; {self._states()}")
        first, last = self._looks
        used = threads.spent(first.times, last.times)
        cameras = {name: self._camera(name, first, last) for name in self._cameras}
        for name, camera in cameras.items():
            camera["capture_cpu_s"] = used.cameras.get(name)
            camera["ages_ms"] = self._ages_ms.get(name, [])
        return {
            "window_ns": [first.at_ns, last.at_ns],
            "elapsed_s": (last.at_ns - first.at_ns) / 1e9,
            "process_cpu_s": used.process_s,
            "stages_cpu_s": used.stages,
            "cameras": cameras,
            "models": self._models,
            "infer_ms": self._infer_ms,
            "asked": {name: n - first.asked.get(name, 0) for name, n in last.asked.items()},
            "memory_mib": {"start": first.rss_mib, "peak": _peak_mib(first.rss_mib, last.rss_mib), "end": last.rss_mib},
        }

    def _ready(self) -> bool:
        """Wait until every camera has given a result, or one has and the others were given their time."""
        began_s = time.monotonic()
        opened_s = first_s = None
        wanted = {model for camera in self._cameras.values() for model in models_of(camera)}
        while not self.over.wait(_POLL_S):
            now_s = time.monotonic()
            if opened_s is None:
                opened_s = now_s if len(self._run.models) == len(wanted) else None
            given = sum(self._run.figures.value(name, _answered(c)) > 0 for name, c in self._cameras.items())
            if given and first_s is None and opened_s is not None:
                first_s = now_s
            if given == len(self._cameras) or (first_s is not None and now_s - first_s > _OTHERS_S):
                return True
            waited_too_long = opened_s is not None and now_s - opened_s > _FRAMES_LIMIT_S
            if (waited_too_long and first_s is None) or now_s - began_s > _OPEN_LIMIT_S:
                return False
        return False

    def _look(self) -> _Look:
        figures = self._run.figures
        names = ("decoded", _DETECTED, _CLASSIFIED, *DROP_CAUSES)
        counts = {camera: {name: figures.value(camera, name) for name in names} for camera in self._cameras}
        asked = {name: model.asked for name, model in self._run.models.copy().items()}
        return _Look(time.monotonic_ns(), counts, asked, threads.look(), _rss_mib())

    def _keep(self) -> None:
        for name in self._cameras:
            self._ages_ms[name] = [age / NS_PER_MS for age in list(self._run.figures.cameras[name].ages_ns)]
        self._infer_ms = {name: self._run.figures.infer_ms(name) for name in self._run.models.copy()}
        self._models = {
            name: {
                **asdict(model.ref),
                "task": model.spec.task.value,
                "latency": model.depth == STREAMS,
                "max_batch": model.spec.input.max_batch,
            }
            for name, model in self._run.models.copy().items()
        }

    def _camera(self, name: str, first: _Look, last: _Look) -> dict[str, Any]:
        camera, figures = self._cameras[name], self._run.figures.cameras[name]
        grown = {key: last.counts[name][key] - first.counts[name][key] for key in last.counts[name]}
        return {
            "decoded": grown["decoded"],
            "inferred": grown[_answered(camera)],
            "classified": grown[_CLASSIFIED],
            "dropped": {cause: grown[cause] for cause in DROP_CAUSES if grown[cause]},
            "size": figures.size,
            "state": self._state(name),
            "live": camera.source.live,
            "models": models_of(camera),
        }

    def _state(self, name: str) -> str:
        """Return how a camera was: after the stop all of them are offline, so what it gave says it."""
        if self._looks and self._looks[-1].counts[name][_answered(self._cameras[name])] > 0:
            return "online"
        figures = self._run.figures.cameras[name]
        return f"{figures.state} ({figures.reason})" if figures.reason else figures.state

    def _states(self) -> str:
        return ", ".join(f"{name}: {self._state(name)}" for name in self._cameras)


def _answered(camera: Camera) -> str:
    """Return what counts as a camera's results: what its detector has answered, or its classifiers if it has none."""
    return _CLASSIFIED if camera.detect is None else _DETECTED


def _rss_mib() -> float | None:
    return _status_mib("VmRSS:")


def _peak_mib(*seen: float | None) -> float:
    """Return the most memory so far; the kernel brings its own mark up to date now and then only."""
    marked = _status_mib("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # the latter in KiB
    return max(marked, *(mib for mib in seen if mib is not None))


def _status_mib(key: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), None)


if __name__ == "__main__":
    child.serve(lambda job: measure(PipelineJob(**job)))
