"""Which names TensorRT has, and what naming another means.

From 10.3, the least version that Streamer takes, to 11.4; read from the bindings (`portable.txt`, `history.txt`).
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

HERE = Path(__file__).parent


class Misuse(AssertionError):  # noqa: N818  it is said as it is: a misuse
    """What the real library would answer with undefined behaviour. An AssertionError: no adapter may swallow it."""


class NotPortable(Misuse):
    """A name that some TensorRT of 10.x or 11.x has and another has not."""


class NotInFake(Misuse):
    """A name that TensorRT has and this fake does not do: extend the fake."""


def _entries(path: Path) -> list[str]:
    lines: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("    "):
            lines[-1] += line
        elif line and not line.startswith("#"):
            lines.append(line)
    return lines


@functools.cache
def portable() -> dict[str, frozenset[str]]:
    """Return class -> names that every sample from 10.3 to 11.4 has; `module` holds the module's functions."""
    named = (entry.split(":", 1) for entry in _entries(HERE / "portable.txt"))
    found = {owner: set(re.findall(r"\w+", members)) for owner, members in named}
    for (owner, name), (first, last) in history().items():
        if first in {"10.0", "10.3"} and last == "-":
            found.setdefault(owner, set()).add(name)
    return {owner: frozenset(members) for owner, members in found.items()}


@functools.cache
def history() -> dict[tuple[str, str], tuple[str, str]]:
    """Return (class, member) -> (first, last) sampled version that has it; `-` is the first or the last sample."""
    rows = (entry.split() for entry in _entries(HERE / "history.txt"))
    return {(name.rpartition(".")[0], name.rpartition(".")[2]): (first, last) for name, first, last in rows}


def missing(owner: str, name: str) -> Exception:
    """Return what asking `owner` for a name that the fake lacks must raise.

    A name that came after 10.3 is not there, as in the older versions, so that the code's guard is what runs. A name
    that is gone in 11 must not be asked for at all, not even with a guard: 10 would then go another way than 11.
    """
    if name in portable().get(owner, frozenset()):
        return NotInFake(f"TensorRT has {owner}.{name}, the fake does not do it")
    _first, last = history().get((owner, name), ("-", "-"))
    if last not in {"-", "8.6"}:
        return NotPortable(f"{owner}.{name} is gone in TensorRT 11 (last seen in {last})")
    return AttributeError(f"type object 'tensorrt.{owner}' has no attribute {name!r}")
