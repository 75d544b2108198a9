"""What is counted: plain whole numbers under a name and labels, from any thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Labels = tuple[tuple[str, str], ...]  # sorted by name
Series = tuple[str, Labels]


class Counter:
    """A number that only grows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the number
        self._value = 0

    def add(self, count: int = 1) -> None:
        """Add `count`.

        Raises:
            ValueError: it is negative.
        """
        if count < 0:
            raise ValueError(f"a counter only grows, got {count}")
        with self._lock:
            self._value += count

    @property
    def value(self) -> int:
        """The sum so far."""
        with self._lock:
            return self._value


class Gauge:
    """A number that is what it was last set to. Thread-safe."""

    def __init__(self) -> None:
        self._value = 0  # one reference, replaced at once: needs no lock

    def set(self, value: int) -> None:
        """Set the number."""
        self._value = value

    @property
    def value(self) -> int:
        """The number that was set last, 0 before."""
        return self._value


class Metrics:
    """All counters and gauges of a run. The same name and labels give the same one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the three
        self._counters: dict[Series, Counter] = {}
        self._gauges: dict[Series, Gauge] = {}
        self._others: list[tuple[Callable[[], Mapping[str, int]], dict[str, str]]] = []

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the counter `name` with these labels; made at its first use."""
        series = _series(name, labels)
        with self._lock:
            return self._counters.setdefault(series, Counter())

    def gauge(self, name: str, **labels: str) -> Gauge:
        """Return the gauge `name` with these labels; made at its first use."""
        series = _series(name, labels)
        with self._lock:
            return self._gauges.setdefault(series, Gauge())

    def include(self, counts: Callable[[], Mapping[str, int]], **labels: str) -> None:
        """Have in each snapshot what is counted elsewhere: `counts`, which any thread may call, says it by name."""
        with self._lock:
            self._others.append((counts, labels))

    def snapshot(self) -> dict[Series, int]:
        """Return every number as it is now, by name and labels."""
        with self._lock:
            kept: dict[Series, Counter | Gauge] = {**self._counters, **self._gauges}
            others = list(self._others)
        numbers = {series: number.value for series, number in kept.items()}
        for counts, labels in others:
            numbers |= {_series(name, labels): value for name, value in counts().items()}
        return dict(sorted(numbers.items()))


def _series(name: str, labels: dict[str, str]) -> Series:
    return name, tuple(sorted(labels.items()))
