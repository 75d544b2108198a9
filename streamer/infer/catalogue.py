"""The model catalogue: one sidecar for each known model, and where its weights lie."""

from __future__ import annotations

import difflib
import importlib.util
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from streamer.core.errors import BackendError, ConfigError

from .sidecar import Sidecar, load_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MissingWeightsError(BackendError):
    """A model's weights have to be downloaded first: nothing is wrong but that."""


_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the catalogue."""

    name: str
    path: Path  # of the sidecar
    sidecar: Sidecar

    @property
    def file_name(self) -> str:
        """The name of its weights file."""
        return self.sidecar.file or f"{self.name}.onnx"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sidecars in some folders, and the folder that downloads go to."""

    folders: tuple[Path, ...]
    cache: Path

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted({path.stem for folder in self.folders for path in folder.glob("*.yaml")})

    def entry(self, name: str) -> Entry:
        """Return a model by its name.

        Raises:
            ConfigError: there is none; the nearest names are given. Or its sidecar is wrong.
        """
        path = self._sidecar(name)
        if path is not None:
            return Entry(name=name, path=path, sidecar=load_sidecar(path))
        known = self.names()
        near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.5))
        shown = f"nearest: {near}" if near else "`streamer models list` prints it" if known else "it is empty"
        raise ConfigError(
            f"model: {name!r} is not in the catalogue ({shown}); "
            "allowed are a catalogue name, or a path to an .onnx or .yaml file"
        )

    def called(self, entry: Entry) -> str:
        """Return what a command calls a model: its name, or the path of a sidecar that is not of the catalogue."""
        return entry.name if entry.path.parent in self.folders else shlex.quote(str(entry.path))

    def with_digest(self, sha256: str) -> Entry | None:
        """Return the model whose weights have this sha256 (64 hex digits), if it is known."""
        for name in self.names():
            path = self._sidecar(name)
            if path is not None and sha256.encode() in path.read_bytes():  # far quicker than to parse each
                entry = self.entry(name)
                if entry.sidecar.sha256 == sha256:
                    return entry
        return None

    def places(self, entry: Entry) -> tuple[Path, ...]:
        """Return the paths where a model's weights may lie: beside its sidecar, or in the cache."""
        return (entry.path.parent / entry.file_name, self.cache / entry.file_name)

    def find(self, entry: Entry) -> Path | None:
        """Return the path of a model's weights, if they are here. Their checksum is the caller's to compare."""
        for path in self.places(entry):
            if os.path.isfile(path):  # noqa: PTH113  as in `_sidecar`
                return path
        return None

    def weights(self, entry: Entry) -> Path:
        """Return the path of a model's weights. Their checksum is the caller's to compare.

        Raises:
            MissingWeightsError: they are not on this machine yet; the message says how to get them.
            BackendError: they are not, and nobody knows where they can be had.
        """
        path = self.find(entry)
        if path is not None:
            return path
        said = entry.sidecar
        if said.url is None:
            raise BackendError(f"model {entry.name}: its weights {self.places(entry)[0]} are missing")
        licence = f"licence {said.licence}" if said.licence else "licence unknown"
        if said.sha256 is None:  # nothing that comes could be told from what is meant
            raise MissingWeightsError(
                f"model {entry.name}: its weights are not here yet; download {said.url} to {self.places(entry)[-1]}"
                f" ({licence})"
            )
        size = f"{said.bytes / 1e6:.1f} MB, " if said.bytes else ""
        raise MissingWeightsError(
            f"model {entry.name}: its weights are not here yet; `streamer models pull {self.called(entry)}` fetches"
            f" them ({size}{licence}, {said.url})"
        )

    def _sidecar(self, name: str) -> Path | None:
        if name != Path(name).name:  # it would lead out of the folder
            return None
        for folder in self.folders:
            path = folder / f"{name}.yaml"
            if os.path.isfile(path):  # noqa: PTH113  pathlib's raises where a folder may not be entered
                return path
        return None


def open_catalogue(environ: Mapping[str, str] | None = None) -> Catalogue:
    """Find the catalogue of this installation: `engines/` of a checkout, or the wheel's copy of it."""
    return Catalogue(_folders(), cache_folder(os.environ if environ is None else environ))


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where downloads and compiled engines live; it need not exist yet."""
    if environ.get("STREAMER_CACHE"):
        return Path(environ["STREAMER_CACHE"])
    if _in_checkout():
        return _CHECKOUT / "engines" / "cache"
    if environ.get("CACHE_DIRECTORY"):  # systemd's `CacheDirectory=`; several are parted by colons
        return Path(environ["CACHE_DIRECTORY"].split(":")[0])
    return Path(platformdirs.user_cache_dir("streamer", appauthor=False))


def _folders() -> tuple[Path, ...]:
    if _in_checkout():
        return (_CHECKOUT / "engines",)
    packaged = importlib.util.find_spec("streamer.engines")
    found: Sequence[str] = (packaged.submodule_search_locations if packaged else None) or ()
    return tuple(Path(folder) for folder in found)


def _in_checkout() -> bool:
    # A folder named engines beside an installed package may be anybody's: the project's own file tells.
    return (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "engines").is_dir()
