"""Pictures to be classified: a folder for each class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.labels import what_is_wrong

from .layout import SPLITS, UNSPLIT, Layout, folders_in, pictures_in
from .truths import LabelledPicture, LabelledSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .layout import Reader
    from .problems import Problems

_NO_CLASS = ("images", "labels", "annotations", *SPLITS)  # what such a folder holds is something else


def folder_layouts(folder: Path) -> list[Layout]:
    """Return the ways in which a folder's folders are classes, at once or within splits."""
    parts = [part for part in folders_in(folder) if part.name.lower() in SPLITS and _classes(part)]
    read: dict[str, Reader] = {part.name: partial(_read, _classes(part)) for part in parts}
    if not read and (classes := _classes(folder)):
        read = {UNSPLIT: partial(_read, classes)}
    if not read:
        return []
    return [Layout(what="a folder for each class", task="classify", ask="by a folder of nothing else", splits=read)]


def _classes(folder: Path) -> list[Path]:
    """Return the folders of classes; none if one of them can't be that of a class."""
    found = folders_in(folder)
    if any(part.name.lower() in _NO_CLASS or folders_in(part) for part in found):
        return []
    return found if any(pictures_in(part) for part in found) else []


def _read(classes: Sequence[Path], problems: Problems) -> LabelledSet:
    """Read names; what can't be decoded is told when it is looked at."""
    pictures = [_picture(path, class_id) for class_id, part in enumerate(classes) for path in pictures_in(part)]
    for part in classes:
        if not pictures_in(part):
            problems.add(part, "holds no picture")
        if (wrong := what_is_wrong(part.name)) is not None:
            problems.add(part.parent, wrong)
    return LabelledSet(task="classify", labels=tuple(part.name for part in classes), pictures=tuple(pictures))


def _picture(path: Path, class_id: int) -> LabelledPicture:
    return LabelledPicture(
        path=path,
        boxes=np.zeros((0, 4), np.float32),
        class_ids=np.array([class_id], np.int64),
        crowd=np.zeros(1, np.bool_),
    )
