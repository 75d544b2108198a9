"""From a file to settings, or to every problem in it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from .address import BrokerAddress, BrokerField, Source, SourceField
from .problem import KeyPath, Problem, SettingsError, dotted
from .reader import MAX_BYTES, Document, read
from .references import dangling
from .sentences import sentences, value_at
from .tree import Settings
from .unbuilt import not_supported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

T = TypeVar("T")

_SOURCE: TypeAdapter[Source] = TypeAdapter(SourceField)
_BROKER: TypeAdapter[BrokerAddress] = TypeAdapter(BrokerField)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each of them stands."""

    settings: Settings
    file: str  # as the user named it
    lines: Mapping[KeyPath, int]

    def line_of(self, path: KeyPath) -> int:
        """Return the line of a key, from 1; of the nearest key above it if it is not in the file."""
        return _line(self.lines, path)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a problem with a key, for checks that come after loading."""
        return Problem(self.file, self.line_of(path), dotted(path), message)


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read, check and complete a configuration file.

    Args:
        path: the file; relative paths in it start at its folder.
        environ: what `${NAME}` means.

    Raises:
        SettingsError: it can't be read or used; holds every problem, sorted by line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "not the name of a file"
        raise SettingsError([Problem(str(path), 1, "file", f"can't be read: {reason}")]) from None
    return parse(data, file=path, environ=environ)


def parse(data: bytes, *, file: Path, environ: Mapping[str, str]) -> Loaded:
    """Check and complete the text of a configuration.

    Args:
        data: UTF-8 text.
        file: what to call it in problems; its folder is where relative paths start.
        environ: what `${NAME}` means.

    Raises:
        SettingsError: it can't be used; holds every problem, sorted by line.
    """
    document = read(data, environ)
    found = [(wrong.line, wrong.path, wrong.sentence) for wrong in document.wrong]
    settings = None
    if document.values is not None:
        settings, wrong = _validated(document, _context(file, environ))
        unread = {wrong.path for wrong in document.wrong}
        found += [(_line(document.lines, path), path, sentence) for path, sentence in wrong if path not in unread]
    if settings is None or found:
        problems = {Problem(str(file), line, dotted(path), sentence) for line, path, sentence in found}
        raise SettingsError(sorted(problems))
    return Loaded(settings, str(file), document.lines)


def _validated(document: Document, context: Mapping[str, str]) -> tuple[Settings | None, list[tuple[KeyPath, str]]]:
    """Return the settings if their own rules hold, and everything that is wrong with them or between them."""
    settings = None
    wrong: list[tuple[KeyPath, str]] = []
    try:
        settings = Settings.model_validate(document.values, context=context)
    except ValidationError as exc:
        wrong += sentences(exc, document)
    wrong += dangling(document.values, _sources(document, context), _valid(_BROKER, document, ("mqtt", "url"), context))
    wrong += not_supported(document.values)
    return settings, wrong


def _sources(document: Document, context: Mapping[str, str]) -> dict[str, Source]:
    cameras = value_at(document.values, ("cameras",))
    names: Iterable[str] = cameras if isinstance(cameras, dict) else ()
    sources = {name: _valid(_SOURCE, document, ("cameras", name, "source"), context) for name in names}
    return {name: source for name, source in sources.items() if source is not None}


def _valid(adapter: TypeAdapter[T], document: Document, path: KeyPath, context: Mapping[str, str]) -> T | None:
    try:
        return adapter.validate_python(value_at(document.values, path), context=context)
    except ValidationError:  # reported with the tree
        return None


def _context(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    return {"folder": str(file.absolute().parent), "home": environ.get("HOME", "")}


def _line(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
