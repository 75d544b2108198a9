"""Which precisions an engine really computes in, as TensorRT's inspector tells.

An engine that was asked to be fast and is not has been shipped by others for months: nothing else shows it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError

from .runtime import load_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tensorrt

# How formats and types are spelled, in lower case: 10 writes `Row major linear FP16 format` or `Half` under
# "Format/Datatype", 11 writes `Half` under "DataType" beside a "Format". The narrower comes first: a layer that reads
# int8 and writes halves computes in int8. `bf16` comes before `f16`, `uint8` before `int8`: one holds the other.
_SPELLINGS = (
    ("f4", ("fp4", "float4")),
    ("i4", ("int4",)),
    ("f8", ("fp8", "float8")),
    ("u8", ("uint8",)),
    ("int8", ("int8",)),
    ("bf16", ("bf16", "bfloat16")),
    ("f16", ("fp16", "half", "float16")),
    ("f32", ("fp32", "float32", "float")),
)
_ORDER = tuple(name for name, _ in _SPELLINGS)
_NO_WORK = ("reformat", "noop", "constant")  # they only move numbers
_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")


def precisions_of(engine: tensorrt.ICudaEngine, context: tensorrt.IExecutionContext | None = None) -> Counter[str]:
    """Count the layers that compute in each precision: `f32`, `f16`, `bf16`, `int8` ...

    Args:
        engine: one that was built with detailed profiling.
        context: one of its contexts with its input shapes set: a network with a dynamic batch tells nothing else.

    Returns:
        Layers of each precision; empty when the engine was built without the details.

    Raises:
        BackendError: what the inspector says can't be read.
    """
    runtime = load_runtime()
    inspector = engine.create_engine_inspector()
    if context is not None:
        inspector.execution_context = context
    text = inspector.get_engine_information(runtime.LayerInformationFormat.JSON)
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError) as exc:
        raise BackendError(f"TensorRT's inspector gives no list of layers: {text[:80]!r}") from exc
    found = (_precision(layer) for layer in layers if isinstance(layer, dict))
    return Counter(precision for precision in found if precision is not None)


def _precision(layer: dict[str, Any]) -> str | None:
    """Return the narrowest precision that a layer reads, holds or writes; None: it computes in none of them."""
    if str(layer.get("LayerType", "")).lower() in _NO_WORK:
        return None
    named = [precision for text in _types(layer) if (precision := _named(text)) is not None]
    return min(named, key=_ORDER.index, default=None)


def _types(layer: dict[str, Any]) -> Iterator[str]:
    for tensor in (*layer.get("Inputs", ()), *layer.get("Outputs", ())):
        if isinstance(tensor, dict):
            spelled = (tensor[key] for key in _KEYS if key in tensor)
            yield from map(str, spelled)
    weights = layer.get("Weights")
    if isinstance(weights, dict):
        yield str(weights.get("Type", ""))


def _named(text: str) -> str | None:
    spelled = text.lower()
    for name, spellings in _SPELLINGS:
        if any(spelling in spelled for spelling in spellings):
            return name
    return None
