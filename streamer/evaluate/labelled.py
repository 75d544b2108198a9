"""Labelled pictures of any of the usual layouts, which is recognised by what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .coco_labels import coco_file, coco_layouts
from .folders import folder_layouts
from .layout import UNSPLIT, choose_split
from .problems import Problems
from .truths import LabelledPicture, LabelledSet
from .yolo_layouts import DESCRIPTIONS, check_named, described_layout, named_layout, yolo_layouts

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

__all__ = ["LabelledPicture", "LabelledSet", "choose_data", "read_labelled"]

_ALLOWED = (
    "allowed are YOLO labels (data.yaml, or images, labels and classes.txt), COCO labels (a JSON file, or annotations) "
    "and a folder for each class; docs/evaluate.md shows them"
)


def read_labelled(folder: Path, *, split: str | None) -> LabelledSet:
    """Read what is labelled; nothing is guessed and nothing left out.

    Args:
        folder: or the file that describes it: a data.yaml, a classes.txt, a JSON file.
        split: which part; None: test, else val, else the only one. What models are trained on is only read by name.

    Raises:
        ConfigError: it is no such folder, it could be read in several ways, or labels are wrong: a line for each fault.
    """
    return read_split(*choose_data(folder, split=split))


def choose_data(folder: Path, *, split: str | None) -> tuple[Layout, str]:
    """Recognise data; return how it is read, and which split.

    Args:
        folder: as `read_labelled` takes it.
        split: as `read_labelled` takes it.

    Raises:
        ConfigError: it is no such folder, it could be read in several ways, or there is no such split.
    """
    try:
        layout = _recognise(folder)
    except OSError as exc:
        raise _unreadable(exc, folder) from exc
    return layout, choose_split(layout, split, folder)


def read_split(layout: Layout, split: str) -> LabelledSet:
    """Read one split.

    Raises:
        ConfigError: labels are wrong: a line for each fault; or there is nothing.
    """
    problems = Problems()
    try:
        labelled = layout.splits[split](problems)
    except OSError as exc:
        raise _unreadable(exc, layout.what) from exc
    problems.raise_any()
    if not labelled.pictures:
        raise ConfigError(f"{layout.what}: {'the split ' + split if split != UNSPLIT else 'it'} holds no picture")
    return labelled


def _recognise(place: Path) -> Layout:
    if place.is_file():
        return _file(place)
    if not place.is_dir():
        raise ConfigError(f"--data {place}: there is no such folder")
    found = [*yolo_layouts(place), *coco_layouts(place), *folder_layouts(place)]
    if not found:
        check_named(place)
        raise ConfigError(f"--data {place}: holds no labelled pictures of a known layout; {_ALLOWED}")
    if len(found) > 1:
        ways = "; ".join(f"{layout.what} ({layout.ask})" for layout in found)
        raise ConfigError(f"--data {place}: could be read in {len(found)} ways, choose one: {ways}")
    return found[0]


def _unreadable(exc: OSError, place: Path | str) -> ConfigError:
    return ConfigError(f"--data {exc.filename or place}: can't be read ({exc.strerror})")


def _file(path: Path) -> Layout:
    if path.suffix.lower() in DESCRIPTIONS:
        return described_layout(path)
    if path.suffix.lower() == ".json":
        return coco_file(path)
    if path.name == "classes.txt":
        return named_layout(path)
    raise ConfigError(f"--data {path}: is no data.yaml, classes.txt, JSON file or folder; {_ALLOWED}")
