"""Crops of labelled pictures of circuit boards, cut, turned, put together and recoloured anew at each use."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

CROP = 320  # px, width and height of what is learned from: a defect and its surroundings, at a quarter of the cost
_KNOWN = 0.7  # share of a box in view from which its defect must be found; what shows less may be found, or not
_SEEN = 0.1  # share in view below which nothing of it shows
_NEGATIVE = 0.4  # share of windows in which copper and substrate change places
# What each defect is then: a gap in copper bridges substrate, a bite is a spur, a hole is an island.
_OPPOSITE = np.array([1, 0, 3, 2, 5, 4])


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """A labelled picture."""

    grey: NDArray[np.uint8]  # (H, W): copper is black
    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px
    class_ids: NDArray[np.int64]  # (N,)


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """What one step learns from."""

    rgb: NDArray[np.uint8]  # (CROP, CROP, 3)
    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px
    class_ids: NDArray[np.int64]  # (N,)
    sure: NDArray[np.bool_]  # (N,) False: neither right nor wrong to find it


def read_boards(folder: Path, listed: str, *, without: Sequence[str] = ()) -> list[Board]:
    """Read the pictures that a list in the folder names.

    Args:
        folder: of a data set with YOLO labels: `images/`, `labels/`.
        listed: file in it with a path on each line.
        without: how the names of pictures begin that are left out.

    Returns:
        In the order of the list.

    Raises:
        OSError: a file is missing.
        ValueError: a picture can't be read.
    """
    names = [line.strip() for line in (folder / listed).read_text().splitlines() if line.strip()]
    return [_read(folder, name) for name in names if not name.split("/")[-1].startswith(tuple(without) or ("\0",))]


def _read(folder: Path, name: str) -> Board:
    grey = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{folder / name}: is no picture")
    height, width = grey.shape
    label = folder / "labels" / (folder / name).with_suffix(".txt").name
    rows = np.array([line.split() for line in label.read_text().splitlines() if line.strip()], np.float64).reshape(
        -1, 5
    )
    middle, size = rows[:, 1:3], rows[:, 3:5]
    boxes = np.concatenate((middle - size / 2, middle + size / 2), 1) * (width, height, width, height)
    return Board(np.asarray(grey, np.uint8), boxes.astype(np.float32), rows[:, 0].astype(np.int64))


def crop_of(rng: Generator, boards: Sequence[Board], *, mosaic: float) -> Crop:
    """Cut a crop out of one board, or put it together from four with the given probability."""
    if rng.random() >= mosaic:
        grey, boxes, class_ids, sure = _window(rng, boards, CROP, CROP)
    else:
        grey, boxes, class_ids, sure = _mosaic(rng, boards)
    return Crop(_recoloured(rng, grey), boxes.astype(np.float32), class_ids, sure)


_Part = tuple["NDArray[np.uint8]", "NDArray[np.float32]", "NDArray[np.int64]", "NDArray[np.bool_]"]


def _mosaic(rng: Generator, boards: Sequence[Board]) -> _Part:
    split_x, split_y = (int(v) for v in rng.integers(CROP // 4, CROP - CROP // 4, 2))
    grey = np.empty((CROP, CROP), np.uint8)
    boxes, class_ids, sure = [], [], []
    for x, w in ((0, split_x), (split_x, CROP - split_x)):
        for y, h in ((0, split_y), (split_y, CROP - split_y)):
            grey[y : y + h, x : x + w], b, c, s = _window(rng, boards, w, h)
            boxes.append(b + np.array([x, y, x, y], np.float32))
            class_ids.append(c)
            sure.append(s)
    return grey, np.concatenate(boxes), np.concatenate(class_ids), np.concatenate(sure)


def _window(rng: Generator, boards: Sequence[Board], width: int, height: int) -> _Part:
    """Return a window of a board, resized, mirrored and turned by quarters."""
    board = boards[int(rng.integers(len(boards)))]
    grey, boxes = _turned(rng, board.grey, board.boxes)
    negative = rng.random() < _NEGATIVE
    class_ids = _OPPOSITE[board.class_ids] if negative else board.class_ids
    zoom = float(np.exp(rng.uniform(-0.35, 0.35))) if rng.random() < 0.5 else 1.0
    full_h, full_w = grey.shape
    w, h = min(round(width / zoom), full_w), min(round(height / zoom), full_h)
    x, y = int(rng.integers(full_w - w + 1)), int(rng.integers(full_h - h + 1))
    cut = np.ascontiguousarray(grey[y : y + h, x : x + w])
    cut = 255 - cut if negative else cut
    if (w, h) != (width, height):
        cut = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    moved = (boxes - np.array([x, y, x, y], np.float32)) * np.array([width / w, height / h] * 2, np.float32)
    inside = np.clip(moved, 0, np.array([width, height] * 2, np.float32))
    shows = _areas(inside) / np.maximum(_areas(moved), 1e-6)
    seen = shows > _SEEN
    return cut, inside[seen], class_ids[seen], shows[seen] >= _KNOWN


def _turned(
    rng: Generator, grey: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if rng.random() < 0.5:
        grey = grey[:, ::-1]
        boxes = (grey.shape[1], 0, grey.shape[1], 0) + boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1)
    for _ in range(int(rng.integers(4))):  # counter-clockwise: x' = y, y' = width - x
        boxes = (0, grey.shape[1], 0, grey.shape[1]) + boxes[:, [1, 2, 3, 0]] * (1, -1, 1, -1)
        grey = np.rot90(grey)
    return grey, boxes.astype(np.float32)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _recoloured(rng: Generator, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return it as it is, most times; else as other cameras would give it. Copper stays the darker of the two."""
    if rng.random() < 0.7:
        return np.repeat(grey[..., None], 3, 2)
    if rng.random() < 0.5:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    dark, light = rng.uniform(0, 90, 3), rng.uniform(150, 255, 3)
    levels = np.arange(256)[:, None] / 255
    table = (dark + (light - dark) * levels).astype(np.uint8).reshape(256, 1, 3)
    rgb = np.asarray(cv2.LUT(np.repeat(grey[..., None], 3, 2), table), np.uint8)
    if rng.random() < 0.5:
        noise = rng.standard_normal(rgb.shape, np.float32) * rng.uniform(1, 8)
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    return rgb
