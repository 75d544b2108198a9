"""Which engines a model begins with, and which may follow; the fake TensorRT builds them. Not run on a GPU."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_classifier import write_layers
from trt_engines import store_engine

from streamer.core.clock import FakeClock
from streamer.core.errors import BackendError
from streamer.engine_ways import engine_ways
from streamer.infer.agreement import SAME, Agreement
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import on_cpu, open_backend
from streamer.infer.class_agreement import ClassAgreement
from streamer.infer.classifier import Classifier
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.prove import CAMERAS, TRIAL, proof_of
from streamer.infer.engine.recipe import EngineRecipe
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.pixels.convert import picture_of_bgr
from streamer.serving import Serving
from streamer.settings.model import ModelSettings
from streamer.ways import ServingPlan

pytestmark = pytest.mark.usefixtures("fake_gpu")

SHAPES = str(Path(__file__).resolve().parents[1] / "engines" / "shapes.onnx")
SEEN = Agreement(frames=48, boxes=200, matched=200)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path))
    return tmp_path


def plan(*, prove: bool = True, **settings: Any) -> ServingPlan:  # noqa: ANN401  any key
    return ServingPlan(
        name="net",
        spec=load_spec(SHAPES),
        settings=ModelSettings.model_validate({"model": "shapes", "backend": "tensorrt", **settings}),
        latency=False,
        least=0.5,
        on_ready=lambda: None,
        clock=FakeClock(),
        prove=prove,
    )


def keep(
    cache: Path,
    precision: str,
    *,
    batch: int = 8,
    decision: Decision = Decision.USE,
    source: str = CAMERAS,
    built_at: str = "2026-11-21T12:00:00Z",
) -> None:
    """Put an engine into the cache, with what has been proved of it."""
    spec = load_spec(SHAPES)
    spec = replace(spec, input=replace(spec.input, max_batch=batch))
    stored, engines = store_engine(cache, spec, "f32"), EngineCache(cache / "tensorrt")
    recipe = EngineRecipe(precision=precision, max_batch=batch, calibration="0" * 64 if precision == "int8" else None)
    key = engine_key(spec, recipe, this_platform(0))
    verdict = Verdict(decision=decision, agreement=SEEN, gain=9.0)
    proof = proof_of(verdict, source=source, head=spec.head, threshold=0.25, iou=0.5)
    with engines.building(key):
        engines.store(key, stored.read(), {**stored.facts, "built_at": built_at, "proof": proof})
    if precision != "f32":
        stored.facts_path.unlink()  # it was only built to have a plan


@pytest.mark.parametrize(
    ("decision", "source", "measured", "run"),
    [
        (Decision.USE, CAMERAS, "tensorrt f16", "tensorrt f16"),
        (Decision.USE, TRIAL, "tensorrt f16", "onnxruntime f32"),
        (Decision.UNDECIDED, TRIAL, "tensorrt f16", "onnxruntime f32"),
        (Decision.REFUSE, TRIAL, "onnxruntime f32", "onnxruntime f32"),
    ],
)
def test_a_measurement_takes_what_models_build_has_kept_and_a_run_what_is_proved(
    cache: Path, decision: Decision, source: str, measured: str, run: str
) -> None:
    keep(cache, "f16", decision=decision, source=source)
    assert engine_ways(plan(prove=False)).begin.name == measured
    assert engine_ways(plan(prove=False, precision="f16")).begin.name == "tensorrt f16"  # as it was asked for
    assert engine_ways(plan()).begin.name == run


@pytest.mark.timeout(30)  # the kernels are compiled in it, once a session
def test_a_classifier_serves_from_an_engine_once_its_classes_are_proved(cache: Path, tmp_path: Path) -> None:
    said = SpecOptions(labels=("red", "green", "blue"), look="ultralytics")
    spec = load_spec(str(write_layers(tmp_path / "colours.onnx")), options=said, task=Task.CLASSIFY)
    classifier = replace(plan(precision="f32"), spec=spec)
    stored, engines = store_engine(cache, spec, "f32"), EngineCache(cache / "tensorrt")
    assert engine_ways(classifier).begin.name == "onnxruntime f32"
    way = next(c for c in engine_ways(classifier).candidates if c.way.name == "tensorrt f32")
    assert way.terms.bar == SAME
    way.proved(Verdict(decision=Decision.USE, agreement=ClassAgreement(frames=64, matched=64), gain=9.0))
    found = engines.find(stored.key)
    assert found is not None
    assert found.facts["proof"]["agreement"] == {"frames": 64, "matched": 64, "score_off_sum": 0.0}
    model = Serving(classifier).open()
    assert isinstance(model, Classifier)
    assert (model.ref.backend, model.ref.precision) == ("tensorrt", "f32")
    with closing(model):
        pictures = [picture_of_bgr(np.full((40, 60, 3), colour, np.uint8)) for colour in ((0, 0, 255), (255, 0, 0))]
        answers = model.collect(model.submit(pictures))
    assert [int(answer.class_ids[0]) for answer in answers] == [0, 2]


def test_what_there_is_must_do_all_of_it(cache: Path) -> None:
    keep(cache, "f16", batch=2)
    keep(cache, "f32", batch=4)
    ways = engine_ways(plan(build="never"))
    assert [candidate.way.name for candidate in ways.candidates] == ["tensorrt f16", "tensorrt f32"]
    assert ways.begin.name == "tensorrt f16"
    assert ways.spec.input.max_batch == 2


def test_a_newer_engine_for_fewer_pictures_hides_no_older_one(cache: Path) -> None:
    keep(cache, "int8")
    keep(cache, "int8", batch=1, built_at="2026-11-22T12:00:00Z")
    assert engine_ways(plan(precision="int8")).begin.name == "tensorrt int8"


def test_single_pictures_go_where_an_engine_is_and_nobody_is_warned_where_none_is(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = load_spec(SHAPES)
    options = BackendOptions(precision="f32", latency=True, threads=1, on_ready=lambda: None)

    def opened(kind: str) -> str:
        backend = open_backend(kind, SHAPES, input_spec=spec.input, output_names=spec.output_names, options=options)
        backend.close()
        return backend.kind

    assert opened("auto") == on_cpu()
    assert caplog.text == ""
    with pytest.raises(BackendError, match=r"`streamer models build .*shapes\.onnx --precision f32` builds one"):
        opened("tensorrt")
    keep(cache, "f32")
    assert opened("auto") == "tensorrt"
