"""COCO's labels: one JSON file for all pictures of a split."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from streamer.core.errors import ConfigError
from streamer.infer.labels import what_is_wrong

from .boxes import fault_of, labelled, picture_size
from .layout import SPLITS, UNSPLIT, Layout, is_usual
from .problems import read_text
from .truths import LabelledSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .boxes import Box
    from .layout import Reader
    from .problems import Problems
    from .truths import LabelledPicture

_ROBOFLOW = "_annotations.coco.json"
_INSTANCES = "instances_"
_PARTS = ("images", "annotations", "categories")


def coco_layouts(folder: Path) -> list[Layout]:
    """Return the ways in which a folder is COCO's: `annotations/`, a JSON file, or one in each split's folder.

    Which files are labels is told by their names; only the one that is evaluated is read.
    """
    annotations = folder / "annotations"
    instances = sorted(annotations.glob(f"{_INSTANCES}*.json")) or sorted(annotations.glob("*.json"))
    within = {part: folder / part / _ROBOFLOW for part in SPLITS}
    own = {part: path for part, path in within.items() if path.is_file()}
    here = sorted(folder.glob("*.json"))
    layouts = []
    if instances:
        layouts.append(_layout(folder, "the files of annotations", {_split(path): path for path in instances}))
    if own:
        layouts.append(_layout(folder, f"a {_ROBOFLOW} for each split", own))
    if here:
        splits = {_split(path): path for path in here}
        if len(here) == 1 and not is_usual(_split(here[0])):  # any name will do for the only one
            splits = {UNSPLIT: here[0]}
        layouts.append(_layout(folder, f"{', '.join(path.name for path in here)} in it", splits))
    return layouts


def coco_file(path: Path) -> Layout:
    """Return the layout of one JSON file that was asked for."""
    return _layout(path, "the file", {UNSPLIT: path})


def _layout(place: Path, what: str, files: Mapping[str, Path]) -> Layout:
    read: dict[str, Reader] = {name: partial(_read, path, name) for name, path in files.items()}
    asked = " or ".join(f"--data {path}" for path in files.values())
    what = f"COCO labels, {what} in {place}" if place.is_dir() else f"COCO labels of {place}"
    return Layout(what=what, task="detect", ask=asked, splits=read)


def _split(path: Path) -> str:
    return path.stem.removeprefix(_INSTANCES)


def _read(path: Path, split: str, problems: Problems) -> LabelledSet:
    """Read a JSON file.

    Raises:
        ConfigError: it is none of COCO's, or its pictures are not found.
    """
    said = _parts(path)
    ids = _categories(said["categories"], path)
    labels = tuple(name for name in ids.values())
    rank = {category: class_id for class_id, category in enumerate(ids)}
    images = _images(said["images"], path, problems)
    rows: dict[int, list[tuple[int, Box, bool]]] = {image: [] for image in images}
    sizes = {image: size for image, (_, size) in images.items()}
    for number, annotation in enumerate(said["annotations"]):
        try:
            image, row = _annotation(annotation, rank, sizes)
        except ValueError as exc:  # noqa: PERF203  each fault is told
            which = annotation.get("id", f"number {number}") if isinstance(annotation, dict) else f"number {number}"
            problems.add(path, f"annotation {which}: {exc}")
        else:
            rows[image].append(row)
    base = _base(path, split, [name for name, _ in images.values()])
    read = (_picture(base / name, rows[image], size, problems) for image, (name, size) in images.items())
    return LabelledSet(task="detect", labels=labels, pictures=tuple(one for one in read if one is not None))


def _parts(path: Path) -> dict[str, list[Any]]:
    try:
        said = json.loads(read_text(path))
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{path}:{exc.lineno}: is no JSON ({exc.msg})") from exc
    if not isinstance(said, dict) or not all(isinstance(said.get(part), list) for part in _PARTS):
        raise ConfigError(f"{path}: are no labels of COCO's kind: these have the lists {', '.join(_PARTS)}")
    return said


def _categories(said: Sequence[Any], path: Path) -> dict[int, str]:
    """Return id -> name, by id; ids may have gaps."""
    found: dict[int, str] = {}
    for one in said:
        category, name = (one.get("id"), one.get("name")) if isinstance(one, dict) else (None, None)
        if not isinstance(category, int) or not isinstance(name, str):
            raise ConfigError(f"{path}: categories: must have an id and a name each, not {str(one)[:80]}")
        if (wrong := what_is_wrong(name)) is not None:
            raise ConfigError(f"{path}: categories: {category}: {wrong}")
        if category in found:
            raise ConfigError(f"{path}: categories: the id {category} is there twice, as {found[category]} and {name}")
        found[category] = name
    return dict(sorted(found.items()))


def _images(said: Sequence[Any], path: Path, problems: Problems) -> dict[int, tuple[str, tuple[int, int]]]:
    """Return id -> file name, (width, height)."""
    found: dict[int, tuple[str, tuple[int, int]]] = {}
    named: dict[str, int] = {}
    for number, one in enumerate(said):
        facts = [one.get(key) for key in ("id", "file_name", "width", "height")] if isinstance(one, dict) else []
        match facts:
            case [int(image), str(name), int(width), int(height)] if min(width, height) > 0:
                if image in found:
                    problems.add(path, f"images: the id {image} is there twice, for {found[image][0]} and {name}")
                elif name in named:  # each would have but a part of its objects
                    problems.add(path, f"images: {name} is there twice, with the ids {named[name]} and {image}")
                found[image] = (name, (width, height))
                named[name] = image
            case _:
                problems.add(
                    path, f"images: number {number}: must have id, file_name, width and height, not {str(one)[:80]}"
                )
    return found


def _annotation(
    said: object, rank: Mapping[int, int], sizes: Mapping[int, tuple[int, int]]
) -> tuple[int, tuple[int, Box, bool]]:
    """Return the image, and class, box, crowd.

    Raises:
        ValueError: what is wrong, in a sentence's second half.
    """
    if not isinstance(said, dict):
        raise ValueError(f"must be keys and values, not {str(said)[:80]}")  # noqa: TRY004  a fault of the data as others are
    image, category, box = said.get("image_id"), said.get("category_id"), said.get("bbox")
    if not isinstance(image, int) or image not in sizes:
        raise ValueError(f"there is no image {image}")
    if not isinstance(category, int) or category not in rank:
        raise ValueError(f"there is no category {category}")
    match box:
        case [int() | float() as x, int() | float() as y, int() | float() as wide, int() | float() as high]:
            corners = float(x), float(y), float(x) + float(wide), float(y) + float(high)
        case _:
            raise ValueError(f"bbox: must be x, y, width and height in px, not {str(box)[:80]}")
    if (fault := fault_of(corners, sizes[image])) is not None:
        raise ValueError(fault)
    return image, (rank[category], corners, bool(said.get("iscrowd", 0)))


def _base(path: Path, split: str, names: Sequence[str]) -> Path:
    """Return the folder that file names start from: the first of the usual ones that has one of the pictures."""
    above, here = path.parent.parent, path.parent
    split = split or _split(path)
    usual = (here, here / "images", above / split, above / "images" / split, above / "images", here / split, above)
    return next((base for name in names for base in usual if (base / name).is_file()), here)


def _picture(
    path: Path, rows: Sequence[tuple[int, Box, bool]], size: tuple[int, int], problems: Problems
) -> LabelledPicture | None:
    try:
        actual = picture_size(path)
    except ValueError as exc:
        problems.add(path, str(exc))
        return None
    if actual != size:
        turned = "; if EXIF turns it, they must be of it as it is seen" * (actual == size[::-1])
        problems.add(path, f"has {actual[0]}x{actual[1]} px, and its labels are of {size[0]}x{size[1]}{turned}")
        return None
    return labelled(path, rows, size)
