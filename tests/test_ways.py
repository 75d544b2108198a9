"""What a model of a run begins with, on the CPU; on a GPU: tests/e2e/test_gpu_run.py."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from tiny_classifier import write_classifier

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError
from streamer.engine_ways import build_policy
from streamer.infer.agreement import Agreement
from streamer.infer.backends.fake import FakeBackend
from streamer.infer.backends.open import ANY_CPU
from streamer.infer.class_agreement import ClassAgreement
from streamer.infer.classifier import Classifier
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.proof import proof_key, save_proof
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Activation, Scoring, Task
from streamer.serving import Serving
from streamer.settings.model import ModelSettings
from streamer.ways import NMS_IOU, ServingPlan, ways_of

if TYPE_CHECKING:
    from nvidia import FakeGpu

    from streamer.infer.backends.base import Backend, BackendOptions
    from streamer.infer.spec import ModelSpec

SHAPES = str(Path(__file__).resolve().parents[1] / "engines" / "shapes.onnx")
SEEN = Agreement(frames=40, boxes=200, matched=200)


class Machine:
    """A machine whose runtime has bf16, and what was opened on it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[str, str, bool]] = []
        self.failing: str = ""
        self.cache = folder
        monkeypatch.setenv("STREAMER_CACHE", str(folder))
        monkeypatch.setattr("streamer.ways.choose", lambda kind: "openvino" if kind == "auto" else kind)
        monkeypatch.setattr("streamer.infer.proof.choose", lambda kind: "openvino" if kind == "auto" else kind)
        monkeypatch.setattr("streamer.ways.faster_precision", lambda kind: None if kind == "onnxruntime" else "bf16")
        monkeypatch.setattr("streamer.ways.open_warm", self._open)

    def _open(self, spec: ModelSpec, kind: str, options: BackendOptions) -> Backend:
        self.opened.append((kind, options.precision, options.latency))
        if self.failing == options.precision:
            raise BackendError(f"{options.precision} can't be had")
        backend = FakeBackend(
            lambda batch: (np.zeros((len(batch), 1, 6), np.float32),), input_spec=spec.input, on_ready=options.on_ready
        )
        backend.precision = options.precision
        return backend


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def plan(*, latency: bool = True, prove: bool = True, least: float = 0.5, **settings: Any) -> ServingPlan:  # noqa: ANN401  any key
    return ServingPlan(
        name="net",
        spec=load_spec(SHAPES),
        settings=ModelSettings.model_validate({"model": "shapes", **settings}),
        latency=latency,
        least=least,
        on_ready=lambda: None,
        clock=FakeClock(),
        prove=prove,
    )


def colours(folder: Path) -> ModelSpec:
    """A classifier of three colours."""
    said = SpecOptions(labels=("red", "green", "blue"), look="ultralytics")
    return load_spec(str(write_classifier(folder / "c.onnx", shape=("N", 3, 32, 32))), options=said, task=Task.CLASSIFY)


def keep_proof(machine: Machine, decision: Decision, *, least: float = 0.5) -> None:
    key = proof_key(load_spec(SHAPES), backend="auto", precision="bf16", threshold=least, iou=NMS_IOU)
    save_proof(machine.cache, key, Verdict(decision=decision, agreement=SEEN, gain=2.0))


@pytest.mark.usefixtures("machine")
def test_a_faster_precision_is_a_candidate_where_it_is_left_to_us() -> None:
    ways = ways_of(plan())
    assert ways.begin is ways.exact
    assert ways.exact.name == "openvino f32"
    assert [candidate.way.name for candidate in ways.candidates] == ["openvino bf16"]
    assert ways.candidates[0].terms.least_gain > 1.0  # on a CPU it is only worth it if it is faster
    assert (ways.builds, ways.hardware) == (False, None)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("key", "value", "begins"),
    [
        ("precision", "f32", "openvino f32"),
        ("precision", "bf16", "openvino bf16"),
        ("backend", "onnxruntime", "onnxruntime f32"),
    ],
)
def test_what_the_user_has_chosen_stays(key: str, value: str, begins: str) -> None:
    settings: dict[str, Any] = {key: value}
    ways = ways_of(plan(**settings))
    assert ways.begin.name == begins
    assert ways.candidates == ()


def test_what_was_proved_before_serves_from_the_first_frame(machine: Machine) -> None:
    keep_proof(machine, Decision.USE)
    assert ways_of(plan()).begin.name == "openvino bf16"
    assert ways_of(plan(least=0.4)).begin.name == "openvino f32"  # proved for other scores
    measured = ways_of(plan(prove=False))
    assert (measured.begin.name, measured.candidates) == ("openvino bf16", ())
    keep_proof(machine, Decision.REFUSE)
    assert ways_of(plan()).begin.name == "openvino f32"


def test_a_verdict_is_kept_for_the_next_start(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    ways = ways_of(plan())
    ways.candidates[0].proved(Verdict(decision=Decision.USE, agreement=SEEN, gain=2.0))
    assert ways_of(plan()).begin.name == "openvino bf16"
    machine.cache.joinpath("proofs").rename(machine.cache / "away")
    machine.cache.joinpath("proofs").write_text("no folder")
    ways.candidates[0].proved(Verdict(decision=Decision.USE, agreement=SEEN, gain=2.0))
    assert "the proof for net can't be kept" in caplog.text


def test_a_model_is_opened_as_its_cameras_need_it(machine: Machine) -> None:
    for latency in (True, False):
        model = Serving(plan(latency=latency)).open()
        assert model.depth == (2 if latency else 3)
        model.close()
    assert machine.opened == [("auto", "f32", True), ("auto", "f32", False)]


@pytest.mark.usefixtures("machine")
def test_a_classifier_is_opened_as_one_and_held_to_its_classes(tmp_path: Path) -> None:
    spec = colours(tmp_path)
    classifier = replace(plan(), spec=spec, least=0.3)
    serving = Serving(classifier)
    assert serving.upgrade(threading.Event(), lambda: None) is not None
    model = serving.open()
    assert isinstance(model, Classifier)
    assert model.sample is not None
    model.close()
    ways = ways_of(classifier)
    assert [candidate.way.name for candidate in ways.candidates] == ["openvino bf16"]
    seen = ClassAgreement(frames=64, matched=64)
    ways.candidates[0].proved(Verdict(decision=Decision.USE, agreement=seen, gain=2.0))
    assert ways_of(replace(classifier, least=0.7)).begin.name == "openvino bf16"  # whatever its cameras ask for
    several = Scoring(activation=Activation.SIGMOID, thresholds=(0.5, 0.5, 0.5), reason="said")
    assert ways_of(replace(classifier, spec=replace(spec, scoring=several))).begin.name == "openvino f32"


def test_the_upgrade_is_told_what_the_model_began_with(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    keep_proof(machine, Decision.USE)
    machine.failing = "bf16"
    serving = Serving(plan())
    upgrade = serving.upgrade(threading.Event(), lambda: None)
    assert upgrade is not None
    model = serving.open()
    assert model.sample is not None
    assert upgrade._serving == "openvino f32"
    assert "bf16 can't be had; it begins with openvino f32" in caplog.text
    model.close()


def test_without_another_way_a_failure_is_one(machine: Machine) -> None:
    machine.failing = "f32"
    serving = Serving(plan(precision="f32"))
    assert serving.upgrade(threading.Event(), lambda: None) is None
    with pytest.raises(BackendError, match="f32 can't be had"):
        serving.open()


def test_auto_goes_on_with_the_cpu_where_tensorrt_turns_out_not_to_work(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert machine.opened == []
    meant = {"auto": "tensorrt", ANY_CPU: "onnxruntime"}
    monkeypatch.setattr("streamer.ways.choose", lambda kind: meant.get(kind, kind))

    def broken(_: ServingPlan) -> None:
        raise BackendError("backend: tensorrt can't be loaded here (libnvinfer.so.11)")

    monkeypatch.setattr("streamer.engine_ways.engine_ways", broken)
    assert ways_of(plan()).begin.name == "onnxruntime f32"
    assert "libnvinfer.so.11); onnxruntime takes its place" in caplog.text
    with pytest.raises(BackendError, match="libnvinfer"):
        ways_of(plan(backend="tensorrt"))
    with pytest.raises(BackendError, match="libnvinfer"):
        ways_of(plan(precision="f16"))  # no CPU computes in it


@pytest.mark.parametrize(("integrated", "said", "policy"), [
    (False, None, "background"), (True, None, "before"), (True, "background", "background"), (False, "never", "never"),
])  # fmt: skip
def test_when_an_engine_is_built(
    fake_gpu: FakeGpu,
    integrated: bool,  # noqa: FBT001  a parameter
    said: str | None,
    policy: str,
) -> None:
    fake_gpu.machine.devices[0].integrated = integrated
    asked = cast("ServingPlan", SimpleNamespace(settings=SimpleNamespace(build=said, device=0)))
    assert build_policy(asked) == policy
