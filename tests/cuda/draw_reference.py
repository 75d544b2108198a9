"""What is right, in float64: planes are brought to size by a matrix for each axis.

Colour comes from the standards' own definitions (Y' = kr R + kg G + kb B, Cb and Cr from their differences), not from
the weights that are drawn with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from host_gpu import STREAM, HostGpu

from streamer.core.frame import ColorMatrix, ColorRange, PixelFormat
from streamer.cuda.draw import Drawer, Drawing, Target
from streamer.pixels.color import yuv_weights
from streamer.pixels.fit import Placement, crop, letterbox, letterbox_topleft, stretch, stretch_crop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.float64]
    HW = tuple[int, int]

PLACES: dict[str, Callable[[HW, HW], Placement]] = {
    "letterbox": letterbox,
    "letterbox-topleft": letterbox_topleft,
    "stretch": stretch,
    "crop": crop,
    "crop-of-larger": lambda frame, canvas: crop(frame, canvas, 150),
    "stretch-crop": lambda frame, canvas: stretch_crop(frame, canvas, 120),
}
KB_KR = {ColorMatrix.BT601: (0.114, 0.299), ColorMatrix.BT709: (0.0722, 0.2126), ColorMatrix.BT2020: (0.0593, 0.2627)}
PLAIN = Target(hw=(8, 8), layout="nchw", dtype="float32", scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3, pad=114)


def _axis(size: int, count: int, *, area: bool) -> Pixels:
    """Return (size, count): what each new sample takes of the old ones."""
    old, new = np.arange(count), np.arange(size)[:, None]
    if area:
        start, end = new * count / size, (new + 1) * count / size
        shared: Pixels = np.clip(np.minimum(old + 1, end) - np.maximum(old, start), 0, None) / (end - start)
        return shared
    at = (new + 0.5) * count / size - 0.5
    low = np.floor(at).astype(int)
    part = at - low
    below, above = (np.clip(index, 0, count - 1) for index in (low, low + 1))
    between: Pixels = np.where(old == below, 1 - part, 0.0) + np.where(old == above, part, 0.0)
    return between


def _brought(matrix: Pixels, plane: Pixels) -> Pixels:
    """Return matrix @ plane, without the threads of a BLAS, which wait for each other on a busy machine."""
    brought: Pixels = np.einsum("ij,jk->ik", matrix, plane)
    return brought


def _resized(plane: Pixels, size_hw: HW, *, area: bool) -> Pixels:
    area = area and all(old >= new for old, new in zip(plane.shape, size_hw, strict=True))
    rows, columns = (_axis(new, old, area=area) for new, old in zip(size_hw, plane.shape, strict=True))
    resized: Pixels = _brought(columns, _brought(rows, plane).T).T
    return resized


def _rgb(planes: list[Pixels], matrix: ColorMatrix, span: ColorRange, *, bits: int) -> Pixels:
    """Return 0..255 (not clipped) of Y, U and V codes of so many bits."""
    unit = 1 << (bits - 8)
    full = span is ColorRange.FULL
    luma = planes[0] / (256 * unit - 1) if full else (planes[0] - 16 * unit) / (219 * unit)
    pb, pr = ((c - 128 * unit) / (256 * unit - 1 if full else 224 * unit) for c in planes[1:])
    kb, kr = KB_KR[matrix]
    red, blue = luma + 2 * (1 - kr) * pr, luma + 2 * (1 - kb) * pb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    rgb: Pixels = np.stack((red, green, blue), axis=-1) * 255
    return rgb


@dataclass(frozen=True)
class Shot:
    """One picture: codes as a decoder gives them, and what is said of them."""

    pixels: str
    planes: tuple[NDArray[Any], ...]  # Y (h, w) and UV (ceil, ceil, 2); or packed (h, w, 3)
    matrix: ColorMatrix = ColorMatrix.BT601
    span: ColorRange = ColorRange.LIMITED

    @property
    def hw(self) -> HW:
        return self.planes[0].shape[0], self.planes[0].shape[1]

    def levels(self, placement: Placement, order: PixelFormat, *, area: bool) -> Pixels:
        """Return the resized frame in the network's channel order, (h, w, 3)."""
        if self.pixels == "packed":
            channels = [self.planes[0][..., c].astype(np.float64) for c in range(3)]
            return np.stack([_resized(c, placement.size_hw, area=area) for c in channels], axis=-1)
        codes = [self.planes[0], self.planes[1][..., 0], self.planes[1][..., 1]]
        bits = 10 if self.pixels == "p010" else 8
        small = [
            _resized(c.astype(np.float64) / (64 if bits == 10 else 1), placement.size_hw, area=area) for c in codes
        ]
        rgb = _rgb(small, self.matrix, self.span, bits=bits)
        return rgb if order is PixelFormat.RGB else rgb[..., ::-1]

    def on_canvas(self, placement: Placement, order: PixelFormat, target: Target) -> Pixels:
        canvas = np.full((*target.hw, 3), float(target.pad))
        levels = np.clip(self.levels(placement, order, area=target.area), 0, 255)
        canvas[placement.on_canvas] = levels[placement.of_frame]
        return canvas

    def weights(self, order: PixelFormat) -> tuple[float, ...]:
        """Return what to draw with. Of 10 bits the kernel samples a quarter of the code: up to 1023/4, not 255."""
        weights = yuv_weights(self.matrix, self.span, order)
        full = self.pixels == "p010" and self.span is ColorRange.FULL
        return tuple((weights * (1020 / 1023 if full else 1)).ravel().tolist())

    def put(self, gpu: HostGpu, placement: Placement, order: PixelFormat, padding: tuple[int, int]) -> Drawing:
        """Bring the planes into device memory, with rows that are so many samples longer than the picture."""
        pointers, pitches = [], []
        for plane, more in zip(self.planes, padding, strict=False):
            rows = plane.reshape(plane.shape[0], -1)
            padded = np.full((rows.shape[0], rows.shape[1] + more), np.iinfo(plane.dtype).max // 3, plane.dtype)
            padded[:, : rows.shape[1]] = rows
            short = padded.ravel()[: padded.size - more]  # the last row has no padding: nobody may read it
            pointers.append(gpu.put(short))
            pitches.append(padded.shape[1] * plane.itemsize)
        return Drawing(
            pixels=self.pixels, pointers=tuple(pointers), pitches=tuple(pitches), frame_hw=self.hw,
            size_hw=placement.size_hw, top=placement.top, left=placement.left, weights=self.weights(order),
        )  # fmt: skip


def shot(rng: np.random.Generator, pixels: str, hw: HW, **said: Any) -> Shot:  # noqa: ANN401  fields of Shot
    """Draw noise, the hardest picture to resample."""
    if pixels == "packed":
        return Shot(pixels, (rng.integers(0, 256, (*hw, 3), np.uint8),), **said)
    half = ((hw[0] + 1) // 2, (hw[1] + 1) // 2, 2)
    if pixels == "nv12":
        return Shot(pixels, (rng.integers(0, 256, hw, np.uint8), rng.integers(0, 256, half, np.uint8)), **said)
    codes = [rng.integers(0, 1024, shape, np.uint16) << 6 for shape in (hw, half)]
    return Shot(pixels, tuple(c.astype(np.uint16) for c in codes), **said)


def drawn(gpu: HostGpu, target: Target, drawings: list[Drawing], *, max_batch: int = 4) -> NDArray[Any]:
    """Return (B, H, W, 3) values in the network's dtype."""
    b, (h, w) = len(drawings), target.hw
    tensor = gpu.allocate(b * 3 * h * w * np.dtype(target.dtype).itemsize)
    drawer = Drawer(gpu.gpu, target, max_batch=max_batch)
    drawer.draw(drawings, tensor.pointer, STREAM)
    drawer.close()
    nhwc = target.layout == "nhwc"
    values = gpu.read(tensor.pointer, (b, h, w, 3) if nhwc else (b, 3, h, w), target.dtype)
    return values if nhwc else values.transpose(0, 2, 3, 1)


def levels_of(values: NDArray[Any], target: Target) -> Pixels:
    levels: Pixels = (values.astype(np.float64) * np.array(target.std) + np.array(target.mean)) / target.scale
    return levels
