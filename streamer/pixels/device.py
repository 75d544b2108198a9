"""Pictures in a GPU's memory: how the GPU draws them, and how they come to the CPU where it must look at them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import ColorRange, Picture, PixelFormat
from streamer.cuda.draw import Drawing
from streamer.cuda.open import open_gpu

from .color import yuv_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import DevicePicture

    from .fit import HW, Placement

_NO_COLOR = (0.0,) * 12  # a canvas has the network's colours already
_TOP_LEVEL = 1023  # of ten bits
# The kernel takes a quarter of each ten-bit sample. Limited ranges are as wide as that; but the top of the full one
# is 1023, not 4 * 255.
_TEN_FULL = 1020 / 1023


def drawing_of(picture: DevicePicture, placement: Placement, order: PixelFormat) -> Drawing:
    """Return how the GPU draws a picture onto its place of the network's input.

    Args:
        picture: NV12 or P010.
        placement: where it goes.
        order: RGB or BGR, the network's channels.

    Raises:
        ValueError: the picture or the order is of another format.
    """
    ten_bits = _samples(picture).itemsize == 2
    weights = yuv_weights(picture.matrix, picture.range, order)
    if ten_bits and picture.range is ColorRange.FULL:
        weights = weights * _TEN_FULL
    return Drawing(
        pixels="p010" if ten_bits else "nv12",
        pointers=picture.pointers,
        pitches=picture.pitches,
        frame_hw=(picture.height, picture.width),
        size_hw=placement.size_hw,
        top=placement.top,
        left=placement.left,
        weights=tuple(float(weight) for weight in weights.ravel()),
    )


def drawing_of_canvas(pointer: int, hw: HW) -> Drawing:
    """Return how the GPU draws a canvas that the CPU drew: (H, W, 3) uint8 at a device address, without padding."""
    return Drawing(
        pixels="packed",
        pointers=(pointer,),
        pitches=(3 * hw[1],),
        frame_hw=hw,
        size_hw=hw,
        top=0,
        left=0,
        weights=_NO_COLOR,
    )


def downloaded(picture: DevicePicture) -> Picture:
    """Copy a picture to the CPU, as NV12 with 8 bits a sample.

    For the few that the CPU must see: 3 MB at 1080p.

    Raises:
        BackendError: the GPU failed.
        ValueError: the picture is neither NV12 nor P010.
    """
    h, w = picture.height, picture.width
    half_h, half_w = (h + 1) // 2, (w + 1) // 2
    luma, chroma = _copied(picture, ((h, w), (half_h, 2 * half_w)), step=1)
    return Picture(
        format=PixelFormat.NV12,
        planes=(luma, chroma.reshape(half_h, half_w, 2)),
        width=w,
        height=h,
        matrix=picture.matrix,
        range=picture.range,
    )


def luma_rows(picture: DevicePicture, hw: HW, step: int) -> NDArray[np.uint8]:
    """Copy every `step`th row of the luma's top left part of `hw` to the CPU: what the motion gate looks at.

    Returns:
        (ceil(H / step), W), 8 bits a sample; 0.5 MB of a picture's 3 at 1080p.

    Raises:
        BackendError: the GPU failed.
        ValueError: the picture is neither NV12 nor P010.
    """
    (luma,) = _copied(picture, ((-(-hw[0] // step), hw[1]),), step=step)
    return luma


def _samples(picture: DevicePicture) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
    match picture.format:
        case PixelFormat.NV12:
            return np.dtype(np.uint8)
        case PixelFormat.P010:
            return np.dtype("<u2")
        case other:
            raise ValueError(f"a picture in a GPU's memory: expected nv12 or p010, got {other.value}")


def _copied(picture: DevicePicture, shapes: Sequence[HW], *, step: int) -> list[NDArray[np.uint8]]:
    """Return the first planes, one (rows, samples) of `shapes` each, of every `step`th row, 8 bits a sample.

    The stream lives for this call: a camera's thread asks ten times a second, and nothing is left to free at its end.
    """
    planes = [np.empty(shape, _samples(picture)) for shape in shapes]
    gpu = open_gpu(picture.device)
    with gpu.current(), closing(gpu.open_stream()) as stream:
        stream.after_default()
        for plane, pointer, pitch in zip(planes, picture.pointers, picture.pitches, strict=False):
            width = plane.strides[0]
            stream.copy_rows(plane, width, pointer, step * pitch, width, len(plane))
        stream.synchronize()
    return [_eight_bits(plane) for plane in planes]


def _eight_bits(plane: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return 8-bit samples: those there are, or the nearest to ten bits."""
    if plane.dtype.itemsize == 1:
        return plane.view(np.uint8)
    eight: NDArray[np.uint8] = ((np.minimum(plane >> 6, _TOP_LEVEL - 2) + 2) >> 2).astype(np.uint8)
    return eight
