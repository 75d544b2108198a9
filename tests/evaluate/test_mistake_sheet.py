"""A tile shows what lies around a mistake, with the object's frame and the answer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from judged_pictures import labelled

from streamer.core.errors import ConfigError
from streamer.evaluate.mistake_sheet import _tile, draw_mistakes
from streamer.evaluate.mistakes import Mistake, MistakeKind
from streamer.evaluate.sheet import GAP_PX, TILE_PX
from streamer.pixels.palette import PALETTE
from streamer.stills import PictureError

if TYPE_CHECKING:
    from pathlib import Path

    from judged_pictures import Sides, Truth
    from numpy.typing import NDArray

BLUE, ORANGE = PALETTE[1], PALETTE[0]


def mistake(
    path: Path,
    kind: MistakeKind,
    box: Sides,
    wanted: Sides | None,
    *,
    size_hw: tuple[int, int] = (300, 300),
    others: tuple[Truth, ...] = (),
) -> Mistake:
    """Return a mistake in a grey picture that is written for it."""
    cv2.imwrite(str(path), np.full((*size_hw, 3), 90, np.uint8))
    truths = (*others, *([(0, wanted)] if wanted else []))
    return Mistake(
        picture=labelled(*truths, path=path),
        kind=kind,
        label="短路",
        truth="mousebite" if wanted else None,
        score=0.0 if kind is MistakeKind.MISSED else 0.91,
        box=np.array(box, np.float32),
        wanted=None if wanted is None else np.array(wanted, np.float32),
    )


def area_of(tile: NDArray[np.uint8], color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return x1 y1 x2 y2 of what has a colour."""
    rows, columns = np.nonzero((tile == color).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_frames_lie_around_the_object_and_inside_the_answer(tmp_path: Path) -> None:
    box = (100.0, 100.0, 164.0, 164.0)
    shown = _tile(mistake(tmp_path / "board.png", MistakeKind.CONFUSED, box, box)).picture
    # Three times as wide as the box: 36 to 228, so that a px is 4/3 of one, and the box begins at 64 / 0.75.
    edges = np.rint(np.array([64, 128]) * 4 / 3)
    assert area_of(shown, BLUE) == pytest.approx([edges[0] - 4] * 2 + [edges[1] + 4] * 2)
    assert area_of(shown, ORANGE) == pytest.approx([edges[0] + 1] * 2 + [edges[1] - 1] * 2)
    assert (shown[100:156, 100:156] == 90).all()


def test_a_miss_has_no_answer_and_an_invention_no_object(tmp_path: Path) -> None:
    box = (100.0, 100.0, 164.0, 164.0)
    missed = _tile(mistake(tmp_path / "a.png", MistakeKind.MISSED, box, box)).picture
    invented = _tile(mistake(tmp_path / "b.png", MistakeKind.INVENTED, box, None)).picture
    assert not (missed == ORANGE).all(axis=2).any()
    assert (missed == BLUE).all(axis=2).any()
    assert (invented == ORANGE).all(axis=2).any()
    assert not (invented == BLUE).all(axis=2).any()


def test_other_objects_have_thin_frames(tmp_path: Path) -> None:
    other = (0, (180.0, 180.0, 200.0, 200.0))
    shown = _tile(
        mistake(tmp_path / "a.png", MistakeKind.INVENTED, (100, 100, 164, 164), None, others=(other,))
    ).picture
    left, top, right, bottom = area_of(shown, BLUE)
    assert (right - left) == pytest.approx(29, abs=1)
    assert (shown == BLUE).all(axis=2).sum() == 2 * (right - left) + 2 * (bottom - top) - 4


def test_the_caption_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    box = (100.0, 100.0, 164.0, 164.0)
    one = _tile(mistake(tmp_path / "Größe 7.png", MistakeKind.CONFUSED, box, box))
    assert one.caption == "said 短路 0.91, is mousebite"
    assert one.source == "Größe 7.png"


@pytest.mark.parametrize(
    ("size_hw", "box"),
    [
        ((1, 1), (0, 0, 1, 1)),
        ((5, 9), (0, 0, 9, 5)),
        ((8, 900), (0, 0, 900, 8)),
        ((1500, 2000), (1999, 1499, 2000, 1500)),
        ((1500, 2000), (0, 0, 2000, 1500)),
        ((300, 300), (100, 100, 100, 100)),
    ],
)
def test_pictures_and_boxes_of_any_size_make_a_tile(tmp_path: Path, size_hw: tuple[int, int], box: Sides) -> None:
    one = _tile(mistake(tmp_path / "a.png", MistakeKind.LOOSE, box, box, size_hw=size_hw))
    assert one.picture.shape == (TILE_PX, TILE_PX, 3)
    assert (one.picture == BLUE).all(axis=2).any() or (one.picture == ORANGE).all(axis=2).any()


def test_a_sheet_is_written_with_a_tile_for_each(tmp_path: Path) -> None:
    box = (100.0, 100.0, 164.0, 164.0)
    one = mistake(tmp_path / "a.png", MistakeKind.MISSED, box, box)
    heights = []
    for count in (0, 3, 4):
        draw_mistakes([one] * count, tmp_path / "sheet.png")
        sheet = cv2.imread(str(tmp_path / "sheet.png"))
        assert sheet is not None
        assert sheet.shape[1] == GAP_PX + 3 * (TILE_PX + GAP_PX)
        heights.append(sheet.shape[0])
    assert heights[0] < TILE_PX < heights[1] < heights[2] - TILE_PX


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    one = mistake(tmp_path / "a.png", MistakeKind.INVENTED, (10, 10, 20, 20), None)
    (tmp_path / "a.png").unlink()
    with pytest.raises(PictureError, match=r"a\.png"):
        draw_mistakes([one], tmp_path / "sheet.png")


def test_a_sheet_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sheet\.png can't be written"):
        draw_mistakes([], tmp_path / "gone" / "sheet.png")
