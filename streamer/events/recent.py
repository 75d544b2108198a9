"""What is remembered of each object, within a bound."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 1024  # objects: more than a camera shows within any time for which an id is kept


class Recent(Generic[T]):
    """A value for each track id; the one that was put longest ago goes first."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._values: dict[int, T] = {}  # the order of a dict is that of its insertions

    def get(self, track_id: int) -> T | None:
        """Return what was put, or None."""
        return self._values.get(track_id)

    def put(self, track_id: int, value: T) -> None:
        """Remember a value in the place of an older one."""
        self._values.pop(track_id, None)
        self._values[track_id] = value
        if len(self._values) > self._most:
            del self._values[next(iter(self._values))]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
