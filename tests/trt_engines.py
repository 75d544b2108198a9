"""Engines for tests, built by the fake TensorRT in this process: to build in a child is another test's matter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.tensorrt import open_engine
from streamer.infer.backends.tensorrt.runtime import load_runtime, logger
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.recipe import EngineRecipe, profile_of
from streamer.infer.spec import ColorOrder, Fit, InputSpec, ModelSpec, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.infer.backends.base import Pick
    from streamer.infer.backends.tensorrt import TensorRtBackend
    from streamer.infer.engine.stored import StoredEngine


def set_faults(**faults: Any) -> None:  # noqa: ANN401  as the fake's `Faults` takes them
    """Set what TensorRT gets wrong from now on, and its version. Only where `fake_gpu` is."""
    import tensorrt  # noqa: PLC0415  there only while the fixture is
    from tensorrt import _faults  # noqa: PLC0415

    now = _faults.Faults(**faults)
    _faults.set_faults(now)
    tensorrt.__version__ = now.version


def input_of(hw: tuple[int, int] = (8, 12), max_batch: int = 1, dtype: str = "float32") -> InputSpec:
    """A plain input: `images`, NCHW, levels of 0..1."""
    return InputSpec(
        name="images",
        hw=hw,
        color=ColorOrder.RGB,
        scale=1 / 255,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        fit=Fit.STRETCH,
        pad=114,
        layout="nchw",
        dtype=dtype,
        max_batch=max_batch,
    )


def spec_of(path: Path, entry: InputSpec, outputs: tuple[str, ...], *, head: str = "v8", classes: int = 2) -> ModelSpec:
    return ModelSpec(
        name=path.stem,
        path=path,
        digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        task=Task.DETECT,
        head=head,
        labels=tuple(f"class{i}" for i in range(classes)),
        input=entry,
        output_names=outputs,
        decided_by="options",
    )


def store_engine(folder: Path, spec: ModelSpec, precision: str = "f32", onnx: Path | None = None) -> StoredEngine:
    """Build an engine and put it into the cache in `folder`/tensorrt.

    Args:
        folder: of the cache.
        spec: the model.
        precision: that the key tells.
        onnx: the file to build from, if it is not the model's own.
    """
    trt = load_runtime()
    builder = trt.Builder(logger())
    eleven = trt.__version__.startswith("11.")
    network = builder.create_network(0 if eleven else 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger())
    assert parser.parse_from_file(str(onnx or spec.path)), parser.get_error(0)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    for name, shapes in profile_of(spec.input, spec.input.max_batch).items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, list(logger().tail)
    cache = EngineCache(folder / "tensorrt")
    key = engine_key(spec, EngineRecipe(precision=precision, max_batch=spec.input.max_batch), this_platform(0))
    with cache.building(key):
        return cache.store(key, bytes(plan), {"built_at": "2026-11-21T12:00:00Z"})


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A backend, and what it was opened of."""

    spec: ModelSpec
    stored: StoredEngine
    backend: TensorRtBackend


def open_built(
    folder: Path, spec: ModelSpec, *, pick: Pick | None = None, on_ready: Callable[[], None] = lambda: None
) -> Opened:
    """Build and open an engine in f32."""
    stored = store_engine(folder, spec)
    options = BackendOptions(precision="f32", latency=False, threads=0, on_ready=on_ready, pick=pick)
    backend = open_engine(stored, spec.input, spec.output_names, options, name=spec.name)
    return Opened(spec=spec, stored=stored, backend=backend)
