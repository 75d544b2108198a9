"""What all layouts of labelled pictures have in common: their splits, and which of them is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from streamer.core.errors import ConfigError

from .problems import Problems
from .truths import LabelledSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .truths import LabelledTask

Reader: TypeAlias = Callable[[Problems], LabelledSet]

UNSPLIT = ""  # the name of all the pictures of data without splits
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
_TRAIN = ("train", "training", "trainval")
SPLITS = ("test", "val", "valid", "validation", *_TRAIN)  # the names that such folders and files usually have
_PREFERRED = SPLITS[:4]
_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to read a folder."""

    what: str  # for people: what kind it is, and what tells so
    task: LabelledTask
    ask: str  # how to ask for this one where there are several
    splits: Mapping[str, Reader]  # name -> what reads it


def choose_split(layout: Layout, wanted: str | None, place: Path) -> str:
    """Return the split to evaluate: the one that is asked for, else test, else val, else the only one.

    Args:
        layout: with at least one split.
        wanted: as the user calls it; None: not said. `val` and `valid` are one; COCO's `val2017` is also `val`.
        place: the data, for messages.

    Raises:
        ConfigError: there is no such split, several would do, or only the training pictures are there.
    """
    names = list(layout.splits)
    there = ", ".join(names)
    if wanted is None:
        for usual in _PREFERRED:
            if found := _called(usual, names):
                return _only(found, place)
        trained = {name for usual in _TRAIN for name in _called(usual, names)}
        if len(names) == 1 and not trained:
            return names[0]
        why = (
            "only what models are trained on is there"
            if trained == set(names)
            else "none of them is called test or val"
        )
        raise ConfigError(f"{place}: which pictures? {why}; --split chooses: {there}")
    if names == [UNSPLIT]:
        raise ConfigError(f"--split {wanted}: {place} has no splits; leave it out")
    if found := _called(wanted, names):
        return _only(found, place)
    raise ConfigError(f"--split {wanted}: {place} has none of this name, only {there}")


def is_usual(name: str) -> bool:
    """Whether a name tells which split it is of, also as COCO's `val2017` does."""
    return _plain(name) in SPLITS


def _called(wanted: str, names: list[str]) -> list[str]:
    """Return the splits that are meant by a name; itself alone if it is there."""
    if wanted in names:
        return [wanted]
    meant = _plain(wanted)
    if wanted != wanted.rstrip(_DIGITS):  # val2017 is no other year's
        return [name for name in names if name.lower() == wanted.lower()]
    return [name for name in names if _plain(name) == meant]


def _plain(name: str) -> str:
    plain = name.lower().rstrip(_DIGITS)  # val2017
    return "val" if plain in ("valid", "validation") else plain


def _only(found: list[str], place: Path) -> str:
    if len(found) > 1:
        raise ConfigError(f"{place}: --split must choose one of {', '.join(found)}")
    return found[0]


def pictures_in(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the pictures of a folder, by name; hidden ones are none.

    Args:
        folder: which need not be there.
        deep: also those of the folders in it.
    """
    if not folder.is_dir():
        return []
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in PICTURES and not is_hidden(path, folder))


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path within a folder is hidden, or lies in a folder that is: `.ipynb_checkpoints` holds copies."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, by name; hidden ones are none."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
