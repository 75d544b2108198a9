from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from servers.broker import wait_until

from streamer.core.clock import FakeClock, SystemClock
from streamer.core.errors import GpioError
from streamer.gpio.memory_lines import MemoryInput
from streamer.pipeline.gpio_loop import GpioInput, GpioInputPlan
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Belt:
    """An input whose lines are given one after the other; the loop stops when there are none left."""

    def __init__(self, *lines: MemoryInput | str) -> None:
        self.items: list[tuple[str, int]] = []
        self.alarms: list[str | None] = []
        self.counts: Counter[str] = Counter()
        self.beats = 0
        self.stop = threading.Event()
        self.clock = FakeClock()
        self.opened_ns: list[int] = []
        self._lines = list(lines)
        self.last = 10_000  # the number of the edge after which the belt stops
        plan = GpioInputPlan(
            camera="line", open_line=self._open, trigger=self.trigger, count=self._count, alarm=self.alarms.append
        )
        self.input = GpioInput(plan, clock=self.clock, stop=self.stop, beat=self._beat)

    def _open(self) -> MemoryInput:
        self.opened_ns.append(self.clock.monotonic_ns())
        line = self._lines.pop(0)
        if isinstance(line, str):
            raise GpioError(line)
        return line

    def trigger(self, name: str, at_ns: int) -> None:
        self.items.append((name, at_ns))
        if len(self.items) == self.last:
            self.stop.set()

    def _count(self, counter: str, n: int) -> None:
        self.counts[counter] += n

    def _beat(self) -> None:
        self.beats += 1


def line_with(*edges_ns: int, failure: str | None = None) -> MemoryInput:
    line = MemoryInput()
    for at_ns in edges_ns:
        line.edge(at_ns)
    if failure is not None:
        line.fail(failure)
    return line


def test_each_edge_begins_an_item_at_its_moment_numbered_from_1() -> None:
    line = line_with(100, 200, 300)
    belt = Belt(line)
    belt.last = 3
    belt.input.loop()
    assert belt.items == [("gpio-1", 100), ("gpio-2", 200), ("gpio-3", 300)]
    assert belt.alarms == []
    assert belt.beats >= 1
    assert line.closed


def test_a_line_that_fails_is_an_alarm_and_opened_anew_and_numbers_go_on(caplog: pytest.LogCaptureFixture) -> None:
    broken = line_with(failure="the wire is cut")
    belt = Belt(line_with(1, failure=None), "there is no such chip", "there is no such chip", broken, line_with(5, 6))
    first = belt._lines[0]
    assert isinstance(first, MemoryInput)
    triggered: Callable[[str, int], None] = belt.trigger

    def trigger(name: str, at_ns: int) -> None:
        triggered(name, at_ns)
        first.fail("unplugged")

    belt.input._plan = GpioInputPlan(
        camera="line", open_line=belt._open, trigger=trigger, count=belt._count, alarm=belt.alarms.append
    )
    belt.last = 3
    belt.input.loop()
    assert belt.items == [("gpio-1", 1), ("gpio-2", 5), ("gpio-3", 6)]
    assert belt.alarms == ["unplugged", "there is no such chip", "the wire is cut", None]
    waits_s = [(after - before) / 1e9 for before, after in zip(belt.opened_ns, belt.opened_ns[1:], strict=False)]
    assert waits_s == [1.0] * 4
    assert first.closed
    assert broken.closed
    assert len(caplog.messages) == 3  # each reason once


def test_an_edge_that_begins_no_item_is_said_once_and_counted_and_the_next_ones_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    belt = Belt(line_with(1, 2, 3))
    taken: list[str] = []

    def trigger(name: str, _at_ns: int) -> None:
        if name != "gpio-3":
            raise ValueError("there are too many items")
        taken.append(name)
        belt.stop.set()

    belt.input._plan = GpioInputPlan(
        camera="line", open_line=belt._open, trigger=trigger, count=belt._count, alarm=belt.alarms.append
    )
    belt.input.loop()
    assert taken == ["gpio-3"]
    assert belt.counts == {"triggers_refused": 2}
    assert caplog.messages == ["gpio: line: an edge begins no item: there are too many items"]


def test_it_ends_by_itself_while_nothing_comes_and_while_the_line_is_away() -> None:
    for opened in (MemoryInput, _absent):
        stop = threading.Event()
        alive = threading.Event()
        plan = GpioInputPlan(
            camera="line",
            open_line=opened,
            trigger=lambda _name, _at_ns: None,
            count=lambda _counter, _n: None,
            alarm=lambda _reason: None,
        )
        entry = GpioInput(plan, clock=SystemClock(), stop=stop, beat=alive.set)
        worker = Worker("gpio-in-line", entry.loop)
        worker.start()
        assert alive.wait(5.0)
        stop.set()
        assert worker.join(2.0)
        assert worker.failure is None


def _absent() -> MemoryInput:
    raise GpioError("there is no such chip")


def test_an_edge_wakes_the_loop_at_once() -> None:
    line = MemoryInput()
    belt = Belt(line)
    belt.last = 1
    worker = Worker("gpio-in-line", belt.input.loop)
    worker.start()
    line.edge(42)
    wait_until(lambda: belt.items == [("gpio-1", 42)], 5.0, "an item")
    assert worker.join(2.0)
