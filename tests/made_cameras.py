"""Cameras as a configuration describes them, and what is known of the models that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.infer.spec import Activation, ColorOrder, Fit, InputSpec, ModelSpec, Scoring, Task
from streamer.settings import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.settings import Camera

_INPUT = InputSpec(
    name="images", hw=(32, 32), color=ColorOrder.RGB, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    fit=Fit.STRETCH, pad=114, layout="nchw", dtype="float32", max_batch=8,
)  # fmt: skip


def _spec(name: str, labels: tuple[str, ...], thresholds: tuple[float, ...] | None = None) -> ModelSpec:
    """Return a detector's spec, or a classifier's where thresholds are given: none for one class of all."""
    scoring = None
    if thresholds is not None:
        activation = Activation.SIGMOID if thresholds else Activation.SOFTMAX
        scoring = Scoring(activation=activation, thresholds=thresholds, reason="a test's")
    return ModelSpec(
        name=name,
        path=Path(f"{name}.onnx"),
        digest="sha256:0",
        task=Task.DETECT if scoring is None else Task.CLASSIFY,
        head="v8" if scoring is None else "classifier",
        labels=labels,
        input=_INPUT,
        output_names=("output0",),
        decided_by="sidecar",
        scoring=scoring,
    )


SPECS = {
    "net": _spec("net", ("Person", "Car", "Short circuit", "Scratch")),
    "kind": _spec("kind", ("Box", "Paper bag"), ()),
    "flaws": _spec("flaws", ("dent", "stain", "crack"), (0.5, 0.6, 0.7)),
}


def made_camera(text: str, *, source: str = "rtsp://192.0.2.1/x") -> Camera:
    """Return the camera `cam` with these keys."""
    return made_cameras(cam=f"{{source: '{source}', {text}}}")["cam"]


def made_cameras(**texts: str) -> Mapping[str, Camera]:
    """Return cameras, each with the keys of a flow mapping."""
    models = "models: {net: {model: net.onnx}, kind: {model: kind.onnx}, flaws: {model: flaws.onnx}}\n"
    lines = "".join(f"  {name}: {text}\n" for name, text in texts.items())
    return parse(f"{models}cameras:\n{lines}".encode(), file=Path("/c.yaml"), environ={}).settings.cameras


def made_frame(seq: int = 0, *, camera: str = "cam", at_ns: int = 0, live: bool = True) -> Frame:
    """Return a small grey frame in which much can be seen, and something new in each."""
    info = FrameInfo(
        camera=camera, connection=0, seq=seq, captured_ns=at_ns, utc_ns=at_ns, width=64, height=48, live=live
    )
    luma = np.random.default_rng(seq).integers(40, 220, (48, 64), dtype=np.uint8)
    return Frame(info=info, picture=Picture(format=PixelFormat.GRAY, planes=(luma,), width=64, height=48))
