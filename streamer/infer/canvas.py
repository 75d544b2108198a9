"""The canvases that an input is drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.frame import PixelFormat
from streamer.pixels.convert import Canvases
from streamer.pixels.fit import Place, crop, letterbox, letterbox_topleft, stretch

from .spec import ColorOrder, Fit

if TYPE_CHECKING:
    from .spec import InputSpec

_PLACES: dict[Fit, Place] = {
    Fit.LETTERBOX: letterbox,
    Fit.LETTERBOX_TOPLEFT: letterbox_topleft,
    Fit.STRETCH: stretch,
    Fit.CROP: crop,
}


def open_canvases(spec: InputSpec) -> Canvases:
    """Allocate what pictures are drawn on for this input."""
    order = PixelFormat.RGB if spec.color is ColorOrder.RGB else PixelFormat.BGR
    return Canvases(
        hw=spec.hw,
        order=order,
        place=_PLACES[spec.fit],
        pad=spec.pad,
        max_batch=spec.max_batch,
        always_all=spec.fixed_batch,
    )
