"""Each defect is what its name says: told by the pieces into which copper and substrate fall."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from board_pictures import conductors, copper_of, gaps, within

from streamer.capture.scenes.boards import KINDS, Boards

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneObject

    Box = tuple[float, float, float, float]

pytestmark = pytest.mark.timeout(60)  # 2 s on a quiet machine
SIZE = (640, 640)
FIRST, BOARDS = 100, 40


@dataclass(frozen=True, eq=False)
class Spoilt:
    """One defect on a board that is otherwise good."""

    index: int  # of the board
    defect: SceneObject
    good: NDArray[np.uint8]  # (H, W), 1 where copper is
    bad: NDArray[np.uint8]

    @property
    def more_conductors(self) -> int:
        return conductors(self.bad) - conductors(self.good)

    @property
    def more_gaps(self) -> int:
        return gaps(self.bad) - gaps(self.good)


@pytest.fixture(scope="module")
def spoilt() -> dict[str, list[Spoilt]]:
    scenes = [Boards(7, *SIZE, defective=share) for share in (0.0, 1.0)]
    found: dict[str, list[Spoilt]] = {kind: [] for kind in KINDS}
    for index in range(FIRST, FIRST + BOARDS):
        good, bad = (copper_of(scene.at(index / 2).bgr) for scene in scenes)
        for defect in scenes[1].truth(index):
            alone = good.copy()
            alone[within(defect.box)] = bad[within(defect.box)]
            found[defect.kind].append(Spoilt(index, defect, good, alone))
    return found


def test_all_kinds_are_drawn_about_as_often(spoilt: dict[str, list[Spoilt]]) -> None:
    counts = Counter({kind: len(found) for kind, found in spoilt.items()})
    assert min(counts.values()) > 0.08 * counts.total()
    assert max(counts.values()) < 0.28 * counts.total()


def test_an_open_parts_a_trace(spoilt: dict[str, list[Spoilt]]) -> None:
    assert {case.more_conductors for case in spoilt["open"]} == {1}


def test_a_short_joins_two_conductors(spoilt: dict[str, list[Spoilt]]) -> None:
    assert {case.more_conductors for case in spoilt["short"]} == {-1}


@pytest.mark.parametrize("kind", ["mousebite", "spur"])
def test_bites_and_spurs_part_and_join_nothing(spoilt: dict[str, list[Spoilt]], kind: str) -> None:
    assert {(case.more_conductors, case.more_gaps) for case in spoilt[kind]} == {(0, 0)}


def test_copper_is_an_island_and_a_pin_hole_a_lake(spoilt: dict[str, list[Spoilt]]) -> None:
    assert {(case.more_conductors, case.more_gaps) for case in spoilt["copper"]} == {(1, 0)}
    assert {(case.more_conductors, case.more_gaps) for case in spoilt["pin-hole"]} == {(0, 1)}


@pytest.mark.parametrize(("kind", "more"), [("mousebite", 0), ("spur", 1), ("copper", 1), ("pin-hole", 0)])
def test_what_is_added_is_copper_and_what_is_taken_away_bare(
    spoilt: dict[str, list[Spoilt]], kind: str, more: int
) -> None:
    for case in spoilt[kind]:
        changed = case.good != case.bad
        assert set(case.bad[changed].tolist()) == {more}
        assert np.count_nonzero(changed) >= 15


@pytest.mark.parametrize(("kind", "value"), [("copper", 1), ("pin-hole", 0)])
def test_islands_and_holes_keep_a_margin(spoilt: dict[str, list[Spoilt]], kind: str, value: int) -> None:
    for case in spoilt[kind]:
        rows, columns = np.nonzero(case.good != case.bad)
        near = case.good[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2]
        around = np.count_nonzero(near == value)
        assert around <= 0.25 * near.size  # its square may reach a rounded edge nearby, itself it may not


def test_boxes_are_as_loose_as_the_labelled_ones(spoilt: dict[str, list[Spoilt]]) -> None:
    for case in (case for found in spoilt.values() for case in found):
        rows, columns = np.nonzero(case.good != case.bad)
        x1, y1, x2, y2 = case.defect.box
        margins = (columns.min() - x1, rows.min() - y1, x2 - 1 - columns.max(), y2 - 1 - rows.max())
        assert min(margins) >= 5  # 9, but for ragged edges
        assert max(margins) <= 13
        assert min(x2 - x1, y2 - y1) >= 22


def test_defects_are_apart_and_away_from_the_border(spoilt: dict[str, list[Spoilt]]) -> None:
    boards: dict[int, list[Box]] = {}
    for case in (case for found in spoilt.values() for case in found):
        boards.setdefault(case.index, []).append(case.defect.box)
    assert len(boards) == BOARDS
    for boxes in boards.values():
        assert 1 <= len(boxes) <= 4
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            assert min(x1, y1) >= 11  # the defect itself at least 20
            assert max(x2, y2) <= 640 - 11
            for other in boxes[:i]:
                assert x1 >= other[2] or other[0] >= x2 or y1 >= other[3] or other[1] >= y2
