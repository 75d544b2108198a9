"""What every GPIO line does, shown on those of memory and on those of gpiod over its stand-in."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import GpioError
from streamer.gpio.base import InputSpec, OutputSpec
from streamer.gpio.memory_lines import MemoryInput, MemoryOutput
from streamer.gpio.open import open_input, open_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpiod import Board

    from streamer.gpio.base import InputLine, OutputLine

CHIP = "/dev/gpiochip0"


@dataclass
class Entry:
    """An input, and what moves it."""

    line: InputLine
    edge: Callable[[int], None]
    fail: Callable[[], None]


@dataclass
class Exit:
    """An output, and what it shows."""

    line: OutputLine
    active: Callable[[], bool]
    fail: Callable[[], None]


@pytest.fixture(params=["memory", "gpiod"])
def entry(request: pytest.FixtureRequest, gpio_board: Board) -> Entry:
    if request.param == "memory":
        memory = open_input(InputSpec(chip=CHIP, line=3), "memory")
        assert isinstance(memory, MemoryInput)
        return Entry(memory, memory.edge, lambda: memory.fail("gone"))

    def edge(at_ns: int) -> None:
        gpio_board.change(CHIP, 3, at_ns, high=True)
        gpio_board.change(CHIP, 3, at_ns, high=False)

    return Entry(open_input(InputSpec(chip=CHIP, line=3)), edge, lambda: gpio_board.gone(CHIP, 3))


@pytest.fixture(params=["memory", "gpiod"])
def output(request: pytest.FixtureRequest, gpio_board: Board) -> Exit:
    if request.param == "memory":
        memory = open_output(OutputSpec(chip=CHIP, line=4), "memory")
        assert isinstance(memory, MemoryOutput)
        return Exit(memory, lambda: memory.active, lambda: setattr(memory, "failure", "gone"))
    pin = gpio_board.pins[CHIP, 4]
    line = open_output(OutputSpec(chip=CHIP, line=4))
    return Exit(line, lambda: pin.high, lambda: setattr(pin, "fault", errno.ENODEV))


def test_edges_come_once_in_order_with_their_moments(entry: Entry) -> None:
    for at_ns in (5, 6, 9):
        entry.edge(at_ns)
    assert entry.line.wait(1.0) == [5, 6, 9]
    assert entry.line.wait(0.0) == []
    entry.edge(12)
    assert entry.line.wait(1.0) == [12]
    entry.line.close()


def test_a_wait_ends_when_an_edge_comes(entry: Entry) -> None:
    told: list[int] = []
    thread = threading.Thread(target=lambda: told.extend(entry.line.wait(5.0)))
    thread.start()
    entry.edge(7)
    thread.join(5.0)
    assert told == [7]
    entry.line.close()


def test_an_input_that_fails_says_so_and_can_be_closed_twice(entry: Entry) -> None:
    entry.fail()
    with pytest.raises(GpioError):
        entry.line.wait(1.0)
    entry.line.close()
    entry.line.close()


def test_an_output_is_inactive_until_it_is_driven_and_when_it_is_given_back(output: Exit) -> None:
    assert not output.active()
    output.line.set(active=True)
    assert output.active()
    output.line.set(active=False)
    assert not output.active()
    output.line.set(active=True)
    output.line.close()
    assert not output.active()
    output.line.close()


def test_an_output_that_fails_says_so_and_closing_it_raises_nothing(output: Exit) -> None:
    output.line.set(active=True)
    output.fail()
    with pytest.raises(GpioError):
        output.line.set(active=False)
    output.line.close()
    output.line.close()
