"""Of a detector's output only the anchors that reach the floor, found on the GPU (`kernels/pick.cu`).

They keep their order and the output's layout: the head's own code then reads a few hundred anchors in place of
thousands, and finds the same. An output with more of them than there is room for is copied whole by its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .compile import kernel_image

if TYPE_CHECKING:
    from .gpu import Gpu, Kernels, Stream

_THREADS = 128  # of each block
_CHANNELS_EACH = 16  # that one thread copies: finding its anchor costs about as much


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the anchors lie in an output of float32."""

    channels: int  # of one anchor: box, perhaps objectness, classes
    anchors: int
    anchor_major: bool  # False: [B, C, A]; True: [B, A, C]
    objectness: bool  # True: channel 4 is it, and score = objectness * best class
    first_class: int  # 4, or 5 with objectness

    def __post_init__(self) -> None:
        if not (5 if self.objectness else 4) <= self.first_class < self.channels or self.anchors < 1:
            raise ValueError(f"no class lies in {self}")

    @property
    def steps(self) -> tuple[int, int]:
        """How many values lie from a channel to the next, and from an anchor to the next."""
        return (1, self.channels) if self.anchor_major else (self.anchors, 1)


class Picker:
    """Picks from one output. For one thread."""

    def __init__(self, gpu: Gpu, layout: Layout, *, floor: float, most: int = 512, max_batch: int) -> None:
        """Allocate.

        Args:
            gpu: where the output is.
            layout: how the output lies.
            floor: the least score, above 0: what is left over is filled with 0.
            most: how many anchors of a picture are kept; one more where that is the number of channels of an
                anchor-major output, because a head tells its two axes apart by their lengths.
            max_batch: the most pictures of one launch.

        Raises:
            BackendError: the kernels can't be compiled, or memory is short.
            ValueError: a number is out of its range.
        """
        if not floor > 0 or most < 1 or max_batch < 1:
            raise ValueError(f"floor, most and max_batch must be above 0, got {floor}, {most} and {max_batch}")
        self.most = most + 1 if layout.anchor_major and most == layout.channels else most
        self._layout, self._max_batch = layout, max_batch
        tile = _tile_of(layout.anchors)
        self._tiles = -(-layout.anchors // tile)
        nbytes = (
            4 * max_batch * layout.channels * self.most,  # picked: float32
            4 * max_batch * self.most,  # indices: int32
            4 * max_batch,  # counts: int32
            max_batch * layout.anchors,  # which passed: uint8
            4 * max_batch * self._tiles,  # how many of each tile: int32
        )
        self._kernels: Kernels = gpu.load(kernel_image(gpu.info))
        self._memories = [gpu.allocate(n) for n in nbytes]
        self.picked, self.indices, self.counts, passed, of_tiles = (memory.pointer for memory in self._memories)
        shape, tiles = (layout.channels, layout.anchors, *layout.steps), (tile, self._tiles)
        best = (int(layout.objectness), layout.first_class)
        place = (self.most, layout.channels if layout.anchor_major else 1)
        self._mark = [*_pointers(passed), *_numbers(*shape, *best), np.float32(floor)]
        self._count = [*_pointers(passed, of_tiles), *_numbers(layout.anchors, *tiles)]
        pointers = _pointers(passed, of_tiles, self.picked, self.indices, self.counts)
        self._gather = [*pointers, *_numbers(*shape, *tiles, *place, _CHANNELS_EACH)]

    @property
    def shape(self) -> tuple[int, int]:
        """Of what is picked from one picture, float32 at `picked`: (channels, most), or (most, channels)."""
        channels = self._layout.channels
        return (self.most, channels) if self._layout.anchor_major else (channels, self.most)

    def enqueue(self, output: int, pictures: int, stream: Stream) -> None:
        """Enqueue three launches, which a graph may hold: read the output, write what `picked` and the others hold.

        `picked`: the anchors, as `shape` says; `indices`, (B, most) int32: which they are in the output, -1 where
        there are fewer; `counts`, (B,) int32: how many passed. Where that is above `most`, the first `most` were kept.

        Raises:
            BackendError: the GPU failed.
            ValueError: there are too many pictures.
        """
        if not 0 < pictures <= self._max_batch:
            raise ValueError(f"pictures: expected 1..{self._max_batch}, got {pictures}")
        groups = -(-self._layout.channels // _CHANNELS_EACH)
        read = _pointers(output)
        for name, threads, beside, arguments in (
            ("pick_mark", self._layout.anchors, 1, [*read, *self._mark]),
            ("pick_count", self._tiles, 1, self._count),
            ("pick_gather", self.most, groups, [*read, *self._gather]),
        ):
            grid = (-(-threads // _THREADS), beside, pictures)
            self._kernels.launch(name, grid=grid, block=(_THREADS, 1, 1), stream=stream, arguments=arguments)

    def close(self) -> None:
        """Free the memory; nothing enqueued may be under way. Idempotent."""
        for memory in self._memories:
            memory.free()


def _tile_of(anchors: int) -> int:
    """Return how many anchors are counted together: a place is found by walking the tiles, then one tile."""
    return max(32, 1 << (anchors.bit_length() // 2))


def _pointers(*addresses: int) -> list[np.generic]:
    return [np.uintp(address) for address in addresses]


def _numbers(*values: int) -> list[np.generic]:
    return [np.int32(value) for value in values]
