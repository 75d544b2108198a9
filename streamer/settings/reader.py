"""YAML text in, plain values out, each with its line.

All scalars stay text as the user wrote them (only a plain `null`, `~` or nothing is None): the key decides what a
value must be, so that `on`, `no`, `007`, `12:30` and dates never turn into something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import yaml

from .substitute import FromEnvironment, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .problem import KeyPath

MAX_BYTES = 1_000_000  # a hundred cameras need a tenth of it
MAX_DEPTH = 30  # the deepest key of the schema is at 7
MAX_VALUES = 100_000  # after aliases are followed: a few lines of them can mean billions

Raw = Union[str, None, "dict[str, Raw]", "list[Raw]"]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Wrong:
    """What the reader can't accept."""

    line: int  # from 1
    path: KeyPath
    sentence: str


@dataclass(frozen=True, slots=True)
class Document:
    """What was read. `values` is None if the text could not be read to its end."""

    values: Raw
    lines: Mapping[KeyPath, int]  # of each key and item
    wrong: tuple[Wrong, ...]


@dataclass(frozen=True, slots=True)
class _Node:
    line: int
    content: str | dict[str, tuple[int, _Node]] | tuple[_Node, ...] | None  # a mapping keeps the line of each key
    depth: int = 1
    values: int = 1


class _Unreadable(Exception):  # noqa: N818  the end of reading, told as a `Wrong`
    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


def read(data: bytes, environ: Mapping[str, str]) -> Document:
    """Read one YAML document, refusing what it can't give a line and a plain value to.

    Args:
        data: the file's bytes.
        environ: what `${NAME}` means.
    """
    reader = _Reader()
    try:
        node = reader.document(_text(data))
    except _Unreadable as exc:
        return Document(None, {}, (*reader.wrong, Wrong(exc.line, (), exc.sentence)))
    spread = _Spread(environ)
    values = spread.plain(node, (), node.line)
    return Document(values, spread.lines, (*reader.wrong, *spread.wrong))


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _Unreadable(1, f"is larger than {MAX_BYTES // 1000} kB, no configuration of cameras")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise _Unreadable(line, "is not UTF-8 text; save it as UTF-8") from None
    if control := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        line = text.count("\n", 0, control.start()) + 1
        raise _Unreadable(line, "holds a control character; a configuration is plain text")
    return text


class _Reader:
    """Composes the nodes of one document; keeps going after what is only wrong in one place."""

    def __init__(self) -> None:
        self.wrong: list[Wrong] = []
        self._anchors: dict[str, _Node] = {}

    def document(self, text: str) -> _Node:
        """Return the document's top mapping."""
        try:
            loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as exc:
            line = text.count("\n", 0, exc.position) + 1
            raise _Unreadable(line, "holds a character that YAML does not allow") from None
        try:
            return self._document(loader)
        except yaml.MarkedYAMLError as exc:
            unclosed = "end of stream" in str(exc.problem)  # then what matters is where it began
            mark = (exc.context_mark if unclosed else None) or exc.problem_mark or exc.context_mark
            raise _Unreadable(mark.line + 1 if mark else 1, _syntax_sentence(exc)) from None
        except (ValueError, OverflowError):  # PyYAML lets chr() and int() fail on absurd escapes and versions
            raise _Unreadable(loader.line + 1, "is not YAML: an escape or a number that does not exist") from None
        finally:
            loader.dispose()

    def _document(self, loader: yaml.SafeLoader) -> _Node:
        _next(loader)  # the stream's start
        event = _next(loader)
        if isinstance(event, yaml.StreamEndEvent):
            raise _Unreadable(1, "is empty; it needs at least `cameras`")
        node = self._node(loader, _next(loader), ())
        _next(loader)  # the document's end
        event = _next(loader)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _Unreadable(_line(event), "holds a second document (`---`); one file is one configuration")
        if not isinstance(node.content, dict):
            raise _Unreadable(node.line, "must be a mapping of keys and values, such as `cameras:`")
        return node

    def _node(self, loader: yaml.SafeLoader, event: yaml.Event, path: KeyPath) -> _Node:
        line = _line(event)
        if len(path) > MAX_DEPTH:
            raise _Unreadable(line, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        if getattr(event, "tag", None) is not None:
            self.wrong.append(Wrong(line, path, "has a tag (`!...`), which is not supported; write the plain value"))
        if isinstance(event, yaml.ScalarEvent):
            null = event.style is None and event.value in _NULL
            node = _Node(line, None if null else event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(loader, line, path)
        else:
            node = self._mapping(loader, line, path)
        if node.depth > MAX_DEPTH or node.values > MAX_VALUES:
            raise _Unreadable(line, f"is nested more than {MAX_DEPTH} deep or means more than {MAX_VALUES} values")
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _aliased(self, event: yaml.AliasEvent, path: KeyPath) -> _Node:
        node = self._anchors.get(str(event.anchor))
        if node is not None:
            return node
        sentence = "is an alias (`*name`) of nothing before it; a text that begins with * needs quotes"
        self.wrong.append(Wrong(_line(event), path, sentence))
        return _Node(_line(event), None)

    def _sequence(self, loader: yaml.SafeLoader, line: int, path: KeyPath) -> _Node:
        items: list[_Node] = []
        while not isinstance(event := _next(loader), yaml.SequenceEndEvent):
            items.append(self._node(loader, event, (*path, str(len(items)))))
        return _Node(line, tuple(items), *_weight(items))

    def _mapping(self, loader: yaml.SafeLoader, line: int, path: KeyPath) -> _Node:
        entries: dict[str, tuple[int, _Node]] = {}
        merged: list[_Node] = []
        while not isinstance(event := _next(loader), yaml.MappingEndEvent):
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                self._node(loader, event, (*path, "?"))
                self.wrong.append(Wrong(_line(event), path, "has a key that is not plain text"))
            below = (*path, key or "?")
            value = self._node(loader, _next(loader), below)
            if key is None:
                continue
            if key in entries:
                sentence = f"stands twice in this mapping (first in line {entries[key][0]}); keep one"
                self.wrong.append(Wrong(_line(event), below, sentence))
            elif key == "<<" and getattr(event, "style", None) is None:
                merged += self._merged(value, below)
            else:
                entries[key] = (_line(event), value)
        for node in merged:
            if isinstance(node.content, dict):
                entries = {**node.content, **entries}
        return _Node(line, entries, *_weight([node for _, node in entries.values()]))

    def _merged(self, value: _Node, path: KeyPath) -> list[_Node]:
        """Return the mappings that a `<<` names, the most important first."""
        nodes = list(value.content) if isinstance(value.content, tuple) else [value]
        if all(isinstance(node.content, dict) for node in nodes):
            return nodes
        self.wrong.append(Wrong(value.line, path, "merges mappings only: write `<<: *name`"))
        return []


class _Spread:
    """Turns nodes into plain values, following aliases, and notes the line of each key."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.wrong: list[Wrong] = []
        self._environ = environ

    def plain(self, node: _Node, path: KeyPath, line: int) -> Raw:
        """Return the value of a node; `line` is that of its key."""
        self.lines[path] = line
        content = node.content
        if isinstance(content, dict):
            return {key: self.plain(below, (*path, key), at) for key, (at, below) in content.items()}
        if isinstance(content, tuple):
            return [self.plain(below, (*path, str(i)), below.line) for i, below in enumerate(content)]
        return None if content is None else self._scalar(content, path, line)

    def _scalar(self, text: str, path: KeyPath, line: int) -> str:
        value, wrong = substitute(text, self._environ, in_address=_is_address(path))
        self.wrong += [Wrong(line, path, sentence) for sentence in wrong]
        if _CONTROL.search(value):
            self.wrong.append(Wrong(line, path, "holds a control character"))
        return FromEnvironment(value) if "${" in text else value


def _is_address(path: KeyPath) -> bool:
    return path == ("mqtt", "url") or (len(path) == 3 and path[0] == "cameras" and path[2] in {"source", "record"})


def _next(loader: yaml.SafeLoader) -> yaml.Event:
    event: yaml.Event = loader.get_event()  # type: ignore[no-untyped-call]  # the stubs miss it
    return event


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _weight(below: list[_Node]) -> tuple[int, int]:
    """Return the depth and the number of values of a node that holds `below`."""
    return 1 + max((node.depth for node in below), default=0), 1 + sum(node.values for node in below)


def _syntax_sentence(exc: yaml.MarkedYAMLError) -> str:
    """Say what is wrong with the YAML without repeating any of it: the line may hold a password."""
    problem = str(exc.problem or "")
    for word, sentence in _SYNTAX:
        if word in problem:
            return f"is not YAML here: {sentence}"
    return "is not YAML here; look at indentation, quotes, colons and brackets on this line and the one before"


_SYNTAX = (
    ("\\t", "a tab; indent with spaces"),
    ("mapping values are not allowed", "a second `: ` on the line, or wrong indentation; put text with `: ` in quotes"),
    ("could not find expected ':'", "a key without `: ` after it"),
    ("end of stream", "a quote or bracket is never closed"),
    ("block end", "wrong indentation, or text after a closing quote"),
    ("',' or", "a `,` or a closing bracket is missing"),
    ("escape", "an unknown escape in double quotes; use single quotes"),
    ("cannot start any token", "a value that begins with @, ` or % needs quotes"),
    ("duplicate anchor", "an anchor (`&name`) that exists already"),
)
