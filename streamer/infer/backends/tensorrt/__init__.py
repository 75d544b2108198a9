"""TensorRT: engines that were built before, found in the cache and run. Imported only when it is chosen."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.cuda.open import open_gpu
from streamer.infer.backends.base import EngineMissing
from streamer.infer.catalogue import cache_folder
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.stored import EngineDamaged

from .backend import TensorRtBackend
from .engine import PlanRefused, load_engine
from .runtime import load_runtime
from .session import Session, SessionPlan

if TYPE_CHECKING:
    from types import ModuleType

    from streamer.infer.backends.base import Backend, BackendOptions
    from streamer.infer.engine.stored import StoredEngine
    from streamer.infer.spec import InputSpec

    from .engine import Engine

__all__ = ["TensorRtBackend", "open_engine", "open_tensorrt"]

PRECISIONS = ("f32", "f16", "int8")
_BLOCK = 1 << 20


def open_tensorrt(path: str, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions) -> Backend:
    """Open the engine that was built of a model file for this GPU and this TensorRT.

    Raises:
        EngineMissing: there is no such engine.
        BackendError: TensorRT, pycuda or the GPU is missing, or it can't be run here.
    """
    file = Path(path)
    if options.precision not in PRECISIONS:
        raise BackendError(f"precision: tensorrt computes in {', '.join(PRECISIONS)}, not {options.precision}")
    load_runtime()
    open_gpu(options.device)
    stored = EngineCache(cache_folder(os.environ) / "tensorrt").find_model(
        _digest(file),
        file,
        precision=options.precision,
        platform=this_platform(options.device),
        max_batch=input_spec.max_batch,
        fed=input_spec,
    )
    if stored is None:
        raise EngineMissing(
            f"no engine of {file.name} in {options.precision} for this GPU and TensorRT is built; "
            f"`streamer models build {file} --precision {options.precision}` builds one"
        )
    return open_engine(stored, input_spec, output_names, options, name=file.name)


def open_engine(
    engine: StoredEngine,
    input_spec: InputSpec,
    output_names: tuple[str, ...],
    options: BackendOptions,
    *,
    name: str = "",
) -> TensorRtBackend:
    """Open an engine of the cache.

    Args:
        engine: which.
        input_spec: how it is fed.
        output_names: what it answers, in the order that its head wants.
        options: device, precision, what may be left out.
        name: of the model, for messages; without it as the engine's facts say.

    Raises:
        BackendError: TensorRT, pycuda or the GPU is missing, memory is short, or the engine can't be read: it is then
            set aside, so that the next build makes it anew.
    """
    trt, gpu = load_runtime(), open_gpu(options.device)
    name = name or str(engine.facts.get("model") or f"engine {engine.key.digest[:12]}")
    plan = SessionPlan(trt=trt, name=name, input_spec=input_spec, output_names=output_names, pick=options.pick)
    try:
        with gpu.current():
            session = Session(gpu, _loaded(trt, engine, plan), plan)
    except BackendError as exc:
        raise BackendError(f"{name}: {exc}") from exc
    return TensorRtBackend(session, input_spec=input_spec, options=options)


def _loaded(trt: ModuleType, stored: StoredEngine, plan: SessionPlan) -> Engine:
    """Load an engine and check that it is one of the model.

    Raises:
        BackendError: memory is short, or it can't be used and has been set aside.
    """
    try:
        engine = load_engine(trt, stored.read())
        try:
            engine.check(plan.input_spec, plan.output_names)
        except BaseException:
            engine.close()
            raise
    except (EngineDamaged, PlanRefused) as exc:
        EngineCache(stored.plan_path.parent).set_aside(stored, str(exc))
        raise BackendError(f"it can't be read and is set aside, build it anew ({exc})") from exc
    return engine


def _digest(path: Path) -> str:
    """Return the checksum of a model file, as specs have it.

    Raises:
        BackendError: it can't be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as exc:
        raise BackendError(f"{path}: can't be read ({exc.strerror})") from exc
    return f"sha256:{digest.hexdigest()}"
