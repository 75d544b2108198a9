"""A classifier's confusions as a matrix, and the pictures it is most wrong about as a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.pixels.lettering import Lettering
from streamer.pixels.palette import PALETTE, WHITE, ink_on
from streamer.stills import load_picture

from .sheet import GAP_PX, HEAD_PX, INK, SMALL_PX, TEXT_PX, TILE_PX, Tile, fitted, save_png, sheet, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.pixels.palette import Bgr

    from .class_scores import ClassificationScores, WrongName

_RIGHT, _WRONG = PALETTE[1], PALETTE[3]  # blue, vermilion
_MIXED: Bgr = (120, 120, 120)  # others taken for others: right or wrong
_GRID: Bgr = (215, 215, 215)
_CELL_PX = 44  # room for four digits
_MOST_CLASSES = 30  # beyond, the matrix is no longer read on a screen
_NAME_PX = 200  # a longer one is cut
_LEAST_SHADE = 0.12  # of a cell that is not empty: one picture of many is seen as well


def draw_confusion(scores: ClassificationScores, path: Path) -> None:
    """Draw which classes are taken for which, and write it as a PNG.

    Of more than thirty classes those with the most mistakes are shown, in their order, and the others as one.

    Args:
        scores: as `score_classes` gives them.
        path: of the PNG.

    Raises:
        ConfigError: it can't be written.
    """
    counts, names = _shown(scores)
    small = Lettering(SMALL_PX)
    names = [written(name, small, _NAME_PX) for name in names]
    margin = max(small.plate_size(name)[0] for name in names) + GAP_PX
    head = 2 * GAP_PX + Lettering(HEAD_PX).plate_height_px + Lettering(TEXT_PX).plate_height_px
    side = len(names) * _CELL_PX
    lines = list(zip(_head(scores), (Lettering(HEAD_PX), Lettering(TEXT_PX)), strict=True))
    width = max(margin + side, GAP_PX + max(lettering.plate_size(line)[0] for line, lettering in lines)) + GAP_PX
    canvas = np.full((head + margin + side + GAP_PX, width, 3), WHITE, np.uint8)
    top = GAP_PX
    for line, lettering in lines:
        lettering.write(canvas, line, (GAP_PX, top), INK)
        top += lettering.plate_height_px
    top = head + margin
    for number, name in enumerate(names):
        _write_name(canvas[top + number * _CELL_PX :][:_CELL_PX, :margin], name, small)
        # The names of columns are written into rows, and turned.
        _write_name(np.rot90(canvas[head:top, margin + number * _CELL_PX :][:, :_CELL_PX], -1), name, small, left=True)
    merged = len(counts) - 1 if len(counts) < len(scores.classes) else -1
    _draw_cells(canvas[top:, margin:], counts, merged)
    save_png(canvas, path)


def draw_worst_named(wrong: Sequence[WrongName], path: Path) -> None:
    """Draw a sheet of pictures that were called something else than they are, and write it as a PNG.

    Args:
        wrong: as `worst_named` gives them; with none the sheet says so.
        path: of the PNG.

    Raises:
        PictureError: a picture can't be read any more.
        ConfigError: the sheet can't be written.
    """
    head = f"{len(wrong)} wrong answers, the surest first" if wrong else "No wrong answers"
    save_png(sheet([_tile(one) for one in wrong], head=head), path)


def _tile(one: WrongName) -> Tile:
    canvas, _, _ = fitted(load_picture(one.picture.path))
    lettering = Lettering(TEXT_PX)
    said, truth = (written(name, lettering, TILE_PX * 3 // 5) for name in (one.said, one.truth))
    caption = f"said {said} {one.score:.2f}, is {truth} {one.truth_score:.2f}"
    return Tile(picture=canvas, caption=caption, source=one.picture.path.name)


def _head(scores: ClassificationScores) -> tuple[str, str]:
    top5 = "" if scores.top5 is None else f", {scores.top5:.1%} among the best five"
    count = int(scores.confusion.sum())
    return (
        f"{scores.top1:.1%} of {count} pictures named rightly{top5}",
        "rows: what a picture is; columns: what was said; shade: share of the row",
    )


def _shown(scores: ClassificationScores) -> tuple[NDArray[np.int64], list[str]]:
    """Return the matrix to draw, and the names of its rows."""
    counts, names = scores.confusion, [one.label for one in scores.classes]
    if len(names) <= _MOST_CLASSES:
        return counts, names
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-mistakes, kind="stable")[: _MOST_CLASSES - 1])
    group = np.full(len(names), len(kept))
    group[kept] = np.arange(len(kept))
    merged = np.zeros((len(kept) + 1, len(kept) + 1), np.int64)
    np.add.at(merged, (group[:, None], group[None]), counts)
    return merged, [*(names[number] for number in kept), f"{len(names) - len(kept)} others"]


def _write_name(place: NDArray[np.uint8], name: str, lettering: Lettering, *, left: bool = False) -> None:
    """Write a name into its row, (_CELL_PX, W, 3): to the right, at the matrix, or to the left."""
    width, height = lettering.plate_size(name)
    # OpenCV draws into memory of its own order only, not into a turned view.
    plate = np.full((height, width, 3), WHITE, np.uint8)
    lettering.write(plate, name, (0, 0), INK)
    top = (place.shape[0] - height) // 2
    start = 4 if left else place.shape[1] - width - 4
    place[top : top + height, start : start + width] = plate


def _draw_cells(place: NDArray[np.uint8], counts: NDArray[np.int64], merged: int) -> None:
    """Draw the matrix into the upper left of its place; empty cells stay white."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = len(counts) * _CELL_PX + 1
    place[:side, :side] = _GRID
    for row, column in np.ndindex(counts.shape):
        cell = place[row * _CELL_PX :, column * _CELL_PX :][:_CELL_PX, :_CELL_PX]
        right = _MIXED if row == merged else _RIGHT
        color = _shade(right if row == column else _WRONG, float(shares[row, column]))
        cell[1:, 1:] = color
        if counts[row, column]:
            _write_count(cell, int(counts[row, column]), ink_on(color))


def _shade(color: Bgr, share: float) -> Bgr:
    """Return a colour, mixed with white: the more of the row, the less."""
    strength = _LEAST_SHADE + (1 - _LEAST_SHADE) * share if share else 0.0
    blue, green, red = (round(255 + (channel - 255) * strength) for channel in color)
    return blue, green, red


def _write_count(cell: NDArray[np.uint8], count: int, ink: Bgr) -> None:
    lettering = Lettering(SMALL_PX)
    text = str(count) if count < 100_000 else f"{count // 1000}k"
    width, height = lettering.plate_size(text)
    lettering.write(cell, text, ((_CELL_PX - width) // 2, (_CELL_PX - height) // 2), ink)
