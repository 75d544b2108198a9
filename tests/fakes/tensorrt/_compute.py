"""What an engine computes: its ONNX, by ONNX Runtime, with the errors that a test wishes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ._dims import nptype
from ._enums import DataType
from ._faults import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._plan import Plan

Computed = NDArray[Any]


@functools.lru_cache(maxsize=8)
def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    if b"QuantizeLinear" in model:  # optimised, ONNX Runtime 1.31 computes wrong numbers from f16 between 8-bit layers
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compute(plan: Plan, inputs: Mapping[str, Computed]) -> dict[str, Computed]:
    """Return output name -> values."""
    names = [t.name for t in plan.outputs]
    values = _session(plan.onnx).run(names, dict(inputs))
    part = faults().noise_of(plan.precision)
    return {name: _off(value, part) for name, value in zip(names, values, strict=True)}


def _off(value: Computed, part: float) -> Computed:
    if not part or value.dtype.kind != "f":
        return value
    draws = np.random.default_rng(7).standard_normal(value.shape)  # the same in each run, as a miscompiled engine is
    return (value + part * float(value.std()) * draws).astype(value.dtype)


_SHAPES: dict[tuple[int, tuple[tuple[str, tuple[int, ...]], ...]], dict[str, tuple[int, ...]]] = {}


def output_shapes(plan: Plan, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return output name -> shape for inputs of these shapes; -1 where only the run tells."""
    static = {t.name: t.shape for t in plan.outputs if t.shape is not None and -1 not in t.shape}
    if len(static) == len(plan.outputs) and not plan.data_dependent:
        return static
    key = (hash(plan.onnx), tuple(sorted(shapes.items())))
    if key not in _SHAPES:
        ones = {t.name: np.ones(shapes[t.name], nptype(DataType[t.dtype])) for t in plan.inputs}
        names = [t.name for t in plan.outputs]
        values = _session(plan.onnx).run(names, ones)
        _SHAPES[key] = {name: value.shape for name, value in zip(names, values, strict=True)}
    return {
        t.name: tuple(t.shape) if t.name in plan.data_dependent and t.shape is not None else _SHAPES[key][t.name]
        for t in plan.outputs
    }
