from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from board_pictures import copper_of

from streamer.capture.scenes import boards
from streamer.capture.scenes.boards import KINDS, Boards
from streamer.capture.scenes.boards_layout import laid_out

if TYPE_CHECKING:
    from streamer.capture.scenes.boards_artwork import Layout

pytestmark = pytest.mark.timeout(60)  # 3 s on a quiet machine
SIZE = (640, 640)
BELT = (92, 96, 98)  # B G R


@pytest.mark.parametrize("size", [(640, 640), (640, 360), (64, 64), (1280, 720)])
def test_a_picture_has_the_asked_size(size: tuple[int, int]) -> None:
    bgr = Boards(1, *size).at(4.4).bgr
    assert bgr.shape == (size[1], size[0], 3)
    assert bgr.dtype == np.uint8


def test_equal_moments_are_equal_whatever_was_asked_before(seed: int) -> None:
    first, second = (Boards(seed, *SIZE, defective=1.0) for _ in range(2))
    wanted = first.at(3.45)
    for index in range(20, 30):
        second.truth(index)  # what was kept of the first board is gone
    second.at(0.45).bgr[:] = 0  # who asked may draw into its picture
    got = second.at(3.45)
    assert got.objects == wanted.objects
    assert np.array_equal(got.bgr, wanted.bgr)


def test_seeds_and_boards_differ(seed: int) -> None:
    pictures = [Boards(s, *SIZE).at(t_s).bgr for s, t_s in ((seed, 0.0), (seed, 0.5), (seed + 1, 0.0))]
    assert len({picture.tobytes() for picture in pictures}) == 3


def test_a_board_lies_still_and_then_leaves_to_the_left() -> None:
    scene = Boards(3, *SIZE, rate=2.0, defective=1.0)
    still = [scene.at(t_s).bgr for t_s in (1.0, 1.2, 1.349)]  # 70 % of half a second is 0.35 s
    assert all(np.array_equal(picture, still[0]) for picture in still)
    shifts = []
    for t_s in (1.38, 1.40, 1.42, 1.44):
        picture = scene.at(t_s).bgr
        belt = np.flatnonzero((picture == BELT).all(axis=(0, 2)))
        shifts.append(640 - int(belt[0]))
        assert np.array_equal(picture[:, : belt[0]], still[0][:, 640 - belt[0] :])
    assert shifts == sorted(shifts)
    assert shifts[0] > 10
    assert np.array_equal(scene.at(1.5).bgr, Boards(3, *SIZE, defective=1.0).at(1.5).bgr)
    assert not np.array_equal(scene.at(1.5).bgr, still[0])


def test_the_truth_moves_with_the_board() -> None:
    scene = Boards(3, *SIZE, rate=2.0, defective=1.0)
    here, coming = (scene.truth(index) for index in (2, 3))
    seen = {shown.id: shown for shown in scene.at(1.42).objects}
    shifted = [(before.box[0] - seen[before.id].box[0], before) for before in here if before.id in seen]
    assert seen
    for shown in seen.values():
        assert 0 <= shown.box[0] < shown.box[2] <= 640
        assert 0 < shown.visible <= 1
    for by, before in shifted:
        assert by > 0
        assert seen[before.id].kind == before.kind
    assert {defect.id for defect in here}.isdisjoint(defect.id for defect in coming)


@pytest.mark.parametrize("rate", [0.5, 0.7, 2.0, 3.0, 7.0, 10.0])
def test_one_picture_a_board_shows_each_board_once(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, shown = Boards(1, 32, 32, rate=rate), list[int]()
    board = scene._board(0)

    def told(index: int) -> object:
        shown.append(index)
        return board

    monkeypatch.setattr(scene, "_board", told)
    for number in range(3000):
        scene.at(number / rate)
    assert shown == list(range(3000))


def test_the_share_of_defective_boards_is_as_asked(seed: int) -> None:
    defective = sum(bool(Boards(seed, 256, 256, defective=0.3).truth(index)) for index in range(100))
    assert 14 <= defective <= 46  # of 100, at 0.3: within 3.5 standard deviations
    assert not any(Boards(seed, 256, 256, defective=0.0).truth(index) for index in range(20))


def test_the_truth_is_in_the_picture(seed: int) -> None:
    good, bad = (Boards(seed, *SIZE, defective=share) for share in (0.0, 1.0))
    for index in range(10):
        frame = bad.at(index / 2)
        assert frame.objects == bad.truth(index) != ()
        changed = copper_of(frame.bgr) != copper_of(good.at(index / 2).bgr)
        for defect in frame.objects:
            x1, y1, x2, y2 = (int(side) for side in defect.box)
            assert defect.kind in KINDS
            assert defect.visible == 1.0
            assert changed[y1:y2, x1:x2].any()
            changed[y1:y2, x1:x2] = False
        assert not changed.any()  # and nothing else is


def test_a_board_and_the_next_are_drawn_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def told(rng: np.random.Generator, width: int, height: int) -> Layout:
        drawn.append(width)
        return laid_out(rng, width, height)

    monkeypatch.setattr(boards, "laid_out", told)
    first, second = (Boards(seed, 130, 96, rate=2.0) for _ in range(2))  # no other test has this size
    for t_s in (0.0, 0.1, 0.4, 0.45, 0.5, 0.6):
        first.at(t_s)
        second.truth(int(t_s * 2))  # who compares with the truth need not draw again
    assert drawn == [130, 130]
