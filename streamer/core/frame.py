"""Pictures as the decoder gave them, and when and where they were taken. Passive data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PixelFormat(str, Enum):
    """How planes are laid out: 8 bits a sample, but for P010, which only a `DevicePicture` has."""

    I420 = "i420"  # Y (H, W), U and V (ceil(H/2), ceil(W/2))
    I422 = "i422"  # Y (H, W), U and V (H, ceil(W/2))
    I444 = "i444"  # Y, U and V (H, W)
    NV12 = "nv12"  # Y (H, W), UV (ceil(H/2), ceil(W/2), 2)
    P010 = "p010"  # as NV12, in 16 bits, little-endian: the ten bits of a sample are the upper ones
    GRAY = "gray"  # Y (H, W)
    BGR = "bgr"  # (H, W, 3)
    RGB = "rgb"  # (H, W, 3)


class ColorMatrix(str, Enum):
    """Which weights turn Y, U and V into R, G and B."""

    BT601 = "bt601"
    BT709 = "bt709"
    BT2020 = "bt2020"


class ColorRange(str, Enum):
    """Whether Y spans 16..235 or 0..255."""

    LIMITED = "limited"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class Picture:
    """One picture in the decoder's own format; `pixels` turns it into what is needed.

    The planes are views: rows may be padded (strides), and the memory is the decoder's, kept alive by the views.
    """

    format: PixelFormat
    planes: tuple[NDArray[np.uint8], ...]
    width: int  # px
    height: int  # px
    matrix: ColorMatrix = ColorMatrix.BT601
    range: ColorRange = ColorRange.LIMITED

    @property
    def nbytes(self) -> int:
        """Bytes of pixels, without row padding."""
        return sum(plane.nbytes for plane in self.planes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DevicePicture:
    """One picture in a GPU's memory, as its decoder left it there.

    What reads it waits, on the device, for what the decoder has queued (`Stream.after_default`), and keeps the picture,
    and with it its `owner`, until it has been read.
    """

    format: PixelFormat  # NV12 or P010
    pointers: tuple[int, ...]  # device addresses of the Y and the UV plane
    pitches: tuple[int, ...]  # bytes from row to row of each
    width: int  # px
    height: int  # px
    matrix: ColorMatrix
    range: ColorRange
    device: int  # which GPU
    owner: object  # keeps the memory alive

    @property
    def nbytes(self) -> int:
        """Bytes of the GPU's memory, with row padding."""
        return self.pitches[0] * self.height + self.pitches[1] * ((self.height + 1) // 2)


AnyPicture: TypeAlias = Picture | DevicePicture
Part: TypeAlias = tuple[int, int, int, int]  # of a picture: x1 y1 x2 y2, px, even


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameInfo:
    """Where a frame came from and when its light hit the camera."""

    camera: str  # id from the settings
    connection: int  # +1 at every (re)connect, from 0
    seq: int  # +1 per decoded frame within the connection, from 0
    captured_ns: int  # monotonic clock: best estimate of the capture (pts against the least delayed arrival)
    utc_ns: int  # wall clock of the same moment; for people and payloads, never for durations
    width: int  # px
    height: int  # px
    live: bool  # False for a recorded file: its time is its own, and it has no age
    recalled: bool = False  # decoded after the fact, from packets kept while the camera idled: it tells no age


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture and its facts."""

    info: FrameInfo
    picture: AnyPicture
    zoom: tuple[Part, ...] = ()  # parts that are to be looked at more closely, besides the whole

    @property
    def lane(self) -> str:
        """Where it waits: each camera has a lane of its own."""
        return self.info.camera
