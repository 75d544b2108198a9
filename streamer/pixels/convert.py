"""From pictures to a network's canvases: each plane is resized first, and colour is made at the canvas's size.

A full-size BGR copy of a 1080p frame costs about ten times as much. There is one path for every matrix and range:
chroma is brought straight to the canvas's size and the colour made by one 3x4 transform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.frame import AnyPicture, ColorRange, Picture, PixelFormat

from .color import luma_scale, yuv_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .fit import HW, Place, Placement

_SIZES_KEPT = 16  # frame sizes whose scratch planes are kept: more than the cameras of one model differ in


def use_one_thread() -> None:
    """Keep OpenCV in this process from starting threads: they would take the cores from inference and decoding.

    On two cores a canvas then costs 0.66 ms of CPU in place of 0.87 ms.
    """
    cv2.setNumThreads(1)


class Canvases:
    """A batch of canvases that is filled again and again; the padding is written once. For one thread."""

    def __init__(
        self,
        *,
        hw: HW,
        order: PixelFormat,
        place: Place,
        pad: int,
        max_batch: int,
        always_all: bool = False,
        area: bool = False,
    ) -> None:
        """Allocate.

        Args:
            hw: of one canvas, px.
            order: RGB or BGR, the channels of the canvases.
            place: where a frame goes on a canvas.
            pad: 0..255, what is around the frame.
            max_batch: the most pictures of one `fill`.
            always_all: whether `fill` returns every canvas, for a network whose batch is fixed.
            area: whether a frame is shrunk by averages in place of samples.
        """
        if order not in (PixelFormat.RGB, PixelFormat.BGR):
            raise ValueError(f"order: expected rgb or bgr, got {order.value}")
        self._hw = hw
        self._order = order
        self._place = place
        self._pad = pad
        self._always_all = always_all
        self._area = area
        self._canvases = np.full((max_batch, *hw, 3), pad, np.uint8)
        self._covered: list[tuple[slice, slice] | None] = [None] * max_batch
        self._scratch: dict[HW, _Scratch] = {}

    def fill(self, pictures: Sequence[AnyPicture]) -> tuple[NDArray[np.uint8], list[Placement]]:
        """Draw the pictures; one in a GPU's memory only has its place, and its canvas holds what was on it before.

        Returns:
            The canvases (B, H, W, 3), or all there are, valid until the next call; where each frame lies on its own.

        Raises:
            ValueError: there are too many pictures, or the planes of one are not those of its format.
        """
        if not 0 < len(pictures) <= len(self._canvases):
            raise ValueError(f"pictures: expected 1..{len(self._canvases)}, got {len(pictures)}")
        placements = [self._place((p.height, p.width), self._hw) for p in pictures]
        for index, (picture, placement) in enumerate(zip(pictures, placements, strict=True)):
            if isinstance(picture, Picture):
                check_planes(picture)
                self._draw(index, picture, placement)
        return self._canvases[: None if self._always_all else len(pictures)], placements

    def _draw(self, index: int, picture: Picture, placement: Placement) -> None:
        canvas, covered = self._canvases[index], placement.on_canvas
        if self._covered[index] != covered:
            if self._covered[index] is not None:
                canvas[:] = self._pad
            self._covered[index] = covered
        self._scratch_of(placement.size_hw).draw(picture, placement, canvas[covered], self._order)

    def _scratch_of(self, size_hw: HW) -> _Scratch:
        scratch = self._scratch.get(size_hw)
        if scratch is None:
            if len(self._scratch) >= _SIZES_KEPT:
                self._scratch.clear()
            scratch = self._scratch[size_hw] = _Scratch(size_hw, area=self._area)
        return scratch


class _Scratch:
    """Planes at the size of a resized frame."""

    def __init__(self, size_hw: HW, *, area: bool) -> None:
        self._wh = size_hw[1], size_hw[0]
        self._way = _averaged if area else _bilinear
        self._planes = [np.empty(size_hw, np.uint8) for _ in range(3)]
        self._pair = np.empty((*size_hw, 2), np.uint8)
        self._packed = np.empty((*size_hw, 3), np.uint8)

    def draw(self, picture: Picture, placement: Placement, target: NDArray[np.uint8], order: PixelFormat) -> None:
        """Resize and convert `picture` into `target`, the covered part of a canvas."""
        part = self._packed[placement.of_frame]
        match picture.format:
            case PixelFormat.BGR | PixelFormat.RGB:
                self._resize(picture.planes[0], self._packed)
                if picture.format is order:
                    target[:] = part
                else:
                    cv2.cvtColor(part, cv2.COLOR_BGR2RGB, dst=target)
            case PixelFormat.GRAY:
                luma = self._resize(picture.planes[0], self._planes[0])[placement.of_frame]
                if picture.range is not ColorRange.FULL:
                    luma = cv2.LUT(luma, _luma_table(picture.range))
                cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR, dst=target)
            case PixelFormat.NV12:
                y = self._resize(picture.planes[0], self._planes[0])
                cv2.merge([y, self._resize(picture.planes[1], self._pair)], dst=self._packed)
                cv2.transform(part, yuv_weights(picture.matrix, picture.range, order), dst=target)
            case PixelFormat.I420 | PixelFormat.I422 | PixelFormat.I444:
                planes = [self._resize(p, out) for p, out in zip(picture.planes, self._planes, strict=True)]
                cv2.merge(planes, dst=self._packed)
                cv2.transform(part, yuv_weights(picture.matrix, picture.range, order), dst=target)

    def _resize(self, plane: NDArray[np.uint8], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bilinear without anti-aliasing, as detectors were trained; by averages where `area` says so."""
        cv2.resize(plane, self._wh, dst=out, interpolation=self._way(plane.shape[1::-1], self._wh))
        return out


def _bilinear(from_wh: tuple[int, ...], to_wh: tuple[int, int]) -> int:
    """Return how OpenCV is asked for it.

    Where a side shrinks by an odd whole number, as 1920 to 640, each new pixel's centre is that of an old one: bilinear
    takes just that one, and so does nearest, in less than half the time.
    """
    exact = all(old % new == 0 and old // new % 2 == 1 for old, new in zip(from_wh, to_wh, strict=True))
    return cv2.INTER_NEAREST_EXACT if exact else cv2.INTER_LINEAR


def _averaged(from_wh: tuple[int, ...], to_wh: tuple[int, int]) -> int:
    """Return how OpenCV is asked for averages over what becomes one pixel; where a side grows there are none."""
    shrinks = all(old >= new for old, new in zip(from_wh, to_wh, strict=True))
    return cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR


def _luma_table(span: ColorRange) -> NDArray[np.uint8]:
    scale, offset = luma_scale(span)
    table: NDArray[np.uint8] = np.clip(np.rint(np.arange(256) * scale + offset), 0, 255).astype(np.uint8)
    return table


def check_planes(picture: Picture) -> None:
    """Check that the planes are those of the format.

    Raises:
        ValueError: with the expected and the actual shapes.
    """
    h, w = picture.height, picture.width
    half_h, half_w = (h + 1) // 2, (w + 1) // 2
    match picture.format:
        case PixelFormat.I420:
            expected: list[tuple[int, ...]] = [(h, w), (half_h, half_w), (half_h, half_w)]
        case PixelFormat.I422:
            expected = [(h, w), (h, half_w), (h, half_w)]
        case PixelFormat.I444:
            expected = [(h, w)] * 3
        case PixelFormat.NV12:
            expected = [(h, w), (half_h, half_w, 2)]
        case PixelFormat.GRAY:
            expected = [(h, w)]
        case PixelFormat.BGR | PixelFormat.RGB:
            expected = [(h, w, 3)]
        case PixelFormat.P010:
            raise ValueError("p010: only a picture in a GPU's memory is that; expected 8 bits a sample")
    actual = [plane.shape for plane in picture.planes]
    kinds = {plane.dtype for plane in picture.planes}
    if actual != expected or kinds != {np.dtype(np.uint8)} or min(h, w) < 1:
        found = f"{actual} of {', '.join(sorted(map(str, kinds)))}"
        raise ValueError(f"{picture.format.value} {w}x{h}: expected planes {expected} of uint8, got {found}")


def picture_of_bgr(pixels: NDArray[np.uint8]) -> Picture:
    """Wrap a still picture, (H, W, 3) BGR as OpenCV reads it.

    Raises:
        ValueError: the shape or dtype is another.
    """
    if pixels.ndim != 3:
        raise ValueError(f"expected (H, W, 3), got {pixels.shape}")
    picture = Picture(
        format=PixelFormat.BGR,
        planes=(pixels,),
        width=pixels.shape[1],
        height=pixels.shape[0],
        range=ColorRange.FULL,
    )
    check_planes(picture)
    return picture
