"""Which components each device has been announced with: what is no more must be taken back by its name."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)

FILE_NAME = "announced.json"
_SCHEMA = 1
_REMEMBERED_S = 7 * 86_400  # a removal is repeated so long: the broker or the listener may be away when it comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entity of a device."""

    platform: str
    gone_s: int | None = None  # since when it is no more, s since 1970


Components = dict[str, Component]  # by their ids within the device


def renewed(before: Mapping[str, Component], now: Mapping[str, str], utc_s: int) -> Components:
    """Return a device's components after it was put together anew.

    Args:
        before: those that it had, and those that are gone.
        now: the platforms of those that it has, by id.
        utc_s: the present, s since 1970.

    Returns:
        Those that it has, and those that have gone within the last week.
    """
    gone = {
        name: Component(platform=old.platform, gone_s=utc_s if old.gone_s is None else old.gone_s)
        for name, old in before.items()
        if name not in now
    }
    kept = {name: old for name, old in gone.items() if old.gone_s is not None and utc_s - old.gone_s < _REMEMBERED_S}
    return {name: Component(platform=platform) for name, platform in now.items()} | kept


class AnnouncedFile:
    """A small JSON file in the data directory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._trouble: str | None = None

    def load(self) -> dict[str, Components]:
        """Return each device's components, by the id of the device; none if the file is missing or damaged."""
        try:
            read = json.loads(self._path.read_bytes())
            return {device: _components(rows) for device, rows in read["devices"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            _log.warning("%s can't be used (%s): what was announced and is no more may stay", self._path, exc)
            return {}

    def save(self, devices: Mapping[str, Components]) -> None:
        """Write the file, whole or not at all. A disk that refuses is logged once: only removals depend on it."""
        rows = {
            device: {name: [component.platform, component.gone_s] for name, component in components.items()}
            for device, components in devices.items()
        }
        written = self._path.with_name(f"{FILE_NAME}.new")
        try:
            written.write_text(json.dumps({"schema": _SCHEMA, "devices": rows}))
            os.replace(written, self._path)  # noqa: PTH105  Path.replace says the same
        except OSError as exc:
            if str(exc.strerror) != self._trouble:
                self._trouble = str(exc.strerror)
                _log.warning("%s can't be written: %s", self._path, exc.strerror)
        else:
            self._trouble = None


def _components(rows: Mapping[str, list[object]]) -> Components:
    """Return what the file says of one device.

    Raises:
        TypeError, ValueError, AttributeError: it is not what we have written.
    """
    components = {}
    for name, (platform, gone_s) in rows.items():
        if not isinstance(platform, str) or not isinstance(gone_s, int | None):
            raise TypeError(f"{name} is {platform!r}, {gone_s!r}")
        components[name] = Component(platform=platform, gone_s=gone_s)
    return components
