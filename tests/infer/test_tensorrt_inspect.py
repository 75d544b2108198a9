from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from trt_engines import input_of, set_faults, spec_of, store_engine
from trt_networks import SIDE, write_rows

from streamer.core.errors import BackendError
from streamer.cuda.open import open_gpu
from streamer.infer.backends.tensorrt.engine import load_engine, picture_shape
from streamer.infer.backends.tensorrt.inspect import precisions_of
from streamer.infer.backends.tensorrt.runtime import load_runtime

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fake_gpu")


def counted(*layers: object) -> dict[str, int]:
    """What is counted of an inspector that answers with these layers."""
    text = json.dumps({"Layers": layers})
    inspector = SimpleNamespace(get_engine_information=lambda _: text, execution_context=None)
    engine: Any = SimpleNamespace(create_engine_inspector=lambda: inspector)
    return dict(precisions_of(engine))


def layer(kind: str, *tensors: dict[str, Any], weights: str | None = None) -> dict[str, Any]:
    """One layer as the inspector writes it: the last tensor is its output."""
    held = {} if weights is None else {"Weights": {"Type": weights, "Count": 9}}
    return {"Name": "x", "LayerType": kind, "Inputs": list(tensors[:-1]), "Outputs": [tensors[-1]], **held}


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"Format/Datatype": "Row major linear FP32"}, "f32"),
        ({"Format/Datatype": "Float"}, "f32"),
        ({"Format/Datatype": "Row major linear FP16 format"}, "f16"),
        ({"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}, "f16"),
        ({"Format/Datatype": "Half"}, "f16"),
        ({"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format."}, "int8"),
        ({"Format/Datatype": "BF16"}, "bf16"),
        ({"Format": "Row major linear", "DataType": "Half"}, "f16"),
        ({"Format": "Row major linear FP32 format (kLINEAR)", "DataType": "Float"}, "f32"),
        ({"Format": "Channel major", "DataType": "BFloat16"}, "bf16"),
        ({"Format": "Row major linear", "DataType": "FP8"}, "f8"),
    ],
)
def test_both_ways_of_writing_are_read(said: dict[str, str], means: str) -> None:
    assert counted(layer("CaskConvolution", said, said)) == {means: 1}


def test_a_layer_computes_in_the_narrowest_that_it_touches() -> None:
    narrow, wide = {"Format/Datatype": "Int8"}, {"Format/Datatype": "Half"}
    assert counted(layer("CaskConvolution", narrow, wide), layer("PointWiseV2", wide, wide)) == {"int8": 1, "f16": 1}
    unknown = {"Format/Datatype": "N/A due to dynamic shapes"}
    assert counted(layer("CaskConvolution", unknown, unknown, weights="Half")) == {"f16": 1}


def test_what_only_moves_numbers_does_not_count() -> None:
    half, whole = {"Format/Datatype": "Half"}, {"Format/Datatype": "Int64"}
    assert counted(layer("Reformat", half, half), layer("Constant", half, half), layer("Shuffle", whole, whole)) == {}


def test_an_engine_without_details_tells_nothing() -> None:
    assert counted("conv1", "conv2") == {}


def test_nonsense_is_said() -> None:
    inspector = SimpleNamespace(get_engine_information=lambda _: "nothing")
    engine: Any = SimpleNamespace(create_engine_inspector=lambda: inspector)
    with pytest.raises(BackendError, match="gives no list of layers: 'nothing'"):
        precisions_of(engine)


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_a_dynamic_batch_tells_once_a_context_has_its_shapes(tmp_path: Path, version: str) -> None:
    set_faults(version=version)
    spec = spec_of(
        write_rows(tmp_path / "rows.onnx", anchors=525, anchor_major=False), input_of((SIDE, SIDE), 2), ("out",)
    )
    stored = store_engine(tmp_path, spec)
    gpu = open_gpu(0)
    with gpu.current():
        engine = load_engine(load_runtime(), stored.read())
        activations = gpu.allocate(engine.activation_bytes)
        context = engine.open_context(activations, {spec.input.name: picture_shape(spec.input, 2)})
        known = precisions_of(engine._handle, context)
        assert known["f32"] > 0
        assert set(known) == {"f32"}
        assert sum(precisions_of(engine._handle).values()) < sum(known.values())
        del context
        engine.close()
        activations.free()
