from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from streamer import doctor_gpio
from streamer.doctor_gpio import gpio
from streamer.findings import State, ask

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root of a machine with two chips."""
    (tmp_path / "dev").mkdir()
    for number in range(2):
        (tmp_path / f"dev/gpiochip{number}").touch()
    return tmp_path


def test_no_chip_is_a_note(tmp_path: Path) -> None:
    found = gpio(tmp_path)
    assert (found.state, found.found) == (State.NOTE, "none: there is no /dev/gpiochip*")


def test_chips_are_listed_by_label(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [["/dev/gpiochip0", "pinctrl-bcm2711", 58], ["/dev/gpiochip1", "cp2112_gpio", 8]]
    monkeypatch.setattr(doctor_gpio, "ask", lambda _code: (told, ""))
    found = gpio(machine)
    assert found.state is State.OK
    assert found.found == "/dev/gpiochip0 pinctrl-bcm2711 (58 lines); /dev/gpiochip1 cp2112_gpio (8 lines)"


def test_without_the_library_the_line_that_installs_it_is_given(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpio, "ask", lambda _code: ("GPIO needs gpiod", ""))
    found = gpio(machine)
    assert found.state is State.MISSING
    assert found.found == "/dev/gpiochip0, /dev/gpiochip1; GPIO needs gpiod"
    assert "gpiod" in found.get
    assert found.purpose


@pytest.mark.parametrize(("group", "line"), [("gpio", "usermod -aG gpio $USER"), ("root", "60-gpio.rules")])
def test_a_chip_that_this_user_may_not_open(
    machine: Path, monkeypatch: pytest.MonkeyPatch, group: str, line: str
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).endswith("1"))
    monkeypatch.setattr(doctor_gpio, "_group", lambda _path: group)
    found = gpio(machine)
    assert (found.state, found.found) == (State.MISSING, "no permission for /dev/gpiochip1")
    assert line in found.get
    assert "usermod -aG root" not in found.get


def test_what_is_asked_of_the_library_is_answered_with_or_without_it() -> None:
    found, error = ask(doctor_gpio._ASK)
    assert error == ""
    assert isinstance(found, list) or "GPIO needs gpiod" in found
