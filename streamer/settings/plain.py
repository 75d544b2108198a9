"""Reading the file's plain values, whatever else is wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .problem import shown
from .values import as_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .reader import Raw


def at(values: Raw, key: str) -> Raw:
    """Return what a key holds; None where there is no such thing."""
    return values.get(key) if isinstance(values, dict) else None


def mapping(values: Raw) -> dict[str, Raw]:
    """Return a mapping as it is, and anything else as an empty one."""
    return values if isinstance(values, dict) else {}


def items(values: Raw) -> Iterable[tuple[str, Raw]]:
    """Return a list's items with their places as keys; nothing of anything else."""
    return [(str(i), item) for i, item in enumerate(values)] if isinstance(values, list) else []


def numbers(values: Raw) -> list[float]:
    """Return a list's numbers."""
    found = [as_number(item) for item in values] if isinstance(values, list) else []
    return [number for number in found if number is not None]


def texts(values: Raw) -> list[str]:
    """Return a text, or a list's texts."""
    listed = [values] if isinstance(values, str) else values if isinstance(values, list) else []
    return [item for item in listed if isinstance(item, str)]


def named(name: str) -> str:
    """Return a name as the beginning of a sentence; nothing where it may not be shown."""
    text = shown(name)
    return f"{text} " if text else ""
