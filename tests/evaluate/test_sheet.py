"""Tiles in rows under a headline, with words that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.core.errors import ConfigError
from streamer.evaluate.sheet import GAP_PX, TEXT_PX, TILE_PX, Tile, fitted, save_png, sheet, wrapped, written
from streamer.pixels.lettering import Lettering
from streamer.pixels.palette import PALETTE

if TYPE_CHECKING:
    from pathlib import Path

LETTERING = Lettering(TEXT_PX)


def tile(value: int = 90, caption: str = "missed: short") -> Tile:
    return Tile(picture=np.full((TILE_PX, TILE_PX, 3), value, np.uint8), caption=caption, source="|")


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (1, 3), (4, 3), (9, 4), (24, 6), (60, 6)])
def test_a_sheet_is_as_wide_as_its_tiles(count: int, columns: int) -> None:
    drawn = sheet([tile()] * count, head="Mistakes")
    assert drawn.shape[1] == GAP_PX + columns * (TILE_PX + GAP_PX)


def test_tiles_stand_in_rows_from_the_left() -> None:
    drawn = sheet([tile(value, caption="") for value in (1, 2, 3, 4)], head="")  # letters have greys of their own
    inner = TILE_PX - 2  # without the line around it
    tops = {}
    for value in (1, 2, 3, 4):
        rows, columns = np.nonzero((drawn == value).all(axis=2))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (inner, inner)
        tops[value] = (int(rows.min()), int(columns.min()))
    assert tops[1][0] == tops[2][0] == tops[3][0] < tops[4][0]
    assert tops[1][1] == tops[4][1] < tops[2][1] < tops[3][1]


def test_the_legend_shows_its_colours() -> None:
    drawn = sheet([tile()], head="Mistakes", legend=[("labelled", PALETTE[1]), ("said", PALETTE[0])])
    for color in (PALETTE[0], PALETTE[1]):
        assert (drawn == color).all(axis=2).sum() == TEXT_PX**2


def test_a_caption_of_any_length_stays_below_its_tile() -> None:
    drawn = sheet([tile(), tile(caption="said " + "very " * 60 + "long"), tile()], head="M" * 500)
    assert (drawn[:, : GAP_PX - 1] == 255).all()
    assert (drawn[:, -GAP_PX + 2 :] == 255).all()
    gap = slice(GAP_PX + 2 * TILE_PX + GAP_PX + 2, 2 * GAP_PX + 2 * TILE_PX - 1)
    assert (drawn[3 * GAP_PX + TEXT_PX :, gap] == 255).all()


def test_text_is_broken_between_words() -> None:
    width = LETTERING.plate_size("said open 0.91,")[0]
    assert wrapped("said open 0.91, is mousebite", LETTERING, width, most=2) == ["said open 0.91,", "is mousebite"]
    assert wrapped("short", LETTERING, width, most=2) == ["short"]
    (_, last) = wrapped("said open 0.91, is a mousebite of some size", LETTERING, width, most=2)
    assert last.endswith("…")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Fußgänger", "Fußgänger"), ("行人", "行人"), ("🚗", "automobile"), ("دراجة", "a name that can't be drawn")],
)
def test_a_name_is_written_or_said_not_to_be(name: str, shown: str) -> None:
    assert written(name, LETTERING, 300) == shown


def test_a_long_name_is_cut() -> None:
    cut = written("a very long name of a class", LETTERING, 100)
    assert cut.endswith("…")
    assert LETTERING.plate_size(cut)[0] <= 100


@pytest.mark.parametrize(
    ("height", "width", "corner"), [(100, 200, (0, 64)), (200, 100, (64, 0)), (1, 1, (0, 0)), (2, 900, (0, 127))]
)
def test_a_picture_fills_its_tile_one_way(height: int, width: int, corner: tuple[int, int]) -> None:
    canvas, scale, placed = fitted(np.full((height, width, 3), 7, np.uint8))
    assert canvas.shape == (TILE_PX, TILE_PX, 3)
    assert scale == TILE_PX / max(height, width)
    assert placed == corner
    assert (canvas[corner[1], corner[0]] == 7).all()


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    picture = np.arange(300, dtype=np.uint16).astype(np.uint8).reshape(10, 10, 3)
    save_png(picture, tmp_path / "größe.png")
    again = cv2.imdecode(np.fromfile(tmp_path / "größe.png", np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(np.asarray(again), picture)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "mistakes.png"
    with pytest.raises(ConfigError, match=f"{path} can't be written"):
        save_png(np.zeros((4, 4, 3), np.uint8), path)
