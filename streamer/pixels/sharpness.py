"""How sharp a part of a picture is: which of two views of an object shows more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from streamer.core.frame import Picture, PixelFormat

from .crop import cropped

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture

    from .crop import Part

_CELLS = 64  # each way: enough to tell a blurred view from a sharp one
_SAMPLES = 2 * _CELLS  # each way: of a larger part so many pixels are looked at; averaging all takes five times as long


def sharpness(picture: AnyPicture, part: Part) -> float:
    """Return the variance of the Laplacian of the luma, for parts of any size at the same small one.

    The focus measure LAPV of Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000). What is
    compared are views of one object: between two objects, or two scenes, the number means nothing.

    Args:
        picture: whose part it is.
        part: x1 y1 x2 y2, px, as `cropped` takes it.

    Raises:
        BackendError: the picture is in the memory of a GPU that failed.
        ValueError: the part is not one of the picture.
    """
    luma = _sampled_luma(cropped(picture, part))
    way = cv2.INTER_AREA if min(luma.shape) >= _CELLS else cv2.INTER_LINEAR
    small = cv2.resize(luma, (_CELLS, _CELLS), interpolation=way)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def _sampled_luma(picture: AnyPicture) -> Any:  # noqa: ANN401  OpenCV's stubs want its own array type
    """Return the luma, at most `_SAMPLES` each way; of a GPU's memory hardly more rows are copied than that."""
    every = max(1, picture.height // _SAMPLES)
    if isinstance(picture, Picture):
        rows = picture.planes[0][::every]
    else:
        from .device import luma_rows  # noqa: PLC0415  nothing of a GPU is loaded where there is none

        rows = luma_rows(picture, (picture.height, picture.width), every)
    wh = min(rows.shape[1], _SAMPLES), min(rows.shape[0], _SAMPLES)
    samples = cv2.resize(rows, wh, interpolation=cv2.INTER_NEAREST)
    match picture.format:
        case PixelFormat.BGR:
            return cv2.cvtColor(samples, cv2.COLOR_BGR2GRAY)
        case PixelFormat.RGB:
            return cv2.cvtColor(samples, cv2.COLOR_RGB2GRAY)
    return samples
