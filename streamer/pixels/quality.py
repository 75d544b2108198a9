"""Whether a picture can be judged at all: how bright and how sharp it is, and whether it was seen before."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.frame import ColorRange, PixelFormat

from .luma import small_luma

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture

_CELLS = 480  # along the longer side: about what a network sees; finer than that, noise looks sharp
_BLACK, _WHITE = 16, 235  # of a limited range
_LEAST_VARIANCE = 1.0  # levels^2: a picture of one colour has nothing that could be sharp


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What a picture's luma tells of it."""

    brightness: float  # mean, 0 (black) .. 1 (white)
    sharpness: float  # variance of the Laplacian over the variance of the luma: the light does not change it
    fingerprint: int  # the same for the same picture; another for another, but for one in 4 billion


def quality(picture: AnyPicture) -> Quality:
    """Look at a picture's luma.

    Raises:
        BackendError: the picture is in the memory of a GPU that failed.
    """
    luma = small_luma(picture, max(1, round(max(picture.width, picture.height) / _CELLS)))
    (mean,), (deviation,) = (values.ravel() for values in cv2.meanStdDev(luma))
    laplacian = cv2.Laplacian(luma, cv2.CV_16S)
    edges = float(cv2.meanStdDev(laplacian)[1][0, 0])
    black, white = _span(picture)
    return Quality(
        brightness=float(np.clip((mean - black) / (white - black), 0.0, 1.0)),
        sharpness=edges**2 / max(deviation**2, _LEAST_VARIANCE),
        fingerprint=zlib.crc32(luma),
    )


def _span(picture: AnyPicture) -> tuple[int, int]:
    """Return the levels of black and white."""
    packed = picture.format in (PixelFormat.BGR, PixelFormat.RGB)
    return (0, 255) if packed or picture.range is ColorRange.FULL else (_BLACK, _WHITE)
