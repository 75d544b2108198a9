"""What a network wants to see: its input's size, type and axes from the file, colour and scale from its family."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.signature import HW, hw_text
from streamer.infer.spec import ColorOrder, ExtraInput, Fit, InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from streamer.infer.heads.family import Look
    from streamer.infer.signature import Port

    from .layers import Layers
    from .onnx_file import OnnxFacts

_log = logging.getLogger(__name__)

_NONE, _ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
DYNAMIC_BATCH = 8  # pictures at once when the file leaves it open
_MOST_FIXED = 64  # pictures at once that a file may ask for
DEFAULT_SIDE = 640  # px, of networks that leave their size open and say nothing of it
_LARGEST = 16384  # px of a side; the picture alone then takes gigabytes
_STEP = 32  # px, the coarsest stride of these families

# Inputs beside the picture, by the names that their exporters give them: what each row says. The picture is always
# the whole canvas, so each is the same for every picture; boxes come back in the canvas's px.
_EXTRAS: dict[str, Callable[[HW], tuple[float, ...]]] = {
    "orig_target_sizes": lambda hw: (hw[1], hw[0]),  # RT-DETR, D-FINE, DEIM: width, height, whatever its name suggests
    "image_shape": lambda hw: (hw[0], hw[1]),  # YOLOv3 of the ONNX Model Zoo
    "im_shape": lambda hw: (hw[0], hw[1]),  # PaddleDetection
    "scale_factor": lambda _: (1.0, 1.0),  # PaddleDetection: nothing was scaled
    "pixel_mask": lambda _: (1.0,),  # Hugging Face's DETR, a mask of any size: all of the canvas is picture
}
_MASKS = ("pixel_mask",)


@dataclass(frozen=True, slots=True)
class Axes:
    """The input as the file has it, its size decided."""

    port: Port
    layout: str  # nchw | nhwc
    hw: HW
    open_hw: bool  # whether file and everybody else leave the size open
    max_batch: int
    batched: bool
    fixed_batch: bool
    extras: tuple[ExtraInput, ...]


def read_axes(
    facts: OnnxFacts, layers: Layers, default_hw: HW = (DEFAULT_SIDE, DEFAULT_SIDE), *, step: int = _STEP
) -> Axes:
    """Read the one picture that a network takes, and what it wants to know beside it.

    Args:
        facts: of the file.
        layers: what is said of it.
        default_hw: px, where file and everybody leave the size open.
        step: px, of which an open size must be a multiple.

    Raises:
        BackendError: it takes no picture of three channels, or something that is not known here.
        ConfigError: a size that was asked for is not the network's.
    """
    port, others = _picture(facts)
    if port.dtype not in ("float32", "float16", "uint8"):
        raise BackendError(f"{facts.path}: its input is {port.dtype}; only float32, float16 and uint8 can be given")
    batched = port.rank == 4
    batch, *axes = port.shape if batched else (1, *port.shape)
    layout = "nchw" if axes[0] == 3 or 3 not in axes else "nhwc"
    sides = tuple(axes[1:3] if layout == "nchw" else axes[0:2])
    if batch is not None and batch > _MOST_FIXED:
        raise BackendError(f"{facts.path}: was exported for {batch} pictures at once; allowed are {_MOST_FIXED}")
    # An open batch axis whose outputs are fixed to one picture is open in name only.
    alone = not batched or (batch is None and any(output.shape[:1] == (1,) for output in facts.outputs))
    hw = _size(facts, layers, sides, default_hw=default_hw, step=step)
    return Axes(
        port=port,
        layout=layout,
        hw=hw,
        open_hw=None in sides and layers.first("size")[0] is None,
        max_batch=1 if alone else (batch or DYNAMIC_BATCH),
        batched=batched,
        fixed_batch=batch is not None and batch > 1,
        extras=tuple(_extra(p, hw) for p in others),
    )


def _extra(port: Port, hw: HW) -> ExtraInput:
    """Return what an input beside the picture is given; a mask whose size is open is as large as the picture."""
    axes = tuple(n or side for n, side in zip(port.shape[1:], hw, strict=True)) if port.name in _MASKS else (2,)
    return ExtraInput(name=port.name, dtype=port.dtype, row=_EXTRAS[port.name](hw), axes=axes)


def _picture(facts: OnnxFacts) -> tuple[Port, list[Port]]:
    """Return the input that takes the picture, and those whose values are known."""
    others = [port for port in facts.inputs if port.name in _EXTRAS]
    pictures = [port for port in facts.inputs if port.name not in _EXTRAS]
    if len(pictures) != 1:
        names = ", ".join(map(str, facts.inputs))
        raise BackendError(f"{facts.path}: has {len(facts.inputs)} inputs ({names}); only one picture can be given")
    port = pictures[0]
    channels = (port.shape[-3], port.shape[-1]) if port.rank in (3, 4) else ()
    # Hugging Face leaves the channels open too; all open is as PyTorch exports it, channels first.
    if 3 not in channels and not (channels and channels[0] is None):
        raise BackendError(f"{facts.path}: its input {port} is no batch of pictures with three channels")
    for other in others:
        shaped = other.rank == 3 if other.name in _MASKS else other.rank == 2 and other.shape[1] in (2, None)
        if not shaped or other.dtype not in ("float32", "int32", "int64"):
            wanted = "a mask" if other.name in _MASKS else "two numbers"
            raise BackendError(f"{facts.path}: its input {other} is not {wanted} for each picture")
    return port, others


def _size(facts: OnnxFacts, layers: Layers, sides: tuple[int | None, ...], *, default_hw: HW, step: int) -> HW:
    """Return (height, width): the file's own, or what is said where the file leaves it open."""
    for asked, layer in layers.all("size"):
        if layer.source in ("companion", "metadata"):  # they may speak of the training, not of this export
            continue
        hw = (asked, asked) if isinstance(asked, int) else tuple(asked)
        if any(own not in (None, side) for own, side in zip(sides, hw, strict=True)):
            own = " x ".join("?" if side is None else str(side) for side in sides)
            raise layer.fault(
                f"{facts.path}: {layer.where} says a size of {hw[0]} x {hw[1]}, its input is {own} (height x width)"
            )
    asked, layer = layers.first("size")
    default = (asked, asked) if isinstance(asked, int) else (asked or default_hw)
    height, width = (side or default[i] for i, side in enumerate(sides))
    if max(height, width) > _LARGEST:
        raise BackendError(
            f"{facts.path}: takes pictures of {hw_text((height, width))}; allowed are {_LARGEST} px a side"
        )
    if None in sides:
        if height % step or width % step:
            blamed = "the default" if asked is None else layer.where
            raise ConfigError(
                f"{facts.path}: {blamed} says a size of {height} x {width}; allowed are multiples of {step}"
            )
        if asked is None:
            _log.info("%s leaves its input size open: %s is used (`size`)", facts.path.name, hw_text((height, width)))
    return height, width


def input_spec(facts: OnnxFacts, axes: Axes, look: Look, layers: Layers) -> InputSpec:
    """Join the file's input with its family's look and what was said otherwise.

    Raises:
        ConfigError: something that was said is not allowed.
    """
    takes_bytes = axes.port.dtype == "uint8"  # whatever follows is inside the network
    color = _one_of(ColorOrder, layers, "color") or look.color
    fit = _one_of(Fit, layers, "fit") or look.fit
    scale, _ = layers.first("scale")
    mean = _per_channel(layers, "mean", _NONE if takes_bytes else look.mean)
    std = _per_channel(layers, "std", _ONES if takes_bytes else look.std)
    scale = (1.0 if takes_bytes else look.scale) if scale is None else float(scale)
    if not (math.isfinite(scale) and scale > 0):
        raise ConfigError(f"scale: {scale} is not allowed; it is a number above 0, such as 1/255")
    if 0.0 in std:
        raise ConfigError("std: 0 is not allowed")
    if takes_bytes and (scale, mean, std) != (1.0, _NONE, _ONES):
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
        batched=axes.batched,
        fixed_batch=axes.fixed_batch,
        extras=axes.extras,
    )


def _one_of(kind: type[Enum], layers: Layers, key: str) -> str | None:
    value, layer = layers.first(key)
    allowed = [member.value for member in kind]
    if value is not None and value not in allowed:
        raise ConfigError(f"{layer.where}: {key}: {value!r} is not known; allowed are {', '.join(allowed)}")
    return None if value is None else str(kind(value).value)


def _per_channel(layers: Layers, key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    value, layer = layers.first(key)
    if value is None:
        return default
    numbers = tuple(float(n) for n in value) if isinstance(value, (list, tuple)) else (float(value),) * 3
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{layer.where}: {key}: {value!r} is not allowed; it is one number, or one for each channel")
    return (numbers[0], numbers[1], numbers[2])
