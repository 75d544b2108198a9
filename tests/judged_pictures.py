"""Pictures with labels, and what a model is made to say of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.evaluate.answers import Judged
from streamer.evaluate.truths import LabelledPicture

if TYPE_CHECKING:
    from collections.abc import Sequence

Sides = tuple[float, float, float, float]
Truth = tuple[int, Sides]  # class id, box
Answer = tuple[int, Sides, float]  # class id, box, score

NOWHERE = Path("nowhere.png")


def labelled(*truths: Truth, path: Path = NOWHERE, crowds: Sequence[int] = ()) -> LabelledPicture:
    """Return a picture with objects; `crowds` are places in `truths`."""
    crowd = np.zeros(len(truths), bool)
    crowd[list(crowds)] = True
    return LabelledPicture(
        path=path,
        boxes=np.array([box for _, box in truths], np.float32).reshape(-1, 4),
        class_ids=np.array([class_id for class_id, _ in truths], np.int64),
        crowd=crowd,
    )


def judged(picture: LabelledPicture, *answers: Answer) -> Judged:
    """Return what is said of a picture, in the given order."""
    return Judged(
        picture=picture,
        width=640,
        height=640,
        boxes=np.array([box for _, box, _ in answers], np.float32).reshape(-1, 4),
        scores=np.array([score for _, _, score in answers], np.float32),
        class_ids=np.array([class_id for class_id, _, _ in answers], np.int64),
    )


def classified(class_id: int, path: Path = NOWHERE) -> LabelledPicture:
    """Return a picture of a class."""
    return LabelledPicture(
        path=path, boxes=np.zeros((0, 4), np.float32), class_ids=np.array([class_id], np.int64), crowd=np.zeros(1, bool)
    )


def drawn_at_random(seed: int, *, pictures: int, classes: int) -> list[Judged]:
    """Return pictures of which some objects are found, some elsewhere, some twice, and some under another name."""
    dice = np.random.default_rng(seed)
    found = []
    for _ in range(pictures):
        corners, sides = dice.uniform(0, 500, (8, 2)), dice.uniform(20, 120, (8, 2))
        boxes = np.concatenate([corners, corners + sides], axis=1)
        ids = dice.integers(0, classes, 8)
        again = dice.integers(0, 8, 12)  # some objects twice, some never
        answers = boxes[again] + dice.normal(0, 8, (12, 4))
        named = np.where(dice.random(12) < 0.8, ids[again], dice.integers(0, classes, 12))
        truths: list[Truth] = [(int(c), _sides(box)) for c, box in zip(ids, boxes, strict=True)]
        said: list[Answer] = [
            (int(c), _sides(box), float(score))
            for c, box, score in zip(named, answers, dice.uniform(0.05, 1, 12), strict=True)
        ]
        found.append(judged(labelled(*truths, crowds=[7]), *said))
    return found


def _sides(box: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Sides:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2
