"""How sharp a part of a picture is: which of two views of an object shows more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from .crop import cropped
from .luma import small_luma

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture

    from .crop import Part

_CELLS = 64  # each way: enough to tell a blurred view from a sharp one, and 4096 numbers to look at


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
    seen = cropped(picture, part)
    luma = small_luma(seen, max(1, min(seen.width, seen.height) // _CELLS))
    shrinks = min(luma.shape) >= _CELLS
    small = cv2.resize(luma, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2
