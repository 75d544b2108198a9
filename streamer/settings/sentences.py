"""Turns what pydantic found into plain sentences that say what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from .problem import KeyPath, listed, nearest, shown
from .section import Section
from .tree import Settings
from .values import kind_of

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from .reader import Document, Raw


def sentences(error: ValidationError, document: Document) -> list[tuple[KeyPath, str]]:
    """Return the key and the sentence of each thing that a validation found."""
    return [_sentence(details, document) for details in error.errors(include_url=False)]


def value_at(values: Raw, path: KeyPath) -> Raw:
    """Return the value at a path, None where there is none."""
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return None
    return values


def _sentence(details: ErrorDetails, document: Document) -> tuple[KeyPath, str]:
    section = tuple(str(part) for part in details["loc"] if part != "[key]")
    path = _as_written(section)
    value = value_at(document.values, path)
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            sentence = _unknown(section)
        case "missing":
            sentence = f"is missing; {_meaning(section)}"
        case "literal_error":
            allowed = re.findall(r"'([^']+)'", str(context["expected"]))
            near = nearest(value, allowed) if isinstance(value, str) else ""
            sentence = f"{_said(path, value)}must be one of {listed(allowed)}{near}"
        case "model_type" | "dict_type" | "mapping_type":
            sentence = f"must be a mapping{_of_keys(section)}, not {kind_of(value)}"
        case "tuple_type" | "list_type":
            sentence = f"must be a list, not {kind_of(value)}"
        case "refused":
            sentence = f"{_said(path, value)}{context['sentence']}"
        case _:
            sentence = f"is not allowed here; {_meaning(section)}"
    return path, sentence


def _as_written(section: KeyPath) -> KeyPath:
    """Return where the file has what a section of ours holds: a crossing stands in the file as the trigger itself."""
    trigger = [i for i, part in enumerate(section) if section[i - 2 : i + 1] == ("decide", "trigger", "crossing")]
    return section[: trigger[0]] + section[trigger[0] + 1 :] if trigger else section


def _said(path: KeyPath, value: Raw) -> str:
    """Repeat a value that can be no secret; of the broker's section, which has a login, nothing."""
    text = None if path[:1] == ("mqtt",) else shown(value)
    return f"{text} is not allowed; it " if text else ""


def _unknown(path: KeyPath) -> str:
    section = _section_at(path[:-1])
    known = _keys(section) if section else []
    return f"unknown key{nearest(path[-1], known)}; allowed: {listed(known, limit=40)}"


def _of_keys(path: KeyPath) -> str:
    section = _section_at(path)
    return f" of {listed(_keys(section))}" if section else ""


def _meaning(path: KeyPath) -> str:
    section = _section_at(path[:-1])
    fields = {} if section is None else {f.alias or name: f for name, f in section.model_fields.items()}
    field: FieldInfo | None = fields.get(path[-1]) if path else None
    return (
        f"needed: {field.description.rstrip('.')}"
        if field and field.description
        else "see the schema (`streamer check --schema`)"
    )


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _section_at(path: KeyPath) -> type[Section] | None:
    """Return the section that a path leads to, following the types of the tree."""
    kind: Any = Settings
    for part in path:
        section = _section_of(kind)
        if section is not None:
            found = [f for name, f in section.model_fields.items() if (f.alias or name) == part]
            kind = found[0].annotation if found else None
        else:
            kind = _items_of(kind)
    return _section_of(kind)


def _section_of(kind: Any) -> type[Section] | None:  # noqa: ANN401  a type expression
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    if get_origin(kind) in (Mapping, dict, tuple, list):
        return None
    return next(filter(None, map(_section_of, get_args(kind))), None)


def _items_of(kind: Any) -> Any:  # noqa: ANN401  a type expression
    if get_origin(kind) is Mapping:
        return get_args(kind)[1]
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    return next(filter(None, map(_items_of, get_args(kind))), None)
