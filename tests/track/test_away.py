from __future__ import annotations

from streamer.core.results import Box, Track
from streamer.track.away import Away

S = 1_000_000_000
PLACE: Box = (100.0, 100.0, 200.0, 180.0)


def parked(number: int = 1, box: Box = PLACE, class_id: int = 2) -> Track:
    return Track(id=number, class_id=class_id, box=box, score=0.9, first_ns=0, last_ns=0, hits=99, stationary=True)


def test_it_is_found_again_in_its_place_once() -> None:
    away = Away()
    away.put(parked(), 0)
    assert away.again(2, (110.0, 105.0, 205.0, 180.0)) == parked()
    assert away.again(2, PLACE) is None


def test_neither_elsewhere_nor_under_another_class() -> None:
    away = Away()
    away.put(parked(), 0)
    assert away.again(2, (200.0, 100.0, 300.0, 180.0)) is None
    assert away.again(3, PLACE) is None
    assert list(away.ids()) == [1]


def test_of_two_neighbours_each_is_found_in_its_own_place() -> None:
    away, beside = Away(), (140.0, 100.0, 240.0, 180.0)
    away.put(parked(), 0)
    away.put(parked(2, beside), 0)
    first, second = away.again(2, beside), away.again(2, PLACE)
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == (2, 1)


def test_it_is_remembered_for_a_minute_and_unsure_for_three_seconds() -> None:
    away = Away()
    assert not away.unsure(0)
    away.put(parked(), 5 * S)
    assert away.unsure(7 * S)
    assert not away.unsure(8 * S)
    away.pass_time(65 * S)
    assert list(away.ids()) == [1]
    away.pass_time(65 * S + 1)
    assert not away.ids()


def test_all_is_forgotten_at_once() -> None:
    away = Away()
    away.put(parked(), 0)
    away.clear()
    assert away.again(2, PLACE) is None
