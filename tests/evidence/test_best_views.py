"""Which view of an event is the best, and how often another takes its place."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from streamer.core.clock import NS_PER_S
from streamer.evidence.views import BestViews

if TYPE_CHECKING:
    from streamer.core.results import Box

HW = (720, 1280)
SHARP = 400.0


class Seen(NamedTuple):
    """What a view shows: a square, unless a box is given."""

    score: float = 0.8
    side: float = 200
    at: tuple[float, float] = (500, 300)
    sharp: float = SHARP
    box: Box | None = None
    whole: bool = False

    def where(self) -> Box | None:
        (x, y), side = self.at, self.side
        return None if self.whole else self.box or (x, y, x + side, y + side)


class Rig:
    """An event whose views come two seconds apart."""

    def __init__(self) -> None:
        self.views = BestViews()
        self.now_ns = 0
        self.measured = 0

    def see(self, seen: Seen = Seen(), *, later_s: float = 2.0) -> bool:  # noqa: B008  it is frozen
        self.now_ns += round(later_s * NS_PER_S)
        return self.views.consider(
            "a",
            score=seen.score,
            box=seen.where(),
            frame_hw=HW,
            sharpness=lambda: self._measure(seen.sharp),
            now_ns=self.now_ns,
        )

    def _measure(self, sharp: float) -> float:
        self.measured += 1
        return sharp


def test_the_first_view_is_the_best_and_the_same_again_is_none() -> None:
    rig = Rig()
    assert not rig.views.has("a")
    assert rig.see()
    assert rig.views.has("a")
    assert not any(rig.see() for _ in range(100))


@pytest.mark.parametrize(
    "better",
    [
        Seen(score=0.89),
        Seen(side=230),
        Seen(sharp=2 * SHARP),
        Seen(score=0.7, side=260),
        Seen(side=190, sharp=2 * SHARP),
    ],
)
def test_a_tenth_better_takes_its_place_and_less_does_not(better: Seen) -> None:
    rig = Rig()
    rig.see()
    assert rig.see(better)
    assert not rig.see(better)
    assert not rig.see()


@pytest.mark.parametrize(
    "other", [Seen(score=0.87), Seen(side=215), Seen(sharp=1.15 * SHARP), Seen(side=400, sharp=SHARP / 20)]
)
def test_what_is_hardly_better_or_larger_and_blurred_does_not(other: Seen) -> None:
    rig = Rig()
    rig.see()
    assert not rig.see(other)


def test_what_is_large_enough_gains_nothing_by_being_larger() -> None:
    rig = Rig()
    rig.see(Seen(box=(300, 100, 800, 500)))
    assert not rig.see(Seen(box=(200, 20, 1000, 700)))


@pytest.mark.parametrize("at", [(0, 300), (1081, 300), (500, 0), (500, 521), (-0.4, 300), (3, 300)])
def test_what_the_frame_s_edge_cuts_off_is_worth_less(at: tuple[float, float]) -> None:
    rig = Rig()
    rig.see(Seen(at=at))
    assert rig.see()
    assert not rig.see(Seen(at=at, score=0.95))


def test_two_edges_are_worse_than_one() -> None:
    rig = Rig()
    rig.see(Seen(at=(0, 0)))
    assert rig.see(Seen(at=(0, 300)))
    assert rig.see(Seen(at=(500, 300)))


def test_a_better_view_waits_for_a_second() -> None:
    rig = Rig()
    rig.see()
    assert not any(rig.see(Seen(0.95), later_s=0.2) for _ in range(4))
    assert rig.measured == 1
    assert rig.see(Seen(0.95), later_s=0.2)


def test_an_object_that_comes_nearer_is_pictured_at_most_once_a_second() -> None:
    rig = Rig()
    taken = [n for n in range(100) if rig.see(Seen(side=20 + 3 * n), later_s=0.1)]
    assert len(taken) < 15
    assert min(b - a for a, b in pairwise(taken)) >= 10
    assert taken[-1] > 80  # the last is nearly as good as the best: a tenth better is none of the rest


def test_sharpness_is_not_measured_where_it_can_change_nothing() -> None:
    rig = Rig()
    rig.see()
    for _ in range(10):
        rig.see(Seen(0.2))
        rig.see(Seen(side=50))
    assert rig.measured == 1


def test_sharpness_is_measured_five_times_a_second_at_most() -> None:
    rig = Rig()
    rig.see()
    for _ in range(300):
        rig.see(Seen(0.9, sharp=SHARP / 30), later_s=0.01)
    assert rig.measured == 1 + 1 + 2 * 5  # for a second after the first there is nothing to measure it for


def test_what_stays_as_it_is_costs_less_and_less() -> None:
    """An hour of a parked car, five looks a second: where only a sharper view would win, it is seldom looked for."""
    rig = Rig()
    rig.see()
    for _ in range(5 * 3600):
        rig.see(Seen(0.82), later_s=0.2)
    assert 600 < rig.measured < 3600 / 5 + 60
    assert rig.see(Seen(0.82, sharp=10 * SHARP), later_s=5)
    assert not rig.see(Seen(0.82, sharp=10 * SHARP))


def test_a_blurred_first_view_is_soon_replaced() -> None:
    rig = Rig()
    rig.see(Seen(sharp=SHARP / 30))
    assert rig.see(Seen(0.7))


def test_an_event_of_the_whole_picture_is_compared_by_score_and_sharpness() -> None:
    rig = Rig()
    assert rig.see(Seen(2.4, whole=True))
    assert not rig.see(Seen(2.4, whole=True))
    assert rig.see(Seen(3.2, whole=True))
    assert rig.see(Seen(3.2, whole=True, sharp=2 * SHARP))


def test_views_come_to_an_end_whatever_is_seen(seed: int) -> None:
    """Views do not take each other's place in turn: once all kinds of view have been seen, the best one stays."""
    dice = random.Random(seed)
    for _ in range(50):
        rig = Rig()
        kinds = [(dice.uniform(0.3, 1), dice.uniform(10, 400), 10 ** dice.uniform(0, 4)) for _ in range(6)]
        for score, side, sharp in 6 * kinds:
            rig.see(Seen(score, side, sharp=sharp))
        assert not any(rig.see(Seen(score, side, sharp=sharp)) for score, side, sharp in dice.choices(kinds, k=500))


def test_events_are_apart_and_forgotten() -> None:
    views = BestViews()

    def see(event: str) -> bool:
        return views.consider(
            event, score=0.5, box=(0, 0, 9, 9), frame_hw=HW, sharpness=lambda: SHARP, now_ns=10 * NS_PER_S
        )

    assert [see("a"), see("b"), see("a")] == [True, True, False]
    views.forget("a")
    views.forget("never seen")
    assert [views.has("a"), views.has("b")] == [False, True]
    assert see("a")


def test_a_view_without_area_or_sharpness_is_no_failure() -> None:
    rig = Rig()
    assert rig.see(Seen(box=(5, 5, 5, 5), sharp=0.0))
    assert not rig.see(Seen(box=(5, 5, 5, 5), sharp=0.0))
    assert rig.see()
