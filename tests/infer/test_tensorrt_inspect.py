from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from onnx import TensorProto
from tiny_onnx import Output, write_tiny
from trt_engines import input_of, spec_of, store_engine

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

pytestmark = pytest.mark.usefixtures("fake_gpu")


def counted(*layers: object) -> dict[str, int]:
    """What is counted of an inspector that answers with these layers."""
    from streamer.infer.backends.tensorrt.inspect import precisions_of  # noqa: PLC0415  it imports what the fixture gives

    text = json.dumps({"Layers": layers})
    inspector = SimpleNamespace(get_engine_information=lambda _: text, execution_context=None)
    return dict(precisions_of(SimpleNamespace(create_engine_inspector=lambda: inspector)))


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
    from streamer.infer.backends.tensorrt.inspect import precisions_of  # noqa: PLC0415

    inspector = SimpleNamespace(get_engine_information=lambda _: "nothing")
    with pytest.raises(BackendError, match="gives no list of layers: 'nothing'"):
        precisions_of(SimpleNamespace(create_engine_inspector=lambda: inspector))
