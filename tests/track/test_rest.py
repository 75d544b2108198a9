from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.results import Track
from streamer.track.rest import Rests

if TYPE_CHECKING:
    from streamer.core.results import Box

S = 1_000_000_000
BOX: Box = (0.0, 0.0, 100.0, 200.0)


def track(at_s: float, *, left: float = 0.0, hits: int = 9, number: int = 1) -> Track:
    return Track(
        id=number, class_id=0, box=moved(left), score=0.9, first_ns=0, last_ns=round(at_s * S), hits=hits
    )  # fmt: skip


def moved(left: float) -> Box:
    return left, 0.0, left + 100, 200.0


def settled(rests: Rests, *tracks: Track, at_s: float) -> bool:
    """Show what a frame shows; tell whether all is settled after it."""
    for seen in tracks:
        if seen.last_ns == round(at_s * S):
            rests.see(seen.id, seen.box, seen.last_ns)
    return rests.settled(tracks, round(at_s * S))


class TestSettled:
    def test_an_object_is_once_it_has_rested_for_a_second(self) -> None:
        rests = Rests()

        told = [settled(rests, track(i / 5, left=i % 2 * 5), at_s=i / 5) for i in range(8)]

        assert told == [False] * 5 + [True] * 3

    def test_what_moves_never_is_and_rests_anew_where_it_stops(self) -> None:
        rests = Rests()
        assert not any(settled(rests, track(i / 5, left=12.0 * i), at_s=i / 5) for i in range(30))

        told = [settled(rests, track(i / 5, left=12.0 * 30), at_s=i / 5) for i in range(30, 40)]

        assert told[-1]
        assert told.index(True) >= 3

    def test_one_that_is_missing_or_seldom_seen_leaves_all_open(self) -> None:
        rests = Rests()
        for i in range(10):
            settled(rests, track(i / 5), track(i / 5, number=2), at_s=i / 5)

        assert settled(rests, track(2), track(2, number=2), at_s=2)
        assert not settled(rests, track(2.2), track(2, number=2), at_s=2.2)
        assert settled(rests, track(2.4), at_s=2.4)
        assert not settled(rests, track(4), track(4, number=3, hits=2), at_s=4)

    def test_one_that_is_not_quite_in_its_place_is_not(self) -> None:
        rests = Rests()
        for i in range(10):
            settled(rests, track(i / 5), at_s=i / 5)

        assert not settled(rests, track(2, left=40.0), at_s=2)
        assert settled(rests, track(2.2), at_s=2.2)

    def test_nothing_is_as_certain_as_can_be(self) -> None:
        assert Rests().settled([], 5)

    def test_a_box_without_area_is_no_fault(self) -> None:
        rests, point = Rests(), (5.0, 5.0, 5.0, 5.0)
        assert not rests.see(1, point, 0)
        assert rests.see(1, point, 10 * S)


def rested(seconds: float) -> Rests:
    """Show one object that rests, five times a second."""
    rests = Rests()
    for i in range(round(seconds * 5) + 1):
        rests.see(1, moved(i % 2 * 5), i * S // 5)
    return rests


class TestStationary:
    def test_an_object_is_after_ten_seconds_in_its_place(self) -> None:
        rests = Rests()
        told = [rests.see(1, moved(i % 2 * 5), i * S // 5) for i in range(60)]
        assert told == [False] * 50 + [True] * 10

    def test_one_box_that_jumps_changes_nothing(self) -> None:
        rests = rested(11)
        assert rests.see(1, moved(40), round(11.2 * S))
        assert rests.see(1, BOX, round(11.4 * S))

    def test_one_that_goes_is_not_any_more_and_must_rest_anew(self) -> None:
        rests = rested(11)
        assert rests.see(1, moved(40), round(11.2 * S))
        assert not rests.see(1, moved(45), round(11.4 * S))
        assert not rests.see(1, moved(45), round(21.2 * S))
        assert rests.see(1, moved(45), round(21.4 * S))

    def test_one_that_is_elsewhere_at_once_is_not_any_more(self) -> None:
        assert not rested(11).see(1, moved(80), round(11.2 * S))

    def test_one_that_creeps_never_is(self) -> None:
        rests = Rests()
        assert not any(rests.see(1, moved(3.0 * i / 5), i * S // 5) for i in range(300))

    def test_the_place_is_a_mean_so_that_a_bad_first_box_does_no_harm(self) -> None:
        rests = Rests()
        rests.see(1, moved(20), 0)
        told = [rests.see(1, moved(-6 if i % 2 else -2), i * S // 5) for i in range(1, 56)]
        assert told[-1]

    def test_a_place_is_kept_only_for_those_that_are_known(self) -> None:
        rests = rested(11)
        rests.keep({1})
        assert rests.see(1, BOX, 12 * S)
        rests.keep(())
        assert not rests.see(1, BOX, 13 * S)
