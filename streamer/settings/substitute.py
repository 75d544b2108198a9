"""`${NAME}` and `${NAME:-default}` in the text of a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}")
_WORD_END = re.compile(r"[\s\"']")
_AUTHORITY_END = re.compile(r"[/?#\s\"']")


class FromEnvironment(str):
    """Text that came, wholly or in part, from the environment: it may be a secret, so no message repeats it."""

    __slots__ = ()


def substitute(text: str, environ: Mapping[str, str], *, in_address: bool) -> tuple[str, tuple[str, ...]]:
    """Replace the variables in `text`; as in a shell, the default also stands in for an empty variable.

    Args:
        text: the value as it stands in the file.
        environ: names and values.
        in_address: the value is an address: what stands inside a URL in it is percent-encoded.

    Returns:
        The new text, and a sentence for each thing that is wrong. No sentence repeats a value.
    """
    done: list[str] = []
    wrong: list[str] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        done.append(text[position:start])
        match = _VARIABLE.match(text, start)
        if match is None:
            wrong.append("'${' begins a variable: write ${NAME} or ${NAME:-default}, without another ${ in the default")
            return text, tuple(wrong)
        value = environ.get(match["name"]) or match["default"] or environ.get(match["name"])
        position = match.end()
        if value is None and match["default"] is None:
            wrong.append(
                f"the variable {match['name']} is not set; set it, or give a default: ${{{match['name']}:-...}}"
            )
        elif value and any("\ud800" <= character <= "\udfff" for character in value):
            wrong.append(f"the variable {match['name']} holds bytes that are not UTF-8")
        elif value:
            done.append(_encoded(value, text[:start], text[position:]) if in_address else value)
    done.append(text[position:])
    return "".join(done), tuple(wrong)


def _encoded(value: str, before: str, after: str) -> str:
    """Percent-encode a value by its place: all of it, but for `/` in a path and a `host:port`."""
    word = _WORD_END.split(_VARIABLE.sub("x", before))[-1]
    _, inside, within = word.rpartition("://")
    if not inside:  # the address, or its scheme, is itself the variable
        return value
    if _AUTHORITY_END.search(within):
        return quote(value, safe="" if "?" in within else "/")
    rest_of_authority = _AUTHORITY_END.split(_VARIABLE.sub("x", after))[0]
    return quote(value, safe="" if "@" in rest_of_authority else ":[]")
