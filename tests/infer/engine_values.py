"""Values for the tests of engines: a platform, inputs, models."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.infer.catalogue import open_catalogue
from streamer.infer.engine.platform import EnginePlatform
from streamer.infer.recognise import load_spec
from streamer.infer.spec import ColorOrder, ExtraInput, Fit, InputSpec

if TYPE_CHECKING:
    from streamer.infer.spec import ModelSpec

PLATFORM = EnginePlatform(
    tensorrt="10.3.0", cuda=12, os="linux", machine="aarch64", gpu="Orin", compute_capability=(8, 7), multiprocessors=8
)
EXTRA = ExtraInput(name="orig_target_sizes", dtype="int64", row=(640.0, 480.0))


def input_of(**changes: Any) -> InputSpec:  # noqa: ANN401  fields of InputSpec
    plain = InputSpec(
        name="images", hw=(480, 640), color=ColorOrder.RGB, scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
        fit=Fit.LETTERBOX, pad=114, layout="nchw", dtype="float32", max_batch=8,
    )  # fmt: skip
    return replace(plain, **changes)


@cache
def shapes() -> ModelSpec:
    """Return the project's own small detector: 320x192, 1 to 8 pictures at once."""
    return load_spec("shapes", catalogue=open_catalogue({"STREAMER_CACHE": str(Path(__file__).parent)}))
