"""From many writers to one reader: a bounded lane for each camera, one place to wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from streamer.core.errors import ChannelClosed

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Channel(Generic[T]):
    """Items in order of arrival, at most `capacity` droppable ones for each lane.

    The oldest droppable item of a full lane makes room, and `lost` is told. Items put with `keep` are never dropped
    and not counted: state changes, and results of cameras whose outstanding frames are bounded elsewhere.
    """

    def __init__(self, capacity: int, *, writers: int, lost: Callable[[str, T], None]) -> None:
        """Make an open channel.

        Args:
            capacity: droppable items a lane holds.
            writers: how many `leave` calls end the channel.
            lost: told (lane, item) of each drop; called without the lock.
        """
        self._capacity = capacity
        self._lost = lost
        self._changed = threading.Condition()  # guards all below
        self._items: deque[tuple[str, T, bool]] = deque()
        self._droppable: dict[str, int] = {}
        self._writers = writers
        self._closed = False

    def put(self, lane: str, item: T, *, keep: bool = False) -> None:
        """Append an item; never waits.

        Raises:
            ChannelClosed: the reader has left.
        """
        dropped: T | None = None
        with self._changed:
            if self._closed:
                raise ChannelClosed
            if not keep:
                if self._droppable.get(lane, 0) >= self._capacity:
                    dropped = self._drop_oldest_locked(lane)
                self._droppable[lane] = self._droppable.get(lane, 0) + 1
            self._items.append((lane, item, keep))
            self._changed.notify()
        if dropped is not None:
            self._lost(lane, dropped)

    def take_all(self, timeout_s: float) -> list[T]:
        """Return everything that waits, oldest first; empty after `timeout_s`.

        Raises:
            ChannelClosed: every writer has left, or `close` was called, and nothing waits.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed or self._writers == 0, timeout_s)
            if not self._items and (self._closed or self._writers == 0):
                raise ChannelClosed
            items = [item for _, item, _ in self._items]
            self._items.clear()
            self._droppable.clear()
            return items

    def leave(self) -> None:
        """Say that one writer has left; with the last one the channel ends."""
        with self._changed:
            self._writers -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse new items; the reader still gets what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop_oldest_locked(self, lane: str) -> T:
        index = next(i for i, (name, _, keep) in enumerate(self._items) if name == lane and not keep)
        item = self._items[index][1]
        del self._items[index]
        self._droppable[lane] -= 1
        return item
