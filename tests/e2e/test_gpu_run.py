"""The main job on a GPU, over the fakes: it begins on ONNX Runtime, builds, proves, moves over, and survives faults.

Nothing here has run on a GPU. What is shown is the order of things, and that each fault is one sentence.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from trt_engines import store_engine

from streamer.app import open_loaded
from streamer.capture.base import Grab
from streamer.capture.open import open_source
from streamer.core.errors import BackendError, EndOfStream
from streamer.infer import gate
from streamer.infer.engine.precision import convert
from streamer.infer.engine.progress import BuildStopped, Progress
from streamer.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.app import Run
    from streamer.capture.base import SourceSpec
    from streamer.core.event import Event
    from streamer.infer.engine.cache import EngineCache
    from streamer.infer.engine.recipe import EngineRecipe
    from streamer.infer.engine.stored import StoredEngine
    from streamer.infer.spec import ModelSpec

pytestmark = pytest.mark.timeout(60)

ON_CPU, F16, F32 = ("onnxruntime", "f32"), ("tensorrt", "f16"), ("tensorrt", "f32")
_STEP_NS = 40_000_000
_SHOWN_AFTER = 60  # frames of the scene: shapes are there
_ENOUGH = 30  # frames given while a backend serves: an event has begun
_LIMIT_S = 40.0


class Rig:
    """A folder with a configuration and a cache, runs of it, and a camera before which nothing moves any more."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.built: list[str] = []
        self.events: list[Event] = []
        self.served: Counter[tuple[str, str]] = Counter()  # frames that were given while a backend served
        self.failing: str = ""  # what builds fail with
        self.building: Callable[[], None] = lambda: None
        self.run_now: Run | None = None
        self._until: Callable[[], bool] = lambda: True
        monkeypatch.setenv("STREAMER_CACHE", str(self.cache))
        monkeypatch.setattr(gate, "_EVERY", 1)
        monkeypatch.setattr("streamer.engine_ways.build_engine", self._build)

    def config(self, **model: str) -> Path:
        tree = {
            "mqtt": {"url": "embedded", "drain": "1s"},
            "data_dir": "data",
            "models": {"net": {"model": "shapes", "backend": "tensorrt", **model}},
            "cameras": {"scene": {"source": "synthetic:shapes?seed=4&seconds=9&pace=fast", "detect": {"model": "net"}}},
        }
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(tree))
        return path

    def run(self, until: Callable[[], bool], *, prove: bool = True, **model: str) -> int:
        """Run until `until` says so, asked before each frame."""
        self.events, self.served, self._until = [], Counter(), until
        with open_loaded(load(self.config(**model), {}), table=False, source=self._open, prove=prove) as run:
            self.run_now = run
            run.tell(self.events.append)
            return run.run()

    def has_served(self, backend: tuple[str, str]) -> Callable[[], bool]:
        return lambda: self.served[backend] >= _ENOUGH

    def engines(self) -> dict[str, dict[str, Any]]:
        """Return the facts of each engine that is kept, by precision."""
        found = (yaml.safe_load(path.read_text()) for path in (self.cache / "tensorrt").glob("*.json"))
        return {facts["key"]["build"]["precision"]: facts for facts in found}

    def _open(self, spec: SourceSpec, *, stopping: Callable[[], bool], dropped: object) -> Standing:
        del dropped
        return Standing(spec, stopping, self._given)

    def _given(self) -> None:
        """Look which backend serves, before each frame. Capture thread."""
        assert self.run_now is not None
        model = self.run_now.models.get("net")
        if model is not None:
            self.served[model.ref.backend, model.ref.precision] += 1
        if self._until():
            self.run_now.request_stop()

    def _build(
        self,
        spec: ModelSpec,
        recipe: EngineRecipe,
        *,
        cache: EngineCache,
        progress: Callable[[Progress], None],
        stopping: Callable[[], bool],
        calibration: None,
    ) -> StoredEngine:
        """Build with the fake in this process: what a child costs and does is shown once, and elsewhere."""
        del calibration
        progress(Progress(phase="build", share=0.5))
        self.built.append(recipe.precision)
        self.building()
        if stopping():
            raise BuildStopped
        if self.failing:
            raise BackendError(self.failing)
        folder = self.folder / f"onnx-{recipe.precision}"
        folder.mkdir(exist_ok=True)
        onnx = convert(spec.path, recipe.precision, spec=spec.input, calibration=None, folder=folder)
        return store_engine(cache.folder.parent, spec, recipe.precision, onnx)


class Standing:
    """Shows one picture of a scene again and again, as fast as it is looked at."""

    live = False

    def __init__(self, spec: SourceSpec, stopping: Callable[[], bool], given: Callable[[], None]) -> None:
        scene = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
        for _ in range(_SHOWN_AFTER):
            self._grab = scene.read()
        scene.close()
        self._stopping = stopping
        self._tell = given
        self._given = 0
        self._until_s = time.monotonic() + _LIMIT_S

    def read(self) -> Grab:
        self._tell()
        if self._stopping() or time.monotonic() > self._until_s:
            raise EndOfStream
        self._given += 1
        return Grab(picture=self._grab.picture, captured_ns=self._grab.captured_ns + self._given * _STEP_NS)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def rig(tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Rig:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("PYTHONPATH", fake_gpu.environ["PYTHONPATH"])
    return Rig(tmp_path, monkeypatch)


def backends_of(events: list[Event]) -> dict[str, list[tuple[str, str]]]:
    """Return for each event id the backends of its messages, in their order."""
    found = defaultdict(list)
    for event in events:
        found[event.id].append((event.model.backend, event.model.precision))
    return found


def test_a_run_begins_at_once_and_moves_to_the_engine_that_it_has_built_and_proved(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    assert rig.run(rig.has_served(F16)) == 0
    assert rig.built == ["f16"]
    assert rig.served[ON_CPU] > 0
    stays = backends_of(rig.events)
    assert stays
    for backends in stays.values():  # an event that began on ONNX Runtime ended, under its id, on TensorRT
        assert (backends[0], backends[-1]) == (ON_CPU, F16)
    proof = rig.engines()["f16"]["proof"]
    assert (proof["decision"], proof["source"]) == ("use", "cameras")
    assert "model net: goes on with tensorrt f16" in caplog.text

    assert rig.run(rig.has_served(F16)) == 0  # the next run begins with it
    assert rig.built == ["f16"]
    assert rig.served[ON_CPU] == 0
    assert {backend for backends in backends_of(rig.events).values() for backend in backends} == {F16}
