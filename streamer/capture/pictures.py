"""From FFmpeg's frame to a `Picture`, without a copy wherever the format is one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import ColorMatrix, ColorRange, Picture, PixelFormat

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

_DIRECT = {
    "yuv420p": PixelFormat.I420,
    "yuvj420p": PixelFormat.I420,
    "yuv422p": PixelFormat.I422,
    "yuvj422p": PixelFormat.I422,
    "yuv444p": PixelFormat.I444,
    "yuvj444p": PixelFormat.I444,
    "nv12": PixelFormat.NV12,
    "gray": PixelFormat.GRAY,
    "bgr24": PixelFormat.BGR,
    "rgb24": PixelFormat.RGB,
}
_SAMPLES = {PixelFormat.BGR: 3, PixelFormat.RGB: 3}  # bytes per column of the first plane
_PACKED_422 = {"yuyv422", "uyvy422", "yvyu422"}  # what USB cameras give; the planar form holds the same samples
_MATRICES = {  # AVColorSpace
    1: ColorMatrix.BT709,
    4: ColorMatrix.BT601,
    5: ColorMatrix.BT601,
    6: ColorMatrix.BT601,
    7: ColorMatrix.BT709,  # SMPTE 240M differs from it by less than one level in a hundred
    9: ColorMatrix.BT2020,
    10: ColorMatrix.BT2020,
}
_FULL = 2  # AVColorRange: JPEG
_HD_HEIGHT_PX = 720


def picture_of(frame: av.VideoFrame) -> Picture:
    """Return views on the frame's planes; they keep its memory alive.

    A format that is none of ours (10 bit, palette, packed, alpha) is converted by swscale: colour with primaries to
    BGR, packed 4:2:2 to planar, the rest to I420. So is a picture whose rows run upwards, as in many raw AVIs, and one
    in a GPU's memory, which is copied to the CPU first.
    """
    matrix, span = colors_of(frame)
    full = span is ColorRange.FULL
    if frame.format.name not in _DIRECT or any(plane.line_size < 0 for plane in frame.planes):
        frame = _converted(frame, full=full)
    pixel_format = _DIRECT[frame.format.name]
    return Picture(
        format=pixel_format,
        planes=tuple(_view(plane, pixel_format, i) for i, plane in enumerate(frame.planes)),
        width=frame.width,
        height=frame.height,
        matrix=matrix,
        range=span,
    )


def colors_of(frame: av.VideoFrame) -> tuple[ColorMatrix, ColorRange]:
    """Return what a frame's Y, U and V mean."""
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    return _matrix(frame), ColorRange.FULL if full else ColorRange.LIMITED


def _matrix(frame: av.VideoFrame) -> ColorMatrix:
    """Return the matrix that the stream names; cameras that name none follow the size: HD is BT.709, SD is BT.601.

    That is what BT.709 itself and every player assume, and FFmpeg's encoders leave it unsaid in most files.
    """
    guess = ColorMatrix.BT709 if frame.height >= _HD_HEIGHT_PX else ColorMatrix.BT601
    return _MATRICES.get(int(frame.colorspace), guess)


def _converted(frame: av.VideoFrame, *, full: bool) -> av.VideoFrame:
    """Return the frame in one of our formats, never its own: PyAV hands it back as it is where nothing changes."""
    name = frame.format.name
    if frame.format.is_rgb or frame.format.has_palette:
        return frame.reformat(format="rgb24" if name == "bgr24" else "bgr24")
    color_range = _FULL if full else 1  # said on both sides, or swscale would squeeze full to limited
    target = "yuv422p" if name in _PACKED_422 else "yuv420p"
    if name == target:
        target = "yuv444p"
    return frame.reformat(format=target, src_color_range=color_range, dst_color_range=color_range)


def _view(plane: av.video.plane.VideoPlane, pixel_format: PixelFormat, index: int) -> NDArray[np.uint8]:
    """Return (H, W), (H, W, 3), or for the second plane of NV12 (H, W, 2); rows may be padded, nothing is copied."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    rows.flags.writeable = False  # the decoder predicts the next pictures from this one
    samples = 2 if pixel_format is PixelFormat.NV12 and index == 1 else _SAMPLES.get(pixel_format, 1)
    cut = rows[:, : plane.width * samples]
    return cut if samples == 1 else cut.reshape(plane.height, plane.width, samples)
