"""What the doctor finds of GPIO: chips, whether this user may use them, and the library that drives them."""

from __future__ import annotations

import os
from pathlib import Path

from .findings import Finding, State, ask, pip_line

_TOPIC = "GPIO"
_PURPOSE = "For triggers and rejects over GPIO only."
_RULE = """echo 'SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"' | sudo tee /etc/udev/rules.d/60-gpio.rules"""
_ASK = """
from streamer.core.errors import GpioError
from streamer.gpio.open import chips
try:
    say([[c.path, c.label, c.lines] for c in chips()])
except GpioError as exc:
    say(str(exc))
"""


def gpio(root: Path = Path("/")) -> Finding:
    """The GPIO chips of this machine, by their labels, and what is missing to use them."""
    paths = sorted((root / "dev").glob("gpiochip*"))
    if not paths:
        return Finding(_TOPIC, State.NOTE, "none: there is no /dev/gpiochip*")
    closed = [f"/dev/{path.name}" for path in paths if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        return _closed(closed, _group(paths[0]))
    found, error = ask(_ASK)
    names = ", ".join(f"/dev/{path.name}" for path in paths)
    if not isinstance(found, list):
        return Finding(_TOPIC, State.MISSING, f"{names}; {found or error}", _PURPOSE, pip_line("gpio", "gpiod"))
    chips = [f"{path} {label} ({lines} lines)" for path, label, lines in found]
    return Finding(_TOPIC, State.OK, "; ".join(chips) or f"{names}: none of them can be opened")


def _closed(closed: list[str], group: str) -> Finding:
    text = f"no permission for {', '.join(closed)}"
    if group == "root":  # nobody should be in that
        purpose = f"{_PURPOSE} A group must own the chips, and your user be in it; then log in again."
        get = f"sudo groupadd -f gpio && sudo usermod -aG gpio $USER && {_RULE} && sudo udevadm trigger"
        return Finding(_TOPIC, State.MISSING, text, purpose, get)
    purpose = f"{_PURPOSE} Your user must be in the group that owns the chips."
    return Finding(_TOPIC, State.MISSING, text, purpose, f"sudo usermod -aG {group} $USER")


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return "gpio"
