"""What makes an engine another one, and what does not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from engine_values import EXTRA, PLATFORM, shapes
from onnx import TensorProto, helper, numpy_helper

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.engine import key as key_module
from streamer.infer.engine.key import engine_key, key_of, measured_as, model_part
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.infer.engine.platform import EnginePlatform
    from streamer.infer.spec import ModelSpec

RECIPE = EngineRecipe(precision="f16", max_batch=4)
INT8 = EngineRecipe(precision="int8", max_batch=4, calibration="a" * 64)


def test_a_key_is_the_sha256_of_its_parts() -> None:
    key = engine_key(shapes(), RECIPE, PLATFORM)
    canonical = json.dumps(key.parts, sort_keys=True, separators=(",", ":"))
    assert key.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert key == key_of(key.parts)
    assert (key.precision, key.max_batch) == ("f16", 4)


@pytest.mark.parametrize(
    "platform",
    [
        replace(PLATFORM, tensorrt="10.3.0.1"),
        replace(PLATFORM, cuda=13),
        replace(PLATFORM, os="windows"),
        replace(PLATFORM, machine="x86_64"),
        replace(PLATFORM, gpu="Orin NX"),
        replace(PLATFORM, compute_capability=(8, 6)),
        replace(PLATFORM, multiprocessors=4),
    ],
)
def test_another_platform_is_another_engine(platform: EnginePlatform) -> None:
    assert engine_key(shapes(), RECIPE, platform).digest != engine_key(shapes(), RECIPE, PLATFORM).digest


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, precision="f32"),
        replace(RECIPE, max_batch=2),
        replace(RECIPE, workspace_bytes=1 << 20),
        INT8,
    ],
)
def test_another_recipe_is_another_engine(recipe: EngineRecipe) -> None:
    assert engine_key(shapes(), recipe, PLATFORM).digest != engine_key(shapes(), RECIPE, PLATFORM).digest


def test_another_calibration_is_another_engine() -> None:
    other = replace(INT8, calibration="b" * 64)
    assert engine_key(shapes(), INT8, PLATFORM).digest != engine_key(shapes(), other, PLATFORM).digest


@pytest.mark.parametrize(
    "changed",
    [
        replace(shapes(), digest=f"sha256:{'0' * 64}"),
        replace(shapes(), input=replace(shapes().input, hw=(320, 320))),
        replace(shapes(), input=replace(shapes().input, extras=(EXTRA,))),
        replace(shapes(), input=replace(shapes().input, layout="nhwc")),
    ],
)
def test_another_model_is_another_engine(changed: ModelSpec) -> None:
    assert engine_key(changed, RECIPE, PLATFORM).digest != engine_key(shapes(), RECIPE, PLATFORM).digest


def test_another_converter_is_another_engine_where_it_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = EngineRecipe(precision="f32", max_batch=4)
    before = [engine_key(shapes(), recipe, PLATFORM).digest for recipe in (exact, RECIPE)]
    monkeypatch.setattr(key_module, "converter", lambda precision: None if precision == "f32" else "another one")
    after = [engine_key(shapes(), recipe, PLATFORM).digest for recipe in (exact, RECIPE)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_which_gpu_of_a_kind_and_what_the_pixels_mean_makes_no_difference() -> None:
    spec = replace(shapes(), input=replace(shapes().input, scale=1.0, pad=0), labels=("one",))
    same = engine_key(spec, replace(RECIPE, device=3), PLATFORM)
    assert same.digest == engine_key(shapes(), RECIPE, PLATFORM).digest


@pytest.mark.parametrize("change", [{"scale": 1.0}, {"mean": (1.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 2.0)}])
def test_what_the_pixels_mean_is_what_8_bit_scales_are_measured_on(change: dict[str, Any]) -> None:
    spec = replace(shapes(), input=replace(shapes().input, **change))
    key = engine_key(spec, INT8, PLATFORM)
    assert key.digest != engine_key(shapes(), INT8, PLATFORM).digest
    assert measured_as(key, spec.input)
    assert not measured_as(key, shapes().input)
    assert measured_as(engine_key(spec, RECIPE, PLATFORM), shapes().input)


def with_weights_beside(path: Path) -> Path:
    weights = numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "big",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [300])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_weights_in_a_file_beside_the_model_count(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m.onnx")
    before = model_part("sha256:00", path)
    assert list(before["weights"]) == ["w.bin"]
    data = bytearray((tmp_path / "w.bin").read_bytes())
    data[5] ^= 1
    (tmp_path / "w.bin").write_bytes(data)
    after = model_part("sha256:00", path)
    assert after["weights"]["w.bin"] == hashlib.sha256(data).hexdigest() != before["weights"]["w.bin"]


def test_weights_of_a_body_count_too(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m.onnx")
    model = onnx.load(str(path), load_external_data=False)
    body = helper.make_graph([helper.make_node("Identity", ["w"], ["o"])], "body", [], [], [])
    body.output.extend([helper.make_tensor_value_info("o", TensorProto.FLOAT, [300])])
    body.initializer.extend(model.graph.initializer)
    model.graph.ClearField("initializer")
    model.graph.ClearField("node")
    branches = {"then_branch": body, "else_branch": body}
    model.graph.node.extend([helper.make_node("If", ["yes"], ["y"], **branches)])
    path.write_bytes(model.SerializeToString())
    assert list(model_part("sha256:00", path)["weights"]) == ["w.bin"]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = with_weights_beside(tmp_path / "m.onnx")
    (tmp_path / "w.bin").unlink()
    with pytest.raises(BackendError, match=r"w\.bin: can't be read \(No such file"):
        model_part("sha256:00", path)


def test_a_batch_that_the_model_does_not_take_has_no_key() -> None:
    with pytest.raises(ConfigError, match="at most 8 pictures"):
        engine_key(shapes(), replace(RECIPE, max_batch=9), PLATFORM)
