from __future__ import annotations

from streamer.core.results import Track
from streamer.track.rest import Rests

S = 1_000_000_000


def track(at_s: float, *, left: float = 0.0, hits: int = 9, number: int = 1) -> Track:
    return Track(
        id=number, class_id=0, box=(left, 0.0, left + 100, 200.0), score=0.9, first_ns=0, last_ns=round(at_s * S),
        hits=hits,
    )  # fmt: skip


def test_an_object_is_settled_once_it_has_rested_for_a_second() -> None:
    rests = Rests()

    told = [rests.look([track(i / 5, left=i % 2 * 5)], i * S // 5) for i in range(8)]

    assert told == [False] * 5 + [True] * 3


def test_what_moves_is_never_settled_and_rests_anew_where_it_stops() -> None:
    rests = Rests()
    assert not any(rests.look([track(i / 5, left=12.0 * i)], i * S // 5) for i in range(30))

    told = [rests.look([track(i / 5, left=12.0 * 30)], i * S // 5) for i in range(30, 40)]

    assert told[-1]
    assert told.index(True) >= 3


def test_one_that_is_missing_or_seldom_seen_leaves_all_open() -> None:
    rests = Rests()
    for i in range(10):
        rests.look([track(i / 5), track(i / 5, number=2)], i * S // 5)

    assert rests.look([track(2), track(2, number=2)], 2 * S)
    assert not rests.look([track(2.2), track(2, number=2)], round(2.2 * S))
    assert rests.look([track(2.4)], round(2.4 * S))
    assert not rests.look([track(4), track(4, number=3, hits=2)], 4 * S)


def test_nothing_is_as_certain_as_can_be() -> None:
    assert Rests().look([], 5)


def test_a_box_without_area_is_no_fault() -> None:
    point = Track(id=1, class_id=0, box=(5.0, 5.0, 5.0, 5.0), score=0.9, first_ns=0, last_ns=S, hits=9)

    assert not Rests().look([point], S)
