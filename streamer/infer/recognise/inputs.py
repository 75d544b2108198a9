"""What a network wants to see: its input's size, type and axes from the file, colour and scale from its family."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.spec import ColorOrder, Fit, InputSpec

from .layout import hw_text, shape_text

if TYPE_CHECKING:
    from enum import Enum

    from .layers import Layers
    from .layout import HW
    from .onnx_file import OnnxFacts, Port

_log = logging.getLogger(__name__)

DYNAMIC_BATCH = 8  # pictures at once when the file leaves it open
DEFAULT_SIDE = 640  # px, of networks that leave their size open and say nothing of it
_STEP = 32  # px, the coarsest stride of these families


@dataclass(frozen=True, slots=True)
class Look:
    """How a family of networks was trained to see."""

    color: ColorOrder
    scale: float
    fit: Fit
    pad: int = 114


_ULTRALYTICS = Look(ColorOrder.RGB, 1 / 255, Fit.LETTERBOX)
_YOLOX = Look(ColorOrder.BGR, 1.0, Fit.LETTERBOX_TOPLEFT)
LOOKS = {"v8": _ULTRALYTICS, "v5": _ULTRALYTICS, "end2end": _ULTRALYTICS, "yolox": _YOLOX, "yolox-decoded": _YOLOX}


@dataclass(frozen=True, slots=True)
class Axes:
    """The input as the file has it, its size decided."""

    port: Port
    layout: str  # nchw | nhwc
    hw: HW
    max_batch: int


def read_axes(facts: OnnxFacts, layers: Layers) -> Axes:
    """Read the one input of a network.

    Raises:
        BackendError: it is not one picture of three channels.
        ConfigError: a size that was asked for is not the network's.
    """
    if len(facts.inputs) != 1:
        names = ", ".join(shape_text(port) for port in facts.inputs)
        raise BackendError(f"{facts.path}: has {len(facts.inputs)} inputs ({names}); only one picture can be given")
    port = facts.inputs[0]
    if len(port.shape) != 4 or 3 not in (port.shape[1], port.shape[3]):
        raise BackendError(f"{facts.path}: its input {shape_text(port)} is no batch of pictures with three channels")
    if port.dtype not in ("float32", "float16", "uint8"):
        raise BackendError(f"{facts.path}: its input is {port.dtype}; only float32, float16 and uint8 can be given")
    layout = "nchw" if port.shape[1] == 3 else "nhwc"
    sides = port.shape[2:4] if layout == "nchw" else port.shape[1:3]
    batch = port.shape[0]
    if batch not in (None, 1):
        raise BackendError(
            f"{facts.path}: was exported for {batch} pictures at once; export it for 1, or for any number"
        )
    fixed_out = any(output.shape[:1] == (1,) for output in facts.outputs)
    return Axes(port, layout, _size(facts, layers, sides), 1 if batch == 1 or fixed_out else DYNAMIC_BATCH)


def _size(facts: OnnxFacts, layers: Layers, sides: tuple[int | None, ...]) -> HW:
    """Return (height, width): the file's own, or what is said where the file leaves it open."""
    for asked, layer in layers.all("size"):
        hw = (asked, asked) if isinstance(asked, int) else tuple(asked)
        if any(own not in (None, side) for own, side in zip(sides, hw, strict=True)):
            own = " x ".join("?" if side is None else str(side) for side in sides)
            raise layer.fault(
                f"{facts.path}: {layer.where} says a size of {hw[0]} x {hw[1]}, its input is {own} (height x width)"
            )
    asked, layer = layers.first("size")
    default = (asked, asked) if isinstance(asked, int) else (asked or (DEFAULT_SIDE, DEFAULT_SIDE))
    height, width = (side or default[i] for i, side in enumerate(sides))
    if None in sides:
        if height % _STEP or width % _STEP:
            blamed = "the default" if asked is None else layer.where
            raise ConfigError(
                f"{facts.path}: {blamed} says a size of {height} x {width}; allowed are multiples of {_STEP}"
            )
        if asked is None:
            _log.info("%s leaves its input size open: %s is used (`size`)", facts.path.name, hw_text((height, width)))
    return height, width


def input_spec(facts: OnnxFacts, axes: Axes, head: str, layers: Layers) -> InputSpec:
    """Join the file's input with its family's look and what was said otherwise.

    Raises:
        ConfigError: something that was said is not allowed.
    """
    look = LOOKS[head]
    takes_bytes = axes.port.dtype == "uint8"  # whatever follows is inside the network
    color = _one_of(ColorOrder, layers, "color") or look.color
    fit = _one_of(Fit, layers, "fit") or look.fit
    scale, _ = layers.first("scale")
    mean, std = _per_channel(layers, "mean", 0.0), _per_channel(layers, "std", 1.0)
    scale = (1.0 if takes_bytes else look.scale) if scale is None else float(scale)
    if not (math.isfinite(scale) and scale > 0):
        raise ConfigError(f"scale: {scale} is not allowed; it is a number above 0, such as 1/255")
    if 0.0 in std:
        raise ConfigError("std: 0 is not allowed")
    if takes_bytes and (scale, mean, std) != (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
        raise ConfigError(f"{facts.path}: takes 8-bit pixels as they are; scale, mean and std can't be given")
    pad, _ = layers.first("pad")
    pad = look.pad if pad is None else pad
    if not 0 <= pad <= 255:
        raise ConfigError(f"pad: {pad} is not allowed; it is 0 to 255")
    return InputSpec(
        name=axes.port.name,
        hw=axes.hw,
        color=ColorOrder(color),
        scale=scale,
        mean=mean,
        std=std,
        fit=Fit(fit),
        pad=pad,
        layout=axes.layout,
        dtype=axes.port.dtype,
        max_batch=axes.max_batch,
    )


def _one_of(kind: type[Enum], layers: Layers, key: str) -> str | None:
    value, layer = layers.first(key)
    allowed = [member.value for member in kind]
    if value is not None and value not in allowed:
        raise ConfigError(f"{layer.where}: {key}: {value!r} is not known; allowed are {', '.join(allowed)}")
    return None if value is None else str(kind(value).value)


def _per_channel(layers: Layers, key: str, default: float) -> tuple[float, float, float]:
    value, layer = layers.first(key)
    if value is None:
        return (default, default, default)
    numbers = tuple(float(n) for n in value) if isinstance(value, (list, tuple)) else (float(value),) * 3
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{layer.where}: {key}: {value!r} is not allowed; it is one number, or one for each channel")
    return (numbers[0], numbers[1], numbers[2])
