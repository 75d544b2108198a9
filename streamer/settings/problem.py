"""What is wrong in a configuration, where, and what is allowed instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .substitute import FromEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KeyPath = tuple[str, ...]  # from the top; items of a list by their number from 0

# Under these keys the user invents the names, so that a space in one is no accident.
_NAMED_BY_USER = frozenset({"cameras", "models", "zones", "lines", "classes", "labels"})
_PLAIN = re.compile(r"\w[\w-]{0,39}")
_PLAIN_WITH_SPACES = re.compile(r"\w[\w .%+-]{0,39}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. Its text never holds a password."""

    file: str
    line: int  # from 1
    key: str  # dotted
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class SettingsError(ConfigError):
    """A configuration that can't be used, with every problem that was found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def dotted(path: KeyPath) -> str:
    """Write a key for people; a part that is not a plain name (it may be a misplaced secret) becomes `?`."""
    return ".".join(_shown(parent, part) for parent, part in zip(("", *path), path, strict=False)) or "file"


def shown(value: object) -> str | None:
    """Return a value as it may be repeated in a message, or None if it may not.

    Only short plain words and numbers are repeated: no address, and nothing from the environment.
    """
    if (
        isinstance(value, str)
        and not isinstance(value, FromEnvironment)
        and (value == "" or _PLAIN_WITH_SPACES.fullmatch(value))
    ):
        return f"'{value}'"
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; nearest: 'x'` for the known words most like `word`, or nothing."""
    close = get_close_matches(word, list(known), 2, 0.6)
    return f"; nearest: {' or '.join(repr(name) for name in close)}" if close else ""


def listed(names: Iterable[str], limit: int = 20) -> str:
    """Join names with commas, at most `limit` of them."""
    every = list(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def _shown(parent: str, part: str) -> str:
    pattern = _PLAIN_WITH_SPACES if parent in _NAMED_BY_USER else _PLAIN
    return part if pattern.fullmatch(part) else "?"
