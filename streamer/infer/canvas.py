"""The canvases that an input is drawn on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from streamer.core.frame import PixelFormat
from streamer.pixels.convert import Canvases
from streamer.pixels.fit import Place, crop, letterbox, letterbox_topleft, stretch, stretch_crop

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
        place=_place(spec),
        pad=spec.pad,
        max_batch=spec.max_batch,
        always_all=spec.fixed_batch,
        area=spec.area,
    )


def _place(spec: InputSpec) -> Place:
    if spec.resize is None:
        return _PLACES[spec.fit]
    return partial(crop if spec.fit is Fit.CROP else stretch_crop, resize=spec.resize)
