from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import ConfigError, GpioError
from streamer.gpio.base import ChipFound, InputSpec, OutputSpec, chip_path
from streamer.gpio.memory_lines import MemoryInput, MemoryOutput
from streamer.gpio.open import HOW_TO_GET, chips, open_input, open_output, require_gpiod

if TYPE_CHECKING:
    from pathlib import Path

    from gpiod import Board

INPUT = InputSpec(chip="gpiochip0", line=3)


def test_without_gpiod_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    monkeypatch.delitem(sys.modules, "streamer.gpio.gpiod_lines", raising=False)
    with pytest.raises(GpioError) as told:
        open_input(INPUT)
    assert str(told.value) == HOW_TO_GET
    with pytest.raises(ConfigError) as config:
        require_gpiod()
    assert str(config.value) == HOW_TO_GET


def test_the_gpiod_of_old_distributions_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", ModuleType("gpiod"))  # 1.x: a Chip with get_line, no request_lines
    with pytest.raises(GpioError, match=r"^the gpiod that is installed is too old\. GPIO needs gpiod 2\.1"):
        chips()


def test_lines_of_memory_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    assert isinstance(open_input(INPUT, "memory"), MemoryInput)
    assert isinstance(open_output(OutputSpec(chip="any", line=0), "memory"), MemoryOutput)


def test_chips_are_those_that_can_be_opened(gpio_board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_gpiod()
    for number in range(3):
        (tmp_path / f"gpiochip{number}").touch()
        gpio_board.add(f"{tmp_path}/gpiochip{number}", label=f"pinctrl-{number}", lines=4 + number)
    gpio_board.closed.add(f"{tmp_path}/gpiochip1")
    monkeypatch.setattr("streamer.gpio.gpiod_lines.DEVICES", str(tmp_path))
    assert chips() == [
        ChipFound(path=f"{tmp_path}/gpiochip0", label="pinctrl-0", lines=4),
        ChipFound(path=f"{tmp_path}/gpiochip2", label="pinctrl-2", lines=6),
    ]


def test_a_chip_is_named_or_given_by_its_path() -> None:
    assert chip_path("gpiochip2") == "/dev/gpiochip2"
    assert chip_path("/dev/gpio/by-id/usb-1") == "/dev/gpio/by-id/usb-1"
