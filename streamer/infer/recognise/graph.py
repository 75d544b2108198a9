"""A look into an ONNX file's graph: by what operation an output comes about. Reads just that much of protobuf."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Numbers of fields in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS, _ATTRIBUTE_STRINGS = 1, 8, 9

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES = 10  # at most

# Operations that leave numbers as they are.
_PASSES = {
    "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "Transpose", "Dropout", "QuantizeLinear",
    "DequantizeLinear", "ZipMap",
}  # fmt: skip

Span = tuple[int, int]  # first byte, and the one behind the last
Field = tuple[int, "Span | int"]  # its number; where its bytes lie, or its value


@dataclass(frozen=True, slots=True)
class Made:
    """How an output comes about."""

    operation: str | None  # the last that changes numbers, as ONNX calls it; None: it can't be told
    keys: tuple[str, ...] = ()  # of a map from class to score: the classes, in the network's own order


@dataclass(frozen=True, slots=True)
class _Node:
    operation: str
    inputs: tuple[str, ...]
    keys: tuple[str, ...]


def made_by(path: Path, output: str) -> Made:
    """Follow an output back to the operation that made its numbers.

    Args:
        path: an ONNX file that a runtime has read.
        output: its name.

    Raises:
        BackendError: the file can't be read, or not understood.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            nodes = dict(_nodes(data))
    except OSError as exc:
        raise BackendError(f"{path}: can't be read ({exc.strerror})") from exc
    except (ValueError, IndexError, UnicodeDecodeError) as exc:
        raise BackendError(f"{path}: its graph can't be understood ({exc})") from exc
    node = nodes.pop(output, None)
    keys: tuple[str, ...] = ()
    while node is not None and node.operation in _PASSES and node.inputs:
        keys = keys or node.keys
        node = nodes.pop(node.inputs[0], None)  # taken out: a circle would never end
    return Made(None if node is None else node.operation, keys)


def _nodes(data: mmap.mmap) -> Iterator[tuple[str, _Node]]:
    """Yield each node of the graph by the name of each of its outputs."""
    for graph in _spans(data, (0, len(data)), _MODEL_GRAPH):
        for span in _spans(data, graph, _GRAPH_NODE):
            said: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_OP: []}
            keys: tuple[str, ...] = ()
            for number, value in _fields(data, span):
                if number in said and isinstance(value, tuple):
                    said[number].append(_text(data, value))
                elif number == _NODE_ATTRIBUTE and isinstance(value, tuple):
                    keys = keys or _class_labels(data, value)
            node = _Node("".join(said[_NODE_OP]), tuple(said[_NODE_INPUT]), keys)
            yield from ((name, node) for name in said[_NODE_OUTPUT])


def _class_labels(data: mmap.mmap, attribute: Span) -> tuple[str, ...]:
    """Return the classes that a ZipMap names, by texts or by numbers."""
    name = [_text(data, span) for span in _spans(data, attribute, _ATTRIBUTE_NAME)]
    if name == ["classlabels_strings"]:
        return tuple(_text(data, span) for span in _spans(data, attribute, _ATTRIBUTE_STRINGS))
    if name != ["classlabels_int64s"]:
        return ()
    numbers: list[int] = []
    for number, value in _fields(data, attribute):
        if number == _ATTRIBUTE_INTS and isinstance(value, int):
            numbers.append(value)
        elif number == _ATTRIBUTE_INTS and isinstance(value, tuple):  # packed
            at = value[0]
            while at < value[1]:
                one, at = _varint(data, at)
                numbers.append(one)
    return tuple(map(str, numbers))


def _text(data: mmap.mmap, span: Span) -> str:
    return data[span[0] : span[1]].decode()


def _spans(data: mmap.mmap, within: Span, wanted: int) -> Iterator[Span]:
    for number, value in _fields(data, within):
        if number == wanted and isinstance(value, tuple):
            yield value


def _fields(data: mmap.mmap, within: Span) -> Iterator[Field]:
    """Yield the fields of a message; what is long is stepped over, not read.

    Raises:
        ValueError: it is no message.
    """
    at, end = within
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > end:
            raise ValueError("a field that is longer than the message around it")
        yield number, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Return a number, and where the next byte lies."""
    value = 0
    for place in range(_VARINT_BYTES):
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            return value, at + place + 1
    raise ValueError("a number without an end")
