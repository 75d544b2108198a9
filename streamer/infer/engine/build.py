"""From a model to a stored engine: looked for, built by one process at a time, kept."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.pull_faults import disk_said

from .child import BuildBroke, run_child
from .job import CANVASES, PLAN, BuildJob, job_text
from .key import check_unchanged, engine_key
from .platform import this_platform
from .progress import Progress
from .recipe import OPTIMISATION_LEVEL, profile_of
from .stored import EngineDamaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.infer.spec import ModelSpec

    from .cache import EngineCache
    from .frames import Calibration
    from .key import EngineKey
    from .platform import EnginePlatform
    from .recipe import EngineRecipe
    from .stored import StoredEngine

BUILDER = "streamer.infer.backends.tensorrt.builder"
LIMIT_S = 2 * 3600.0  # the largest networks take most of an hour on the smallest Jetson


def build_engine(
    spec: ModelSpec,
    recipe: EngineRecipe,
    *,
    cache: EngineCache,
    calibration: Calibration | None,
    progress: Callable[[Progress], None],
    stopping: Callable[[], bool],
    limit_s: float = LIMIT_S,
) -> StoredEngine:
    """Return the engine of a recipe: the one that is kept, or a new one, built in a process of its own.

    Blocks for minutes. Ended at any point, it leaves no engine, and nothing else that the next build does not remove.
    Whoever else builds the same engine is waited for, and its engine taken.

    Args:
        spec: the model.
        recipe: what to build.
        cache: where engines are kept.
        calibration: int8 only: what `recipe.calibration` is the checksum of.
        progress: told how it goes on, on this thread.
        stopping: asked several times a second; once true, the build is ended.
        limit_s: after which a build hangs.

    Raises:
        BackendError: it can't be built here; one sentence says why.
        ConfigError: the recipe does not suit the model, the calibration or the machine.
        BuildStopped: `stopping` said so.
    """
    if recipe.calibration != (None if calibration is None else calibration.sha256):
        raise ConfigError("calibration: the pictures are not those that the recipe names")
    progress(Progress(phase="start"))
    platform = this_platform(recipe.device)
    key = engine_key(spec, recipe, platform)
    with cache.building(key, stopping=stopping, waiting=lambda: progress(Progress(phase="wait"))) as folder:
        found = _whole(cache, key)
        if found is not None:
            return found
        check_unchanged(spec, key)  # the builder reads the file anew, now and not when the spec was made
        timing = cache.folder / _timing_name(platform)
        job = _job(spec, recipe, folder, timing)
        if calibration is not None:
            _keep(calibration, folder)
        started_s = time.monotonic()
        try:
            told = run_child(BUILDER, job_text(job), progress=progress, stopping=stopping, limit_s=limit_s)
        except BackendError as exc:
            if isinstance(exc, BuildBroke):  # what it was fed of earlier builds may be why: the next one does without
                timing.unlink(missing_ok=True)
            raise BackendError(f"model {spec.name}: no {recipe.precision} engine: {exc}") from exc
        check_unchanged(spec, key)
        return cache.adopt(key, folder / PLAN, _facts(told, spec, key, seconds=time.monotonic() - started_s))


def _whole(cache: EngineCache, key: EngineKey) -> StoredEngine | None:
    """Return the engine that is kept, if every byte of it is what was built; one that is not is set aside."""
    found = cache.find(key)
    if found is None:
        return None
    try:
        found.read()
    except EngineDamaged as exc:
        cache.set_aside(found, str(exc))
        return None
    return found


def _job(spec: ModelSpec, recipe: EngineRecipe, folder: Path, timing_cache: Path) -> BuildJob:
    return BuildJob(
        parent=os.getpid(),
        model=str(Path(spec.path).absolute()),
        folder=str(folder.absolute()),
        timing_cache=str(timing_cache.absolute()),
        precision=recipe.precision,
        input=spec.input,
        profile=profile_of(spec.input, recipe.max_batch),
        workspace_bytes=recipe.workspace,
        optimisation_level=OPTIMISATION_LEVEL,
        device=recipe.device,
        calibrated=recipe.calibration is not None,
    )


def _keep(calibration: Calibration, folder: Path) -> None:
    """Write the canvases as numpy does; its own way of writing forgets why it failed.

    Raises:
        BackendError: the folder can't be written.
    """
    canvases = np.ascontiguousarray(calibration.canvases)
    try:
        with (folder / CANVASES).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(canvases))
            file.write(canvases.data)
    except OSError as exc:
        raise BackendError(f"engine cache {disk_said(folder, exc)}") from exc


def _facts(told: dict[str, Any], spec: ModelSpec, key: EngineKey, *, seconds: float) -> dict[str, Any]:
    return {
        "model": spec.name,
        "precision": key.precision,
        "max_batch": key.max_batch,
        "built_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "build_seconds": round(seconds, 1),
        "proof": None,
        **told,
    }


def _timing_name(platform: EnginePlatform) -> str:
    """Return the file that keeps what was measured of layers: of one TensorRT and one GPU."""
    major, minor = platform.compute_capability
    named = f"{platform.tensorrt}-cu{platform.cuda}-{platform.gpu}-{major}{minor}-{platform.multiprocessors}"
    return f"timing-{re.sub(r'[^A-Za-z0-9.]+', '-', named)}.cache"
