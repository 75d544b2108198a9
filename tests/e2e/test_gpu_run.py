"""The main job on a GPU, over the fakes: it begins on ONNX Runtime, builds, proves, moves over, and survives faults.

Nothing here has run on a GPU. What is shown is the order of things, and that each fault is one sentence.
"""

from __future__ import annotations

import importlib
import json
import logging
import threading
import time
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tiny_classifier import write_layers
from trt_engines import store_engine

from streamer import engine_ways
from streamer.app import open_loaded
from streamer.capture.base import Grab
from streamer.capture.open import open_source
from streamer.core.errors import BackendError, EndOfStream
from streamer.infer import agreement, class_agreement, gate
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.precision import convert
from streamer.infer.engine.progress import BuildStopped, Progress
from streamer.infer.engine.prove import CAMERAS, proof_of
from streamer.infer.recognise import load_spec
from streamer.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.app import Run
    from streamer.capture.base import SourceSpec
    from streamer.core.event import Event
    from streamer.infer.engine.recipe import EngineRecipe
    from streamer.infer.engine.stored import StoredEngine
    from streamer.infer.spec import ModelSpec

pytestmark = pytest.mark.timeout(60)

ON_CPU, F16, F32 = ("onnxruntime", "f32"), ("tensorrt", "f16"), ("tensorrt", "f32")
_STEP_NS = 40_000_000
_SHOWN_AFTER = 110  # frames of the scene: three shapes are there
_PACE_S = 0.005  # 200 frames a second: what builds and proves is to have its share of the cores
_ENOUGH = 30  # frames given while a backend serves: an event has begun
_LIMIT_S = 40.0
_BATCH = 2  # pictures at once: the fake's kernels run on one core


class Rig:
    """A folder with a configuration and a cache, runs of it, and a camera before which nothing moves any more."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.built: list[str] = []
        self.events: list[Event] = []
        self.served: Counter[tuple[str, str]] = Counter()  # frames that were given while a backend served
        self.failing: str = ""  # what builds fail with
        self.shown: dict[str, int] | None = None  # what the inspector tells of the engines
        self.asked = threading.Event()
        self.building: Callable[[], None] = lambda: None
        self.run_now: Run | None = None
        self.model = "shapes"
        self.looks: dict[str, Any] = {"detect": {"model": "net"}}  # what the camera does with its pictures
        self._until: Callable[[], bool] = lambda: True
        monkeypatch.setenv("STREAMER_CACHE", str(self.cache))
        # Less evidence than a run of a user's wants, as the fake takes its time: how much is tested elsewhere.
        for module, name, value in ((gate, "_EVERY", 0), (gate, "BATCH", 8), (agreement, "LEAST_FRAMES", 8),
                                    (agreement, "LEAST_BOXES", 20), (gate, "_EVERY_LOOK", 0),
                                    (class_agreement, "LEAST_PICTURES", 8)):  # fmt: skip
            monkeypatch.setattr(module, name, value)
        monkeypatch.setattr("streamer.infer.recognise.inputs.DYNAMIC_BATCH", _BATCH)
        monkeypatch.setattr("streamer.pipeline.upgrade._LOOK_S", 0.05)
        monkeypatch.setattr("streamer.engine_ways.build_engine", self._build)

    def config(self, **model: str) -> Path:
        tree = {
            "mqtt": {"url": "embedded", "drain": "1s"},
            "data_dir": "data",
            "models": {"net": {"model": self.model, "backend": "tensorrt", **model}},
            "cameras": {"scene": {"source": "synthetic:shapes?seed=4&seconds=9&pace=fast", **self.looks}},
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

    def all_given_up(self, caplog: pytest.LogCaptureFixture, count: int) -> Callable[[], bool]:
        return lambda: caplog.text.count("can't be tried") >= count and self.has_served(ON_CPU)()

    def keep(self, precision: str, *, batch: int = _BATCH) -> None:
        """Put an engine into the cache that an earlier run has proved."""
        spec, cache = load_spec("shapes"), EngineCache(self.cache / "tensorrt")
        spec = replace(spec, input=replace(spec.input, max_batch=batch))
        onnx = convert(spec.path, precision, spec=spec.input, calibration=None, folder=self.folder)
        stored = store_engine(self.cache, spec, precision, onnx)
        verdict = Verdict(
            decision=Decision.USE, agreement=agreement.Agreement(frames=99, boxes=999, matched=999), gain=9
        )
        cache.note_proof(stored.key, proof_of(verdict, source=CAMERAS, head=spec.head, threshold=0.5, iou=0.5))

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
        stored = store_engine(cache.folder.parent, spec, recipe.precision, onnx)
        return self._as_shown(cache, stored)

    def _as_shown(self, cache: EngineCache, stored: StoredEngine) -> StoredEngine:
        if self.shown is None:
            return stored
        with cache.building(stored.key):
            return cache.store(stored.key, stored.read(), {**stored.facts, "precisions": self.shown})


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
        self._pace = threading.Event()  # never set
        self._given = 0
        self._until_s = time.monotonic() + _LIMIT_S

    def read(self) -> Grab:
        self._tell()
        self._pace.wait(_PACE_S)
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


def fault(**changes: Any) -> None:  # noqa: ANN401  the fields of Faults
    """Let the fake TensorRT of this process do something wrong from now on."""
    faults = importlib.import_module("tensorrt._faults")
    faults.set_faults(faults.Faults(**changes))


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


def test_a_classifier_moves_to_its_engine_too(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    model = write_layers(rig.folder / "colours.onnx")
    model.with_suffix(".yaml").write_text("{task: classify, labels: [red, green, blue], look: ultralytics}")
    rig.model, rig.looks = str(model), {"classify": [{"name": "view", "model": "net", "fps": 0}]}
    assert rig.run(rig.has_served(F16)) == 0
    assert rig.built == ["f16"]
    assert rig.served[ON_CPU] > 0
    proof = rig.engines()["f16"]["proof"]
    assert (proof["decision"], proof["source"], proof["agreement"]["matched"]) == ("use", "cameras", 8)
    assert "model net: goes on with tensorrt f16" in caplog.text

    assert rig.run(rig.has_served(F16)) == 0  # the next run begins with it
    assert rig.built == ["f16"]
    assert rig.served[ON_CPU] == 0


def test_an_engine_that_answers_otherwise_is_refused_and_the_safer_one_serves(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    fault(noise=(("f16", 0.5),))
    assert rig.run(rig.has_served(F32)) == 0
    assert rig.built == ["f16", "f32"]
    assert F16 not in rig.served
    kept = rig.engines()
    assert (kept["f16"]["proof"]["decision"], kept["f32"]["proof"]["decision"]) == ("refuse", "use")
    assert "tensorrt f16 against onnxruntime f32: " in caplog.text

    caplog.clear()
    assert rig.run(rig.has_served(F32)) == 0  # what was refused is not asked first at the next start
    assert rig.built == ["f16", "f32"]
    assert set(rig.served) == {F32}
    assert "f16" not in caplog.text


def test_an_engine_in_another_precision_than_was_asked_for_is_refused(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.shown = {"f32": 12}
    assert rig.run(lambda: "can't be tried" in caplog.text, precision="f16") == 0
    assert "tensorrt f16 can't be tried, onnxruntime f32 serves: " in caplog.text
    assert "none of its layers computes in f16: 12 in f32" in caplog.text


def test_builds_that_fail_leave_the_run_on_onnxruntime(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.failing = "model shapes: no engine: TensorRT ended by SIGSEGV"
    assert rig.run(rig.all_given_up(caplog, 2)) == 0
    assert rig.built == ["f16", "f32"]
    assert set(rig.served) == {ON_CPU}
    assert rig.engines() == {}
    assert caplog.text.count("TensorRT ended by SIGSEGV") == 2


def test_a_build_that_is_killed_and_a_cache_that_can_not_be_written_are_a_sentence_each(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the real child process."""
    monkeypatch.setattr("streamer.engine_ways.build_engine", build_engine)
    for name, value in importlib.import_module("tensorrt._faults").Faults(build_crashes=True).environ().items():
        monkeypatch.setenv(name, value)
    assert rig.run(rig.all_given_up(caplog, 1), precision="f32") == 0
    assert set(rig.served) == {ON_CPU}
    assert "tensorrt f32 can't be tried, onnxruntime f32 serves: model shapes: no f32 engine: " in caplog.text
    assert not list((rig.cache / "tensorrt").glob("*.plan"))

    caplog.clear()
    work = rig.folder / "full" / "tensorrt" / "work"
    work.parent.mkdir(parents=True)
    work.write_text("no folder, and none can be made")
    monkeypatch.setenv("STREAMER_CACHE", str(rig.folder / "full"))
    assert rig.run(rig.all_given_up(caplog, 1), precision="f32") == 0
    assert "engine cache " in caplog.text
    assert "Traceback" not in caplog.text


def test_a_stop_ends_a_build_at_once_and_nothing_is_left(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.engine_ways.build_engine", build_engine)
    with importlib.import_module("tensorrt._steps").BuildSteps() as steps:
        faults = importlib.import_module("tensorrt._faults").Faults(steps_port=steps.port)
        for name, value in faults.environ().items():
            monkeypatch.setenv(name, value)

        def lead() -> None:
            steps.wait()
            rig.asked.set()

        leader = threading.Thread(target=lead, name="steps")
        leader.start()
        began: list[float] = []

        def building() -> bool:
            if rig.asked.is_set() and not began:
                assert rig.run_now is not None
                assert str(rig.run_now.doing("net")).startswith("building tensorrt f32: ")
                began.append(time.monotonic())
            return bool(began)

        assert rig.run(building, precision="f32") == 0
        assert time.monotonic() - began[0] < 5.0
        leader.join(5.0)
    assert "can't be tried" not in caplog.text
    assert not list((rig.cache / "tensorrt").glob("*.plan"))
    assert set(rig.served) == {ON_CPU}


def test_a_gpu_without_memory_leaves_the_run_on_onnxruntime(
    rig: Rig, fake_gpu: FakeGpu, caplog: pytest.LogCaptureFixture
) -> None:
    fake_gpu.machine.out_of_memory_after = 1000
    assert rig.run(rig.all_given_up(caplog, 1), precision="f32") == 0
    assert "memory" in caplog.text
    assert set(rig.served) == {ON_CPU}

    rig.keep("f32")  # at the next start
    caplog.clear()
    assert rig.run(rig.has_served(ON_CPU), precision="f32") == 0
    assert "it begins with onnxruntime f32" in caplog.text
    assert set(rig.served) == {ON_CPU}


def test_a_gpu_that_is_lost_ends_the_run_with_one_sentence(
    rig: Rig, fake_gpu: FakeGpu, caplog: pytest.LogCaptureFixture
) -> None:
    rig.keep("f32")

    def fail() -> bool:
        if rig.has_served(F32)():
            fake_gpu.machine.lose_device()
        return False

    said = ""
    try:
        rig.run(fail, precision="f32")
    except BackendError as exc:
        said = str(exc)
    assert "GPU" in said or "TensorRT" in said  # whoever of them noticed first
    assert "\n" not in said
    assert [event.type.value for event in rig.events][-1] == "end"  # what was open has been ended
    rig.run_now = None  # what this and the records hold on to, tracebacks with arrays, is not to outlive the fake
    caplog.clear()
    fake_gpu.abandon()  # of a device that is lost nothing can be given back, and what was queued is never done
    fake_gpu.forgive()


def test_before_builds_before_the_camera_is_opened_and_auto_means_the_gpu_where_there_is_one(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[tuple[str, str | None]] = []

    def look() -> None:
        assert rig.run_now is not None
        shown.extend((row.name, row.doing) for row in rig.run_now.report.snapshot({}).models)

    rig.building = look
    assert rig.run(rig.has_served(F32), backend="auto", precision="f32", build="before") == 0
    assert shown == [("net", "building tensorrt f32: build 50%")]  # before it is open
    assert rig.served[ON_CPU] > 0
    built = caplog.text.index("tensorrt f32 is built")
    assert built < caplog.text.index("model net: shapes on onnxruntime f32")
    assert built < caplog.text.index("online")


def test_a_stop_before_the_cameras_are_opened_ends_the_build_and_the_run(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def stop() -> None:
        assert rig.run_now is not None
        rig.run_now.request_stop()

    rig.building = stop
    assert rig.run(lambda: False, precision="f16", build="before") == 0
    assert rig.built == ["f16"]  # and f32 is not tried either
    assert rig.engines() == {}
    assert rig.served.total() == 0
    assert "can't be tried" not in caplog.text


def test_never_takes_only_what_there_is(rig: Rig) -> None:
    with pytest.raises(
        BackendError, match=r"no engine of shapes .* is built; `streamer models build shapes` builds one"
    ):
        rig.run(rig.has_served(F32), build="never")
    rig.keep("f32", batch=1)
    assert rig.run(rig.has_served(F32), build="never") == 0  # precision auto: of f16 there is none
    assert rig.run_now is not None
    assert rig.run_now.models["net"].spec.input.max_batch == 1  # what there is must do
    assert rig.built == []
    assert set(rig.served) == {F32}


@pytest.mark.parametrize("cut", [True, False])
def test_an_engine_that_was_damaged_is_set_aside_and_built_anew(
    rig: Rig,
    caplog: pytest.LogCaptureFixture,
    cut: bool,  # noqa: FBT001  a parameter
) -> None:
    rig.keep("f32")
    (plan,) = (rig.cache / "tensorrt").glob("*.plan")
    raw = plan.read_bytes()
    plan.write_bytes(raw[:-100] if cut else raw[:-100] + bytes(byte ^ 1 for byte in raw[-100:]))
    assert rig.run(rig.has_served(F32), precision="f32") == 0
    assert rig.built == ["f32"]
    assert rig.served[ON_CPU] > 0
    assert "is set aside, it has to be built anew" in caplog.text
    assert "Traceback" not in caplog.text
    assert rig.engines()["f32"]["proof"]["decision"] == "use"


def test_what_a_run_does_is_told_to_people_and_machines(rig: Rig) -> None:
    told: list[tuple[str | None, Any]] = []

    def look() -> None:
        assert rig.run_now is not None
        snapshot = rig.run_now.report.snapshot({})
        told.append((snapshot.models[0].doing, json.loads(rig.run_now.report.statistics().payload)["models"]["net"]))

    rig.building = look
    assert rig.run(rig.has_served(F32), precision="f32") == 0
    look()
    (building, stats), (nothing, after) = told
    assert building == stats["doing"] == "building tensorrt f32: build 50%"
    assert (stats["backend"], stats["precision"]) == ON_CPU
    assert nothing is after["doing"] is None
    assert (after["backend"], after["precision"]) == F32
    rig.run_now = None


def test_one_engine_is_built_at_a_time(rig: Rig) -> None:
    waits = "building tensorrt f32: waits for another model's engine"
    told: list[str | None] = []

    def waiting() -> bool:
        assert rig.run_now is not None
        if rig.run_now.doing("net") == waits:
            told.append(waits)
        return bool(told)

    with engine_ways._one_build:  # of another model
        assert rig.run(waiting, precision="f32") == 0  # a stop ends the wait
    assert rig.built == []
    assert not engine_ways._one_build.locked()


def test_int8_is_never_calibrated_behind_the_user_s_back(rig: Rig) -> None:
    with pytest.raises(BackendError, match="streamer models build shapes --precision int8 --frames DIR"):
        rig.run(rig.has_served(F32), precision="int8")


def test_a_measurement_takes_engines_as_they_are_and_builds_none(rig: Rig) -> None:
    with pytest.raises(BackendError, match=r"no engine of shapes"):
        rig.run(rig.has_served(F32), prove=False, precision="f32")
    assert rig.run(lambda: rig.served.total() >= _ENOUGH, prove=False, backend="auto") == 0  # then the CPU is measured
    assert rig.built == []
    assert {backend for backend, _ in rig.served} <= {"onnxruntime", "openvino"}
