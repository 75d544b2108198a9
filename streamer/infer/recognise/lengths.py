"""Axes whose lengths a file leaves open although they never change: two runs of the network tell them."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import StreamerError
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import open_backend
from streamer.infer.canvas import open_canvases
from streamer.infer.heads.family import ULTRALYTICS
from streamer.pixels.convert import picture_of_bgr

from .inputs import input_spec, read_axes
from .trial import trial_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.infer.signature import Port
    from streamer.infer.spec import InputSpec

    from .inputs import Axes
    from .layers import Layers
    from .onnx_file import OnnxFacts

_log = logging.getLogger(__name__)

_NUMBERS = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")


def with_lengths(facts: OnnxFacts, layers: Layers) -> OnnxFacts:
    """Fill in the open axes of the outputs that are as long on grey as on a real picture.

    An axis that counts what is found stays open, and so does a first axis that counts the pictures. A network that
    can't be run is judged by what its file says: whatever keeps it from running is said when it is used.
    """
    try:
        axes = read_axes(facts, layers)
        wanted = [port for port in facts.outputs if port.dtype in _NUMBERS and None in _own_axes(port, axes)]
        if not wanted:
            return facts
        found = _lengths(facts, wanted, input_spec(facts, axes, ULTRALYTICS, layers))
    except StreamerError as exc:
        _log.debug("%s: its open axes stay open (%s)", facts.path.name, exc)
        return facts
    filled = {port.name: _filled(port, lengths, axes) for port, lengths in zip(wanted, found, strict=True)}
    return replace(facts, outputs=tuple(filled.get(port.name, port) for port in facts.outputs))


def _own_axes(port: Port, axes: Axes) -> tuple[int | None, ...]:
    """Return the axes that do not count the pictures, as an open first one does where their number is open."""
    return port.shape[1:] if axes.max_batch > 1 or _open_batch(axes) else port.shape


def _open_batch(axes: Axes) -> bool:
    return axes.batched and axes.port.shape[0] is None


def _lengths(facts: OnnxFacts, ports: Sequence[Port], spec: InputSpec) -> list[tuple[int | None, ...]]:
    """Return how long each axis of each output is; None: that depends on what is seen."""
    names = tuple(port.name for port in ports)
    options = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
    pictures = spec.max_batch if spec.fixed_batch else 1
    shown = (np.full((*spec.hw, 3), spec.pad, np.uint8), trial_picture())
    shapes = []
    with contextlib.closing(
        open_backend("onnxruntime", str(facts.path), input_spec=spec, output_names=names, options=options)
    ) as backend:
        for picture in shown:
            canvases, _ = open_canvases(spec).fill([picture_of_bgr(picture)] * pictures)
            shapes.append([output.shape for output in backend.collect(backend.submit(canvases))])
    return [
        tuple(a if a == b and a > 0 else None for a, b in zip(grey, seen, strict=True))
        for grey, seen in zip(*shapes, strict=True)
    ]


def _filled(port: Port, lengths: tuple[int | None, ...], axes: Axes) -> Port:
    if len(lengths) != port.rank:
        return port
    filled = [own or found for own, found in zip(port.shape, lengths, strict=True)]
    if port.rank and port.shape[0] is None and (_open_batch(axes) or filled[0] == axes.max_batch > 1):
        filled[0] = None
    return replace(port, shape=tuple(filled))
