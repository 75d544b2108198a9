from __future__ import annotations

import numpy as np

from streamer.track.nearness import Nearness

PERSON = (100.0, 100.0, 160.0, 250.0)


def nearness(track: tuple[float, ...], detected: tuple[float, ...], *, reach: float) -> float:
    return float(Nearness().compute(np.array([[*track, reach]]), np.array([detected]))[0, 0])


def moved(x: float) -> tuple[float, ...]:
    return (PERSON[0] + x, PERSON[1], PERSON[2] + x, PERSON[3])


def test_the_same_box_is_nearest() -> None:
    assert nearness(PERSON, PERSON, reach=0) == 1.0


def test_what_overlaps_well_pairs_even_beyond_the_reach() -> None:
    assert nearness(PERSON, moved(20), reach=1) > 0.5


def test_boxes_apart_pair_within_the_reach_only() -> None:
    assert 0 < nearness(PERSON, moved(100), reach=101) < 0.5
    assert nearness(PERSON, moved(100), reach=99) == 0


def test_boxes_apart_pair_only_when_alike_in_size() -> None:
    far_and_small = (200.0, 150.0, 220.0, 200.0)
    assert nearness(PERSON, far_and_small, reach=200) == 0


def test_one_good_pair_is_not_traded_for_two_bad_ones() -> None:
    matrix = Nearness().compute(
        np.array([[*PERSON, 10.0], [*moved(120), 10.0]]), np.array([PERSON, moved(-300)], dtype=np.float64)
    )
    assert matrix.tolist() == [[1.0, 0.0], [0.0, 0.0]]
