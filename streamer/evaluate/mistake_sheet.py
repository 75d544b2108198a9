"""The worst mistakes of a detector on one sheet, each enlarged with its surroundings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.pixels.crop import box_part
from streamer.pixels.lettering import Lettering
from streamer.pixels.palette import BLACK, PALETTE, WHITE
from streamer.stills import load_picture

from .mistakes import MistakeKind, describe
from .sheet import TEXT_PX, TILE_PX, Tile, fitted, save_png, sheet, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.pixels.palette import Bgr

    from .mistakes import Mistake

_TRUTH, _ANSWER = PALETTE[1], PALETTE[0]  # blue and orange: dark and light, so that no colour vision mixes them up
_LEGEND = (("labelled", _TRUTH), ("the model's answer", _ANSWER))
_LEAST_PX = 16  # of the picture: a smaller box is shown with more around it, as a few px alone tell nothing
_NAME_PX = TILE_PX * 3 // 5


def draw_mistakes(mistakes: Sequence[Mistake], path: Path) -> None:
    """Draw a sheet of tiles, in the given order, and write it as a PNG.

    A tile shows what lies around a mistake, three times as wide as its boxes where the picture reaches so far. The
    object's frame lies around its box and the answer's inside, so that both are seen where they agree. Other objects
    within the tile have thin frames.

    Args:
        mistakes: the worst, as a rule; with none the sheet says so.
        path: of the PNG.

    Raises:
        PictureError: a picture can't be read any more.
        ConfigError: the sheet can't be written.
    """
    tiles = [_tile(mistake) for mistake in mistakes]
    head = (
        f"{len(tiles) or 'No'} mistakes at each class's best threshold{', the worst of each kind first' * bool(tiles)}"
    )
    save_png(sheet(tiles, head=head, legend=_LEGEND if tiles else ()), path)


def _tile(mistake: Mistake) -> Tile:
    bgr = load_picture(mistake.picture.path)
    boxes = np.stack([mistake.box, mistake.box if mistake.wanted is None else mistake.wanted]).astype(np.float64)
    left, top, right, bottom = box_part(_whole(boxes), (bgr.shape[0], bgr.shape[1]), margin=1.0, square=True)
    canvas, scale, corner = fitted(bgr[top:bottom, left:right])

    def on_tile(box: NDArray[np.float32]) -> NDArray[np.float64]:
        shifted = (box.astype(np.float64) - (left, top, left, top)) * scale
        placed: NDArray[np.float64] = shifted + np.tile(corner, 2)
        return placed

    for other in mistake.picture.boxes:
        _draw_frame(canvas, on_tile(other), (_TRUTH, WHITE))
    if mistake.wanted is not None:
        _draw_frame(canvas, on_tile(mistake.wanted), (WHITE, _TRUTH, _TRUTH, _TRUTH, BLACK))
    if mistake.kind is not MistakeKind.MISSED:
        _draw_frame(canvas, on_tile(mistake.box), (WHITE, _ANSWER, _ANSWER, _ANSWER, BLACK), inwards=True)
    lettering = Lettering(TEXT_PX)
    caption = describe(mistake, lambda name: written(name, lettering, _NAME_PX))
    return Tile(picture=canvas, caption=caption, source=mistake.picture.path.name)


def _whole(boxes: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the box around (N, 4) boxes, at least so large that it can be told what it shows."""
    corners = np.array([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    lacking = np.clip(_LEAST_PX - (corners[1] - corners[0]), 0, None) / 2
    left, top, right, bottom = np.concatenate([corners[0] - lacking, corners[1] + lacking]).tolist()
    return left, top, right, bottom


def _draw_frame(
    canvas: NDArray[np.uint8], box: NDArray[np.float64], inks: Sequence[Bgr], *, inwards: bool = False
) -> None:
    """Draw lines of 1 px around a box, from its edge outwards, or inwards; what is beyond the canvas is left out.

    Args:
        canvas: (H, W, 3), changed.
        box: (4,) px of the canvas.
        inks: a line each.
        inwards: whether the lines lie within the box.
    """
    height, width = canvas.shape[:2]
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    for number, ink in enumerate(inks):
        by = -number if inwards else number + 1
        x1, y1, x2, y2 = left - by, top - by, right - 1 + by, bottom - 1 + by
        if x1 > x2 or y1 > y2:  # a box that its own lines have filled
            return
        rows, columns = slice(max(0, y1), max(0, y2 + 1)), slice(max(0, x1), max(0, x2 + 1))
        for y in {y1, y2} & set(range(height)):
            canvas[y, columns] = ink
        for x in {x1, x2} & set(range(width)):
            canvas[rows, x] = ink
