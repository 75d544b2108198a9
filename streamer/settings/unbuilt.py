"""What the schema has and this release has not: refused when switched on. Building one deletes its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values import as_bool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .problem import KeyPath
    from .reader import Raw


def _is_true(value: Raw) -> bool:
    return as_bool(value) is True


def _given(value: Raw) -> bool:
    return value is not None


def _filled(value: Raw) -> bool:
    return value not in (None, {}, [])


# (path, `*` for any name or number; whether the value switches it on; what is not supported yet)
UNBUILT: tuple[tuple[str, Callable[[Raw], bool], str], ...] = (
    ("dashboard.enabled", _is_true, "the dashboard is not supported yet; allowed: false"),
)


def not_supported(values: Raw) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key and the sentence of each feature that is switched on but not built."""
    for pattern, switched_on, sentence in UNBUILT:
        for path, value in _matching(values, tuple(pattern.split(".")), ()):
            if switched_on(value):
                yield path, sentence


def _matching(values: Raw, pattern: KeyPath, path: KeyPath) -> Iterator[tuple[KeyPath, Raw]]:
    if not pattern:
        yield path, values
        return
    items = {str(i): item for i, item in enumerate(values)} if isinstance(values, list) else values
    if isinstance(items, dict):
        for key in list(items) if pattern[0] == "*" else [pattern[0]]:
            if key in items:
                yield from _matching(items[key], pattern[1:], (*path, key))
