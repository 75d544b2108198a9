"""The fixture `gpio_board`: a machine with GPIO chips that are not there, for code that drives lines."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpiod import Board

FAKES = Path(__file__).resolve().parent / "fakes"
_OURS = "streamer.gpio.gpiod_lines"  # holds the library itself


def _held() -> list[str]:
    return [name for name in sys.modules if name == _OURS or name.split(".")[0] == "gpiod"]


@pytest.fixture
def gpio_board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A machine with gpiod and a chip of eight lines, /dev/gpiochip0; a line that is not given back fails the test."""
    before = {name: sys.modules.pop(name) for name in _held()}
    monkeypatch.syspath_prepend(str(FAKES))
    board: Board = importlib.import_module("gpiod").board
    board.add("/dev/gpiochip0")
    try:
        yield board
        held = [where for where, pin in board.pins.items() if pin.request is not None]
        assert not held, f"lines that were not given back: {held}"
    finally:
        for name in _held():
            del sys.modules[name]
        sys.modules.update(before)
        package = sys.modules.get("streamer.gpio")
        if package is not None and hasattr(package, "gpiod_lines"):
            del package.gpiod_lines
