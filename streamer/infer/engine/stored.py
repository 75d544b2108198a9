"""One engine on disk: the plan as TensorRT wrote it, and beside it what is known of it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError

from .private import OWN_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .key import EngineKey

VERSION = 1  # of a facts file


class EngineDamaged(BackendError):  # noqa: N818  it is what is wrong with the file
    """A plan is not what was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEngine:
    """One engine: its plan, and what is known of it."""

    plan_path: Path
    facts_path: Path
    key: EngineKey
    facts: Mapping[str, Any]

    def read(self) -> bytes:
        """Return the plan.

        Raises:
            EngineDamaged: it is not what was stored, or can't be read.
        """
        try:
            plan = self.plan_path.read_bytes()
        except OSError as exc:
            raise EngineDamaged(f"engine {self.plan_path}: can't be read ({exc.strerror})") from exc
        if hashlib.sha256(plan).hexdigest() != self.facts["plan_sha256"]:
            raise EngineDamaged(f"engine {self.plan_path}: is not what was built (its checksum is another)")
        return plan


def facts_text(facts: Mapping[str, Any]) -> bytes:
    """Return the facts as they are written, with a checksum over them."""
    kept = {name: value for name, value in facts.items() if name != "sum"}
    return json.dumps({**kept, "sum": _sum(kept)}, indent=1).encode()


def read_facts_text(said: bytes) -> dict[str, Any]:
    """Return what `facts_text` wrote.

    Raises:
        ValueError: it is cut off, was edited, or is of another version.
    """
    facts = json.loads(said)
    if not isinstance(facts, dict):
        raise ValueError("no object")  # noqa: TRY004  to the caller all of this is one thing
    if facts.get("version") != VERSION:
        raise ValueError(f"version {facts.get('version')}")
    if facts.pop("sum", None) != _sum(facts):
        raise ValueError("it was edited")
    return facts


def write_synced(path: Path, data: bytes) -> None:
    """Write a file, which only we can change, and wait until it is on the disk.

    Raises:
        OSError: it can't be written.
    """
    with open(path, "wb", opener=_for_us) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _for_us(path: str, flags: int) -> int:
    return os.open(path, flags, OWN_FILE)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Raises:
        OSError: it can't be read.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sum(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
