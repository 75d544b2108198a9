"""What an engine is found by: everything that would make it another one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError

from .precision import converter, weight_files
from .recipe import OPTIMISATION_LEVEL, profile_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streamer.infer.spec import InputSpec, ModelSpec

    from .platform import EnginePlatform
    from .recipe import EngineRecipe

SCHEMA = 2  # of the parts; another one is another key
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineKey:
    """The parts of a key, and their sha256 (64 hex digits)."""

    parts: Mapping[str, Any]  # as JSON has them: names, never numbers that a version of TensorRT chose
    digest: str

    @property
    def max_batch(self) -> int:
        """Pictures at once."""
        return int(self.parts["build"]["max_batch"])

    @property
    def precision(self) -> str:
        """What was asked for: f32 | f16 | int8."""
        return str(self.parts["build"]["precision"])


def key_of(parts: Mapping[str, Any]) -> EngineKey:
    """Return the key of these parts."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return EngineKey(json.loads(canonical), hashlib.sha256(canonical.encode()).hexdigest())


def engine_key(spec: ModelSpec, recipe: EngineRecipe, platform: EnginePlatform) -> EngineKey:
    """Return the key of an engine.

    Left out are paths, times, the GPU's index and the driver's version: the same engine serves. The model stands in it
    as its file is, with what turns it into the file that TensorRT reads.

    Raises:
        ConfigError: the recipe does not suit the model.
        BackendError: the model's files can't be read.
    """
    return key_of(
        {
            "schema": SCHEMA,
            "model": model_part(spec.digest, spec.path),
            "inputs": {
                "profile": profile_of(spec.input, recipe.max_batch),
                "dtypes": {spec.input.name: spec.input.dtype, **{e.name: e.dtype for e in spec.input.extras}},
            },
            **platform_parts(platform),
            "build": {
                "precision": recipe.precision,
                "max_batch": recipe.max_batch,
                "typing": "strong",
                "converter": converter(recipe.precision),
                "calibration": None if recipe.calibration is None else calibration_part(spec.input, recipe.calibration),
                "flags": [],
                "optimisation_level": OPTIMISATION_LEVEL,
                "workspace_bytes": recipe.workspace,
                "hardware_compatibility": None,
                "plugins": [],
            },
        }
    )


def calibration_part(spec: InputSpec, canvases: str) -> dict[str, Any]:
    """Return the part that tells what 8-bit scales were measured on: the pictures, and the numbers made of them."""
    return {
        "canvases": canvases,
        "scale": float(spec.scale),
        "mean": [float(value) for value in spec.mean],
        "std": [float(value) for value in spec.std],
        "extras": {extra.name: [float(value) for value in extra.row] for extra in spec.extras},
    }


def measured_as(key: EngineKey, spec: InputSpec) -> bool:
    """Whether an engine's 8-bit scales, if it has any, were measured on such numbers as it will be fed."""
    known = key.parts["build"]["calibration"]
    return known is None or bool(known == calibration_part(spec, known["canvases"]))


def platform_parts(platform: EnginePlatform) -> dict[str, Any]:
    """Return the parts that tell where an engine runs."""
    major, minor = platform.compute_capability
    return {
        "tensorrt": {
            "version": platform.tensorrt,
            "cuda": platform.cuda,
            "os": platform.os,
            "machine": platform.machine,
        },
        "device": {
            "kind": "gpu",
            "name": platform.gpu,
            "compute_capability": f"{major}.{minor}",
            "multiprocessors": platform.multiprocessors,
        },
    }


def model_part(digest: str, path: Path) -> dict[str, Any]:
    """Return the part that tells the model: its digest (`sha256:...`), and those of the files that hold its weights.

    Raises:
        BackendError: one of them can't be read.
    """
    try:
        outside = {name: _sha256(path.parent / name) for name in weight_files(path)}
    except OSError as exc:
        raise BackendError(f"{exc.filename or path}: can't be read ({exc.strerror})") from exc
    return {"sha256": digest.removeprefix("sha256:"), "weights": outside}


def check_unchanged(spec: ModelSpec, key: EngineKey) -> None:
    """Check that a model's files are still those of a key.

    Raises:
        BackendError: they were changed, or can't be read.
    """
    try:
        now = model_part(_sha256(spec.path), spec.path)
    except OSError as exc:
        raise BackendError(f"{exc.filename or spec.path}: can't be read ({exc.strerror})") from exc
    if now != key.parts["model"]:
        raise BackendError(
            f"model {spec.name}: {spec.path} was changed after it was loaded; start again with the new one"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
