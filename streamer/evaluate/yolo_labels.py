"""YOLO's label files: a row an object, sides as shares of the picture's."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .boxes import Box, fault_of, labelled, picture_size
from .layout import is_hidden, pictures_in
from .problems import read_text
from .truths import LabelledSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .problems import Problems
    from .truths import LabelledPicture

_LABELS = ".txt"
_NAMES = "classes.txt"  # some programs write the names of the classes between the labels
_BOX = 5  # columns
_LEAST_POLYGON = 7


def read_yolo(pictures: Sequence[Path], names: tuple[str, ...], problems: Problems) -> LabelledSet:
    """Read the labels of pictures.

    Args:
        pictures: each once.
        names: of the classes, in the order of their ids.
        problems: told of each fault.

    Raises:
        ConfigError: none of the pictures has a label file, so that they are not where they are looked for.
    """
    if pictures and not any(label_file(path).is_file() for path in pictures):
        where = label_file(pictures[0])
        raise ConfigError(f"{where}: there is no such file, and none for any other of {len(pictures)} pictures")
    read = (_read_picture(path, len(names), problems) for path in pictures)
    return LabelledSet(task="detect", labels=names, pictures=tuple(one for one in read if one is not None))


def label_file(picture: Path) -> Path:
    """Return where the labels of a picture lie: the last `images` on its way is `labels`; without one, beside it."""
    parts = list(picture.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(_LABELS)


def check_orphans(folders: Iterable[Path], problems: Problems) -> None:
    """Find label files in the `labels` of folders of pictures whose picture is missing."""
    for folder in folders:
        labels = label_file(folder / "any").parent
        if labels == folder:  # labels beside the pictures: other texts may lie there, too
            continue
        pictures = {label_file(path) for path in pictures_in(folder, deep=True)}
        for path in sorted(set(labels.rglob(f"*{_LABELS}")) - pictures):
            if path.name != _NAMES and not is_hidden(path, labels):
                problems.add(path, f"there is no picture of this name in {folder}")


def _read_picture(path: Path, classes: int, problems: Problems) -> LabelledPicture | None:
    try:
        size = picture_size(path)
    except ValueError as exc:
        problems.add(path, str(exc))
        return None
    file = label_file(path)
    if not file.is_file():
        return labelled(path, [], size)  # a picture without anything in it
    try:
        lines = read_text(file).splitlines()
    except ConfigError as exc:
        problems.add(file, str(exc).removeprefix(f"{file}: "))
        return None
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append((*_row(line, classes, size), False))
            except ValueError as exc:
                problems.add(f"{file}:{number}", str(exc))
    return labelled(path, rows, size)


def _row(line: str, classes: int, size: tuple[int, int]) -> tuple[int, Box]:
    """Return class and box, px, of a row.

    Raises:
        ValueError: what is wrong, in a sentence's second half.
    """
    try:
        first, *sides = map(float, line.split())
    except ValueError:
        raise ValueError(f"must be numbers, not {line.strip()[:60]!r}") from None
    columns = 1 + len(sides)
    if columns != _BOX and (columns < _LEAST_POLYGON or columns % 2 == 0):
        raise ValueError(
            f"must be a class and 4 numbers (centre, size) or the points of a polygon, not {columns} numbers"
        )
    if not first.is_integer() or not 0 <= first < classes:
        raise ValueError(f"class {first:g} is none of 0 to {classes - 1}")
    box = _of_centre(sides, size) if columns == _BOX else _of_polygon(sides, size)
    if (fault := fault_of(box, size)) is not None:
        beyond = max(map(abs, sides)) > 2  # shares are not
        raise ValueError(f"{fault}; sides are shares of the picture's, 0 to 1" if beyond else fault)
    return int(first), box


def _of_centre(sides: Sequence[float], size: tuple[int, int]) -> Box:
    x, y, wide, high = (side * whole for side, whole in zip(sides, (*size, *size), strict=True))
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _of_polygon(sides: Sequence[float], size: tuple[int, int]) -> Box:
    xs, ys = [x * size[0] for x in sides[::2]], [y * size[1] for y in sides[1::2]]
    if any(side != side for side in chain(xs, ys)):  # noqa: PLR0124  NaN, which min and max would pass over
        return float("nan"), 0.0, 0.0, 0.0
    return min(xs), min(ys), max(xs), max(ys)
