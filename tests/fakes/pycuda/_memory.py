"""Device and page-locked memory: host memory behind real addresses, registered, and never reused within a test."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from . import _errors as e

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALIGNED = 256  # bytes; cuMemAlloc gives at least this
FRESH, FREED = 0xCD, 0xDD  # what memory holds before it is written, and after it has been freed
Range = tuple[int, int]  # (address, bytes)


@dataclass(eq=False)
class Block:
    """One allocation."""

    kind: str  # device | pinned
    nbytes: int
    room: NDArray[np.uint8]  # a little more, for alignment
    base: int = 0
    live: bool = True
    owner: str = "code under test"
    users: int = 0  # pieces of queued work that read or write it
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = self.room.ctypes.data
        self.base = start + -start % ALIGNED

    @property
    def bytes(self) -> NDArray[np.uint8]:
        skip = self.base - self.room.ctypes.data
        return self.room[skip : skip + self.nbytes]


class Memory:
    """Every block there has been, by address. Guarded by the machine's lock."""

    def __init__(self) -> None:
        self._bases: list[int] = []
        self._blocks: dict[int, Block] = {}

    def add(self, kind: str, nbytes: int, owner: str) -> Block:
        room: NDArray[np.uint8] = np.full(max(nbytes, 1) + ALIGNED, FRESH, np.uint8)
        block = Block(kind, nbytes, room, owner=owner)
        bisect.insort(self._bases, block.base)
        self._blocks[block.base] = block
        return block

    def block_at(self, address: int) -> Block | None:
        """The block, live or freed, that holds an address."""
        place = bisect.bisect_right(self._bases, address) - 1
        if place < 0:
            return None
        block = self._blocks[self._bases[place]]
        return block if address < block.base + max(block.nbytes, 1) else None

    def require(self, routine: str, address: int, nbytes: int, *, kinds: Sequence[str] = ("device", "pinned")) -> Block:
        """Return the live block that holds all of a range.

        Raises:
            LogicError: nothing there is allocated, it was freed, or it is too short.
        """
        block = self.block_at(address)
        if block is None or block.kind not in kinds:
            raise e.failed(routine, e.ILLEGAL_ADDRESS, f"{address:#x} is no {' or '.join(kinds)} memory")
        if not block.live:
            raise e.failed(routine, e.ILLEGAL_ADDRESS, f"{address:#x} is used after it was freed")
        if address + nbytes > block.base + block.nbytes:
            left = block.base + block.nbytes - address
            raise e.failed(routine, e.ILLEGAL_ADDRESS, f"{nbytes} bytes at {address:#x}, where {left} are allocated")
        return block

    def is_pinned(self, address: int, nbytes: int) -> bool:
        block = self.block_at(address)
        return (
            block is not None
            and block.kind == "pinned"
            and block.live
            and address + nbytes <= block.base + block.nbytes
        )

    def view(self, routine: str, address: int, nbytes: int) -> NDArray[np.uint8]:
        block = self.require(routine, address, nbytes)
        return block.bytes[address - block.base : address - block.base + nbytes]

    def end(self, block: Block) -> None:
        """Mark a block as freed; its address stays taken, so that a late use is found."""
        block.live = False
        block.room[:] = FREED

    def live(self, kind: str | None = None) -> list[Block]:
        return [b for b in self._blocks.values() if b.live and (kind is None or b.kind == kind)]
