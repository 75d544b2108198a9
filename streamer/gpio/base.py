"""What is asked of a GPIO line, and which line is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["gpiod", "memory"]  # a line of this machine; one that is not there, for tests and dry runs
Bias = Literal["as-is", "up", "down", "off"]  # the chip's own resistor at an input
DEVICES = "/dev"


class InputLine(Protocol):
    """A line that is open for reading. One thread uses it."""

    def wait(self, timeout_s: float) -> list[int]:
        """Wait for edges.

        Args:
            timeout_s: how long at most.

        Returns:
            When each edge came (monotonic, ns), oldest first; empty when none came in time.

        Raises:
            GpioError: the line can't be read any more.
        """

    def close(self) -> None:
        """Give the line back. Idempotent."""


class OutputLine(Protocol):
    """A line that is open for driving, inactive at first. One thread uses it."""

    def set(self, *, active: bool) -> None:
        """Drive the line.

        Raises:
            GpioError: it can't be driven any more.
        """

    def close(self) -> None:
        """Make the line inactive as far as that is possible, and give it back. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """A light barrier or a button."""

    chip: str  # gpiochip0, or its path
    line: int  # the line's number on the chip
    edge: Literal["rising", "falling"] = "rising"
    debounce_s: float = 0.0  # changes shorter than this do not count; 0: each does
    bias: Bias = "as-is"

    def __str__(self) -> str:
        return f"line {self.line} of {chip_path(self.chip)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """What a line drives: a valve, a gate, a lamp."""

    chip: str  # gpiochip0, or its path
    line: int  # the line's number on the chip
    active: Literal["high", "low"] = "high"  # the level that means active

    def __str__(self) -> str:
        return f"line {self.line} of {chip_path(self.chip)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipFound:
    """A GPIO chip of this machine."""

    path: str
    label: str
    lines: int


def chip_path(chip: str) -> str:
    """Return where a chip is: `gpiochip0` stands for `/dev/gpiochip0`."""
    return chip if "/" in chip else f"{DEVICES}/{chip}"
