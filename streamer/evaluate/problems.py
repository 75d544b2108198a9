"""What is wrong with a data set, told all together: who mends one fault wants to know of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TOLD = 20


class Problems:
    """Faults of one data set, each a sentence with its place; the first are kept, the others counted."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, place: Path | str, what: str) -> None:
        """Take one fault.

        Args:
            place: `FILE` or `FILE:LINE`.
            what: what is wrong, what is allowed.
        """
        self.take(f"{place}: {what}")

    def take(self, sentence: str) -> None:
        """Take one fault that says its place itself."""
        self.count += 1
        if len(self._first) < _TOLD:
            self._first.append(sentence)

    def lines(self) -> list[str]:
        """Return the faults, a line each, and how many more there are."""
        more = self.count - len(self._first)
        return [*self._first, *([f"and {more} more like these"] if more else [])]

    def raise_any(self) -> None:
        """End here if there was a fault.

        Raises:
            ConfigError: the faults, a line each.
        """
        if self.count:
            raise ConfigError("\n".join(self.lines()))


def read_text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        ConfigError: it can't be read, or is no UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is no UTF-8 text") from exc
