"""A stand-in for gpiod 2.x: chips whose pins a test moves and looks at. `tests/gpio/test_real_gpiod.py` compares them.

Beside what gpiod has there is `board`, the machine; a line is named by its chip's path and its number.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from . import line
from .line import Bias, Clock, Direction, Drive, Edge, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

__version__ = "2.5.0"
__all__ = ["Chip", "ChipInfo", "EdgeEvent", "LineRequest", "LineSettings", "line", "request_lines"]


@dataclass
class LineSettings:
    direction: Direction = Direction.AS_IS
    edge_detection: Edge = Edge.NONE
    bias: Bias = Bias.AS_IS
    drive: Drive = Drive.PUSH_PULL
    active_low: bool = False
    debounce_period: timedelta = timedelta()
    event_clock: Clock = Clock.MONOTONIC
    output_value: Value = Value.INACTIVE


@dataclass(frozen=True)
class ChipInfo:
    name: str
    label: str
    num_lines: int


@dataclass(frozen=True)
class EdgeEvent:
    event_type: int
    timestamp_ns: int
    line_offset: int
    global_seqno: int
    line_seqno: int


@dataclass
class Pin:
    """One line of the machine: the level at the pin, whoever drives it, and what it can't do."""

    high: bool = False
    request: LineRequest | None = None
    fault: int | None = None  # an errno: whatever is done with it fails so
    levels: list[bool] = field(default_factory=list)  # each that was driven
    driven_ns: list[int] = field(default_factory=list)  # when each was, monotonic

    def drive(self, settings: LineSettings, value: Value) -> None:
        self.high = (value is Value.ACTIVE) is not settings.active_low
        self.levels.append(self.high)
        self.driven_ns.append(time.monotonic_ns())


class Board:
    """The machine's chips."""

    def __init__(self) -> None:
        self.infos: dict[str, ChipInfo] = {}
        self.pins: dict[tuple[str, int], Pin] = {}
        self.closed: set[str] = set()  # chips that this user may not open

    def add(self, path: str, *, label: str = "sim", lines: int = 8) -> None:
        self.infos[path] = ChipInfo(path.rpartition("/")[2], label, lines)
        self.pins |= {(path, number): Pin() for number in range(lines)}

    def change(self, path: str, number: int, at_ns: int, *, high: bool) -> None:
        """Let a level change at a pin; whoever waits for that edge is told."""
        pin = self.pins[path, number]
        if pin.high != high:
            pin.high = high
            if pin.request is not None:
                pin.request._changed(at_ns, rising=high)

    def gone(self, path: str, number: int) -> None:
        """Let the chip vanish under an open line: it is readable, and reading fails."""
        pin = self.pins[path, number]
        pin.fault = errno.ENODEV
        if pin.request is not None:
            pin.request._wake()


board = Board()


class Chip:
    def __init__(self, path: str) -> None:
        if path not in board.infos:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if path in board.closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.path = path

    def __enter__(self) -> Chip:  # noqa: PYI034  typing.Self is of Python 3.11
        return self

    def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""

    def get_info(self) -> ChipInfo:
        return board.infos[self.path]


class LineRequest:
    def __init__(self, path: str, number: int, settings: LineSettings, kept: int) -> None:
        self._pin = board.pins[path, number]
        self._number = number
        self.settings = settings
        self._events: deque[EdgeEvent] = deque(maxlen=kept)  # the kernel throws the oldest away
        self._count = 0
        self._read_fd, self._write_fd = os.pipe()
        self._live = True
        self._pin.request = self
        if settings.direction is Direction.OUTPUT:
            self._pin.drive(settings, settings.output_value)

    def __bool__(self) -> bool:
        return self._live

    @property
    def fd(self) -> int:
        return self._read_fd

    def set_value(self, line: int | str, value: Value) -> None:
        assert line == self._number
        self._check()
        self._pin.drive(self.settings, value)

    def read_edge_events(self, max_events: int | None = None) -> list[EdgeEvent]:
        assert max_events is None
        os.read(self._read_fd, 4096)
        self._check()
        events = list(self._events)
        self._events.clear()
        return events

    def release(self) -> None:
        if self._live:
            self._live = False
            self._pin.request = None
            os.close(self._read_fd)
            os.close(self._write_fd)

    def _check(self) -> None:
        assert self._live, "used after its release"
        if self._pin.fault is not None:
            raise OSError(self._pin.fault, os.strerror(self._pin.fault))

    def _changed(self, at_ns: int, *, rising: bool) -> None:
        active = rising is not self.settings.active_low
        wanted = {Edge.RISING: active, Edge.FALLING: not active, Edge.BOTH: True, Edge.NONE: False}
        if wanted[self.settings.edge_detection]:
            self._count += 1
            late_ns = round(self.settings.debounce_period.total_seconds() * 1e9)  # as the kernel's own debouncer
            event = EdgeEvent(1 if active else 2, at_ns + late_ns, self._number, self._count, self._count)
            self._events.append(event)
            self._wake()

    def _wake(self) -> None:
        os.write(self._write_fd, b"\0")


def request_lines(
    path: str,
    config: dict[Iterable[int | str] | int | str, LineSettings | None],
    consumer: str | None = None,
    event_buffer_size: int | None = None,
    output_values: dict[int | str, Value] | None = None,
) -> LineRequest:
    assert consumer
    assert output_values is None
    with Chip(path) as chip:
        ((number, settings),) = config.items()
        assert isinstance(number, int)
        assert settings is not None
        if number >= chip.get_info().num_lines:
            raise ValueError("line offset of out range")
        pin = board.pins[path, number]
        if pin.fault is not None:
            raise OSError(pin.fault, os.strerror(pin.fault))
        if pin.request is not None:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return LineRequest(path, number, settings, event_buffer_size or 16)
