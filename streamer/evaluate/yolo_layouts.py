"""YOLO's layouts: what a YAML file describes, or folders and lists with a file of names."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from streamer.core.errors import ConfigError
from streamer.infer.labels import load_labels, what_is_wrong

from .layout import PICTURES, SPLITS, UNSPLIT, Layout, folders_in, pictures_in
from .problems import read_text
from .yolo_labels import check_orphans, read_yolo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layout import Reader
    from .problems import Problems
    from .truths import LabelledSet

DESCRIPTIONS = (".yaml", ".yml")
_USUAL = "data.yaml"
_NAMES = "classes.txt"
_KEYS = ("train", "val", "valid", "test")


def yolo_layouts(folder: Path) -> list[Layout]:
    """Return the ways in which a folder is YOLO's.

    Raises:
        ConfigError: it is, but what describes it is wrong, or there are names and no pictures.
    """
    described = [path for path in sorted(folder.iterdir()) if _describes(path)]
    if described:
        return [described_layout(path) for path in described]
    names = folder / _NAMES
    return [named_layout(names)] if names.is_file() else []


def check_named(folder: Path) -> None:
    """Tell of a folder that is of no known layout when only names are missing.

    Raises:
        ConfigError: it would be YOLO's, if it had names.
    """
    if _folders(folder):
        raise ConfigError(f"{folder}: images and labels are there, but no names of classes: {_USUAL} or {_NAMES}")


def named_layout(names: Path) -> Layout:
    """Return the layout of a folder with a file of names: lists of pictures, or folders `images` and `labels`.

    Raises:
        ConfigError: there are no pictures beside the names.
    """
    splits = _lists(names.parent) or _folders(names.parent)
    if not splits:
        usual = "images and labels, or lists such as val.txt"
        raise ConfigError(f"{names.parent}: the names of classes are there, but no pictures: {usual}")
    read: dict[str, Reader] = {name: partial(_plain, places, names) for name, places in splits.items()}
    return Layout(what=f"YOLO labels with the names of {names}", task="detect", ask=f"--data {names}", splits=read)


def described_layout(path: Path) -> Layout:
    """Return the layout that a YAML file describes.

    Raises:
        ConfigError: it can't be read, or says nothing of use.
    """
    said = _mapping(path)
    names = _names(said.get("names"), path)
    count = said.get("nc", len(names))
    if count != len(names):
        raise ConfigError(f"{path}: nc: is {count}, but there are {len(names)} names")
    if "kpt_shape" in said:  # such rows are as long as polygons
        raise ConfigError(f"{path}: kpt_shape: its labels hold key points; allowed are boxes and polygons")
    splits: dict[str, Reader] = {}
    for key in _KEYS:
        if (entry := said.get(key)) is not None:
            places = [
                _place(one, path, said.get("path"), key) for one in (entry if isinstance(entry, list) else [entry])
            ]
            splits[key] = partial(_read, places, names)
    if not splits:
        raise ConfigError(f"{path}: says of no pictures where they are; allowed are {', '.join(_KEYS)}")
    return Layout(what=f"YOLO labels as {path} describes them", task="detect", ask=f"--data {path}", splits=splits)


def _describes(path: Path) -> bool:
    if path.suffix.lower() not in DESCRIPTIONS or not path.is_file():
        return False
    if path.name == _USUAL:
        return True
    try:
        return "names" in _mapping(path)
    except ConfigError:
        return False  # whatever it is, it is none of ours


def _mapping(path: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(read_text(path))
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(f"{path}{line}: is no YAML ({getattr(exc, 'problem', None) or exc})") from exc
    if not isinstance(said, dict):
        raise ConfigError(f"{path}: must be keys and values: names, and where pictures are: {', '.join(_KEYS)}")
    return said


def _names(said: object, path: Path) -> tuple[str, ...]:
    if isinstance(said, dict):
        if sorted(said, key=str) != sorted(range(len(said)), key=str):
            raise ConfigError(f"{path}: names: must have the ids 0 to {len(said) - 1}, without gaps")
        said = [said[class_id] for class_id in range(len(said))]
    if not isinstance(said, list) or not said:
        raise ConfigError(f"{path}: names: must be a list of names, or ids with their names")
    names = []
    for class_id, name in enumerate(said):
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise ConfigError(f"{path}: names: that of class {class_id} must be text, not {name!r}; quotes make it one")
        if (wrong := what_is_wrong(str(name))) is not None:
            raise ConfigError(f"{path}: names: class {class_id}: {wrong}")
        names.append(str(name))
    return tuple(names)


def _place(entry: object, path: Path, root: object, key: str) -> Path:
    """Return the folder or list that an entry means.

    It starts from `path`, which starts from the file. What some programs export starts one folder too high.

    Raises:
        ConfigError: there is none.
    """
    if not isinstance(entry, str) or not (root is None or isinstance(root, str)):
        raise ConfigError(f"{path}: {key}: must be a folder or a list of pictures, not {entry!r}")
    starts = [path.parent / root] if root else []
    starts.append(path.parent)
    ways = [start / way for start in starts for way in (entry, entry.removeprefix("../"))]
    for way in ways:
        if way.exists():
            return way
    raise ConfigError(f"{path}: {key}: there is no {entry}, looked for as {ways[0]}")


def _read(places: Sequence[Path], names: tuple[str, ...], problems: Problems) -> LabelledSet:
    pictures: list[Path] = []
    for place in places:
        if place.is_dir():
            pictures += pictures_in(place, deep=True)
        else:
            pictures += _listed(place, problems)
    for path, times in Counter(pictures).items():
        if times > 1:
            problems.add(path, f"is named {times} times: {', '.join(map(str, places))}")
    check_orphans((place for place in places if place.is_dir()), problems)
    return read_yolo(pictures, names, problems)


def _plain(places: Sequence[Path], names: Path, problems: Problems) -> LabelledSet:
    return _read(places, load_labels(str(names)), problems)


def _lists(folder: Path) -> dict[str, list[Path]]:
    """Return the lists of pictures in a folder: they say best what belongs to a split."""
    named = (folder / f"{name}.txt" for name in SPLITS)
    return {path.stem: [path] for path in named if path.is_file()}


def _folders(folder: Path) -> dict[str, list[Path]]:
    """Return the splits that folders make: images/SPLIT, SPLIT/images, or all of images."""
    images = folder / "images"
    if images.is_dir() and (folder / "labels").is_dir():
        parts = {part.name: [part] for part in folders_in(images) if pictures_in(part, deep=True)}
        return parts if parts and not pictures_in(images) else {UNSPLIT: [images]}
    inside = (folder / name for name in SPLITS)
    return {part.name: [part / "images"] for part in inside if all((part / n).is_dir() for n in ("images", "labels"))}


def _listed(file: Path, problems: Problems) -> list[Path]:
    """Return the pictures that a list names; a relative path starts from the list."""
    found: dict[Path, int] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not (named := line.strip()):
            continue
        path = Path(file.parent / named)
        if path.suffix.lower() not in PICTURES:
            problems.add(f"{file}:{number}", f"must be the path of a picture, not {named[:80]!r}")
        elif path in found:
            problems.add(f"{file}:{number}", f"{named} stands in line {found[path]} already")
        elif not path.is_file():
            problems.add(f"{file}:{number}", f"there is no picture {path}")
        else:
            found[path] = number
    return list(found)
