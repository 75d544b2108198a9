"""Pictures in the memory of the fake GPU, as a decoder leaves them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import DevicePicture, Picture, PixelFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from nvidia import FakeGpu


def uploaded(
    picture: Picture, gpu: FakeGpu, *, padding: int = 37, deep: NDArray[np.int64] | None = None
) -> DevicePicture:
    """Put a picture on the fake GPU as a decoder does: late, with padded rows; `deep`: its ninth and tenth bits."""
    pointers, pitches = [], []
    for plane in picture.planes:
        rows = plane.reshape(plane.shape[0], -1)
        if deep is not None:
            rows = ((rows.astype(np.uint16) << 8) + (deep[: rows.shape[0], : rows.shape[1]] << 6)).astype("<u2")
        line = np.ascontiguousarray(rows).view(np.uint8)
        pitches.append(line.shape[1] + 2 * padding)
        whole = np.full((rows.shape[0], pitches[-1]), 0xA5, np.uint8)
        whole[:, : line.shape[1]] = line
        pointers.append(gpu.surface(whole.ravel()[: whole.size - 2 * padding]))  # the memory ends with the last sample
    return DevicePicture(
        format=PixelFormat.NV12 if deep is None else PixelFormat.P010,
        pointers=tuple(pointers),
        pitches=tuple(pitches),
        width=picture.width,
        height=picture.height,
        matrix=picture.matrix,
        range=picture.range,
        device=0,
        owner=None,
    )


def freed(picture: DevicePicture, gpu: FakeGpu) -> None:
    """Free what `uploaded` took; the decoder's own work comes first, as it does with FFmpeg's."""
    default = gpu.machine.default
    default.run_until(default.enqueued)
    for pointer in picture.pointers:
        gpu.free_surface(pointer)
