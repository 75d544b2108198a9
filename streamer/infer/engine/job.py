"""What the process that builds an engine is told, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from streamer.infer.spec import ColorOrder, ExtraInput, Fit, InputSpec

if TYPE_CHECKING:
    from .recipe import Profile

PLAN, CANVASES = "plan", "canvases.npy"  # files in the folder


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """One engine to build."""

    parent: int  # process id of who asks: the builder ends with it
    model: str  # path of the .onnx
    folder: str  # where the plan and all in between go
    timing_cache: str  # path; it need not exist
    precision: str
    input: InputSpec
    profile: Profile
    workspace_bytes: int
    optimisation_level: int
    device: int
    calibrated: bool  # whether `CANVASES` lie in the folder


def job_text(job: BuildJob) -> str:
    """Return the job as JSON, on one line."""
    return json.dumps(asdict(job))


def read_job(said: str) -> BuildJob:
    """Return what `job_text` wrote."""
    told: dict[str, Any] = json.loads(said)
    profile = {
        name: (tuple(least), tuple(best), tuple(most)) for name, (least, best, most) in told.pop("profile").items()
    }
    return BuildJob(**{**told, "input": _input_of(told["input"]), "profile": profile})


def _input_of(told: dict[str, Any]) -> InputSpec:
    extras = tuple(
        ExtraInput(**{**extra, "row": tuple(extra["row"]), "axes": tuple(extra["axes"])}) for extra in told["extras"]
    )
    return InputSpec(
        **{
            **told,
            "hw": tuple(told["hw"]),
            "color": ColorOrder(told["color"]),
            "fit": Fit(told["fit"]),
            "mean": tuple(told["mean"]),
            "std": tuple(told["std"]),
            "extras": extras,
        }
    )
