"""A sheet for people: captioned tiles under a headline, and how its words are written and saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.errors import ConfigError
from streamer.pixels.lettering import Lettering, showable
from streamer.pixels.palette import WHITE, Bgr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TILE_PX = 256  # both sides of a tile's picture
INK: Bgr = (32, 32, 32)
FAINT: Bgr = (105, 105, 105)  # 5.3 to 1 on white
GAP_PX = 16
HEAD_PX, TEXT_PX, SMALL_PX = 20, 16, 13  # sizes of letters

_BACKDROP: Bgr = (225, 225, 225)  # around a picture that does not fill its tile
_MOST_COLUMNS, _LEAST_COLUMNS = 6, 3  # less than three tiles are no place for a headline
_MOST_LINES = 2  # of a caption
_UNWRITABLE = "a name that can't be drawn"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """A picture and what is to be said of it."""

    picture: NDArray[np.uint8]  # (TILE_PX, TILE_PX, 3) BGR
    caption: str  # `written` names only
    source: str  # the file's name


def written(name: str, lettering: Lettering, width_px: int) -> str:
    """Return a name as it can be drawn, cut to a width; a script that can't be drawn is said to be one."""
    return lettering.shortened(showable(name) or _UNWRITABLE, width_px)


def wrapped(text: str, lettering: Lettering, width_px: int, *, most: int) -> list[str]:
    """Break a text between words into at most so many lines of a width; the last is cut where it is too long."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and len(lines) < most and lettering.plate_size(longer)[0] > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return [lettering.shortened(line, width_px) for line in lines]


def save_png(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture, (H, W, 3) BGR.

    Raises:
        ConfigError: it can't be written there.
    """
    _, encoded = cv2.imencode(".png", picture)
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as exc:
        raise ConfigError(f"{path} can't be written ({exc.strerror})") from exc


def fitted(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, tuple[int, int]]:
    """Draw a picture as large as a tile holds it, in the middle.

    Returns:
        (TILE_PX, TILE_PX, 3), how many px of it are one of the picture, and where the picture's corner lies: x, y.
    """
    height, width = picture.shape[:2]
    scale = TILE_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (TILE_PX - size[0]) // 2, (TILE_PX - size[1]) // 2
    canvas = np.full((TILE_PX, TILE_PX, 3), _BACKDROP, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(
        picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    return canvas, scale, (left, top)


def sheet(tiles: Sequence[Tile], *, head: str, legend: Sequence[tuple[str, Bgr]] = ()) -> NDArray[np.uint8]:
    """Return tiles in rows, from the left to the right, under a headline.

    Args:
        tiles: in order.
        head: one line.
        legend: what the colours of frames mean.

    Returns:
        (H, W, 3) BGR.
    """
    columns = min(_MOST_COLUMNS, max(_LEAST_COLUMNS, math.ceil(math.sqrt(1.5 * len(tiles)))))
    rows = math.ceil(len(tiles) / columns)
    head_lines = Lettering(HEAD_PX).plate_height_px + (Lettering(TEXT_PX).plate_height_px if legend else 0)
    width = GAP_PX + columns * (TILE_PX + GAP_PX)
    canvas = np.full((2 * GAP_PX + head_lines + rows * _row_px(), width, 3), WHITE, np.uint8)
    lettering = Lettering(HEAD_PX)
    lettering.write(canvas, lettering.shortened(head, width - 2 * GAP_PX), (GAP_PX, GAP_PX), INK)
    _write_legend(canvas, legend, top=GAP_PX + lettering.plate_height_px)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = GAP_PX + column * (TILE_PX + GAP_PX), 2 * GAP_PX + head_lines + row * _row_px()
        _draw_tile(canvas[top : top + _row_px(), left : left + TILE_PX], tile)
    return canvas


def _row_px() -> int:
    return TILE_PX + _MOST_LINES * Lettering(TEXT_PX).plate_height_px + Lettering(SMALL_PX).plate_height_px + GAP_PX


def _write_legend(canvas: NDArray[np.uint8], legend: Sequence[tuple[str, Bgr]], *, top: int) -> None:
    lettering = Lettering(TEXT_PX)
    left = GAP_PX + 4
    for text, color in legend:
        side = TEXT_PX // 2 * 2
        middle = top + lettering.plate_height_px // 2
        canvas[middle - side // 2 : middle + side // 2, left : left + side] = color
        lettering.write(canvas, text, (left + side + 4, top), INK)
        left += side + 4 + lettering.plate_size(text)[0] + GAP_PX


def _draw_tile(place: NDArray[np.uint8], tile: Tile) -> None:
    """Draw a tile into its place, (row's height, TILE_PX, 3)."""
    place[:TILE_PX] = _BACKDROP  # a line around it, so that a white picture ends as well
    place[1 : TILE_PX - 1, 1 : TILE_PX - 1] = tile.picture[1:-1, 1:-1]
    top = TILE_PX
    lettering = Lettering(TEXT_PX)
    for line in wrapped(tile.caption, lettering, TILE_PX, most=_MOST_LINES):
        lettering.write(place, line, (0, top), INK)
        top += lettering.plate_height_px
    small = Lettering(SMALL_PX)
    small.write(place, written(tile.source, small, TILE_PX), (0, top), FAINT)
