"""Pictures in a GPU's memory, drawn into a network's input: one launch for a whole batch (`kernels/draw.cu`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .compile import kernel_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .gpu import Event, Gpu, Kernels, Memory, Stream

    HW = tuple[int, int]  # height, width, px

# Batches whose descriptors may be on their way at once: one more than a backend has in flight, so that none waits.
_SLOTS = 4
_BLOCK = (32, 8, 1)  # threads: a warp writes 32 values that lie beside each other
_PIXELS = ("nv12", "p010", "packed")  # the number in a job is the place here; likewise for the two below
_DTYPES = ("float32", "float16", "uint8")
_LAYOUTS = ("nchw", "nhwc")
_JOB = np.dtype(  # as `DrawJob` in the kernel
    [
        ("pointers", np.uint64, 2),
        ("pitches", np.int32, 2),
        ("frame_hw", np.int32, 2),
        ("size_hw", np.int32, 2),
        ("corner", np.int32, 2),
        ("pixels", np.int32),
        ("unused", np.int32),
        ("steps", np.float32, (2, 2)),  # of each plane, samples to one pixel: rows, columns
        ("weights", np.float32, 12),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a network wants to be fed: value = (level * scale - mean) / std, a level is a whole number of 0..255."""

    hw: HW
    layout: str  # nchw | nhwc
    dtype: str  # float32 | float16 | uint8
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pad: int  # 0..255, beside the frame
    area: bool = False  # True: what shrinks is averaged, as cv2.INTER_AREA; False: sampled, as cv2.INTER_LINEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One picture in device memory, and where it goes: resized to `size_hw`, its corner at (`top`, `left`)."""

    pixels: str  # nv12 | p010 | packed: (H, W, 3) 8-bit in the network's channel order
    pointers: tuple[int, ...]  # device addresses of Y and UV, or of the packed pixels
    pitches: tuple[int, ...]  # bytes from row to row
    frame_hw: HW
    size_hw: HW
    top: int  # px; negative: cut off
    left: int
    weights: tuple[float, ...]  # (3, 4) row by row for (Y, U, V, 1), levels of 0..255; packed: not read


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Drawings that lie ready in device memory. Compared by identity."""

    memory: Memory
    pictures: int


class Drawer:
    """Draws batches for one network. For one thread."""

    def __init__(self, gpu: Gpu, target: Target, *, max_batch: int) -> None:
        """Allocate what describes the batches.

        Args:
            gpu: where the pictures and the network are.
            target: what the network wants.
            max_batch: the most pictures of one launch.

        Raises:
            BackendError: the kernels can't be compiled, or memory is short.
            ValueError: the target's layout or dtype is unknown.
        """
        self._tail = _tail(target)
        self._hw, self._max_batch, self._gpu = target.hw, max_batch, gpu
        self._turn = 0
        self._in_use: list[Event | None] = [None] * _SLOTS
        self._kept: list[Kept] = []
        self._kernels: Kernels = gpu.load(kernel_image(gpu.info))
        self._pinned = gpu.pinned((_SLOTS, max_batch * _JOB.itemsize), np.uint8)
        self._memory = gpu.allocate(self._pinned.nbytes)

    def draw(self, drawings: Sequence[Drawing], destination: int, stream: Stream) -> None:
        """Enqueue the drawing of a batch, picture by picture into the tensor at `destination`.

        The pictures stay as they are until the stream has come by. Not to be captured: a graph would repeat whatever
        the descriptors have become by then.

        Blocks on: the batch that lies `_SLOTS` back, if even that is not drawn yet; a GPU that hangs keeps it, and
        the thread, as it keeps who waits for outputs.

        Raises:
            BackendError: the GPU failed.
            ValueError: there are too many drawings, or one is none.
        """
        self._check(drawings)
        slot, self._turn = self._turn, (self._turn + 1) % _SLOTS
        used = self._in_use[slot]
        if used is not None:
            used.wait()
        row = self._pinned[slot, : len(drawings) * _JOB.itemsize]
        _describe(drawings, row.view(_JOB))
        address = self._memory.pointer + slot * self._pinned.shape[1]
        stream.copy_in(address, row)
        self._launch(address, len(drawings), destination, stream)
        self._in_use[slot] = stream.record()

    def keep(self, drawings: Sequence[Drawing], stream: Stream) -> Kept:
        """Put drawings that never change into device memory, for `draw_kept`. Waits for the stream.

        Raises:
            BackendError: memory is short, or the GPU failed.
            ValueError: there are too many drawings, or one is none.
        """
        self._check(drawings)
        row = np.empty(len(drawings) * _JOB.itemsize, np.uint8)
        _describe(drawings, row.view(_JOB))
        kept = Kept(self._gpu.allocate(row.nbytes), len(drawings))
        self._kept.append(kept)
        stream.copy_in(kept.memory.pointer, row)
        stream.synchronize()
        return kept

    def draw_kept(self, kept: Kept, destination: int, stream: Stream, *, pictures: int | None = None) -> None:
        """Enqueue the drawing of what was kept: a launch and nothing else, so that a graph may hold it.

        Args:
            kept: what to draw.
            destination: the network's input tensor.
            stream: where.
            pictures: draw so many of them, the first; None: all.

        Raises:
            BackendError: the GPU failed.
            ValueError: so many were not kept.
        """
        count = kept.pictures if pictures is None else pictures
        if not 0 < count <= kept.pictures:
            raise ValueError(f"pictures: expected 1..{kept.pictures}, got {count}")
        self._launch(kept.memory.pointer, count, destination, stream)

    def close(self) -> None:
        """Free the descriptors; no batch may be in flight. Idempotent."""
        for kept in self._kept:
            kept.memory.free()
        self._kept.clear()
        self._memory.free()
        self._in_use = [None] * _SLOTS

    def _launch(self, jobs: int, pictures: int, destination: int, stream: Stream) -> None:
        height, width = self._hw
        grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), pictures)
        arguments = [np.uintp(jobs), np.uintp(destination), *self._tail]
        self._kernels.launch("draw", grid=grid, block=_BLOCK, stream=stream, arguments=arguments)

    def _check(self, drawings: Sequence[Drawing]) -> None:
        if not 0 < len(drawings) <= self._max_batch:
            raise ValueError(f"drawings: expected 1..{self._max_batch}, got {len(drawings)}")
        for drawing in drawings:
            _check_drawing(drawing)


def _tail(target: Target) -> list[np.generic]:
    """Return the kernel's arguments that are the same for every batch."""
    if target.layout not in _LAYOUTS or target.dtype not in _DTYPES:
        raise ValueError(f"target: {target.layout} {target.dtype} is none of {_LAYOUTS}, {_DTYPES}")
    std = np.array(target.std, np.float64)
    gains, offsets = target.scale / std, -np.array(target.mean, np.float64) / std
    whole = (*target.hw, _LAYOUTS.index(target.layout), _DTYPES.index(target.dtype), int(target.area))
    return [*(np.int32(n) for n in whole), *(np.float32(n) for n in (target.pad, *gains, *offsets))]


def _check_drawing(drawing: Drawing) -> None:
    """Check what the kernel can't.

    Raises:
        ValueError: with the expected and the actual.
    """
    if drawing.pixels not in _PIXELS:
        raise ValueError(f"drawing: expected one of {', '.join(_PIXELS)}, got {drawing.pixels}")
    planes = 1 if drawing.pixels == "packed" else 2
    width, sample = drawing.frame_hw[1], 2 if drawing.pixels == "p010" else 1
    rows = [3 * width] if planes == 1 else [width * sample, 2 * ((width + 1) // 2) * sample]
    addresses = [pointer for pointer in drawing.pointers if pointer and pointer % sample == 0]
    if len(addresses) != planes or len(drawing.pointers) != planes or len(drawing.pitches) != planes:
        raise ValueError(f"{drawing.pixels}: expected {planes} planes, got {drawing.pointers} {drawing.pitches}")
    if any(pitch < row or pitch % sample for pitch, row in zip(drawing.pitches, rows, strict=True)):
        raise ValueError(f"{drawing.pixels} {width} wide: rows take {rows} bytes, the pitches are {drawing.pitches}")
    if min(*drawing.frame_hw, *drawing.size_hw) < 1:
        raise ValueError(f"drawing: {drawing.frame_hw} to {drawing.size_hw} is empty")
    if planes == 2 and len(drawing.weights) != 12:
        raise ValueError(f"weights: expected 12 numbers, got {len(drawing.weights)}")


def _describe(drawings: Sequence[Drawing], jobs: NDArray[np.void]) -> None:
    """Write checked drawings as the kernel reads them."""
    jobs[:] = np.zeros((), _JOB)
    for drawing, job in zip(drawings, jobs, strict=True):
        (h, w), (new_h, new_w) = drawing.frame_hw, drawing.size_hw
        planes = len(drawing.pointers)
        job["pointers"][:planes] = drawing.pointers
        job["pitches"][:planes] = drawing.pitches
        job["frame_hw"], job["size_hw"] = drawing.frame_hw, drawing.size_hw
        job["corner"] = drawing.top, drawing.left
        job["pixels"] = _PIXELS.index(drawing.pixels)
        job["steps"] = (h / new_h, w / new_w), ((h + 1) // 2 / new_h, (w + 1) // 2 / new_w)
        if planes == 2:
            job["weights"] = drawing.weights
