from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_scenes import BOX, MODEL, PERSON, Tracks, info, ns

from streamer.events.absence import chance, flickers, gone, hidden
from streamer.events.sighting import Sighting
from streamer.events.stay import Stay

LAST_S = 20.0


def stay(*, hits: int = 100, frames: int = 100, stationary: bool = False, outside: bool = False) -> Stay:
    seen = Sighting(info=info(LAST_S), model=MODEL, class_id=0, score=0.9, box=BOX, track=1, stationary=stationary)
    return Stay(
        rule=PERSON,
        first=info(0),
        first_frame=1,
        there_ns=ns(0),
        last=seen,
        last_frame=frames,
        hits=hits,
        top_score=0.9,
        outside=outside,
    )


def gone_after(absent: Stay, *, fps: float = 5) -> float:
    """Return after how many seconds an object that is not seen any more has gone, if it must be away for 2 s."""
    missed = 1
    while not gone(absent, 2.0, now_ns=ns(LAST_S + missed / fps), missed=missed):
        missed += 1
    return missed / fps


def test_what_was_always_seen_has_gone_at_once() -> None:
    assert gone_after(stay()) == 2.0
    assert gone_after(stay(hits=6, frames=6)) == 2.0
    assert gone_after(stay(hits=60, frames=60), fps=1) == 2.0


@pytest.mark.parametrize(
    ("hits", "frames", "seconds"), [(90, 100, 2.0), (50, 100, 4.6), (10, 20, 5.0), (3, 3, 5.0), (30, 100, 5.0)]
)
def test_what_flickers_has_gone_when_so_many_misses_are_no_chance(hits: int, frames: int, seconds: float) -> None:
    assert gone_after(stay(hits=hits, frames=frames)) == pytest.approx(seconds, abs=0.21)


def test_what_was_at_rest_may_be_missed_for_three_seconds_more() -> None:
    assert gone_after(stay(stationary=True)) == 5.0


def test_what_was_seen_elsewhere_is_not_waited_for() -> None:
    assert gone_after(stay(stationary=True, outside=True)) == 2.0
    assert gone_after(stay(hits=30, outside=True)) == 2.0


def test_the_time_for_which_it_is_hidden_does_not_count() -> None:
    assert gone_after(replace(stay(stationary=True), hidden_ns=ns(10) - ns(0))) == 15.0


def test_chance_is_that_of_a_detector_whose_share_nobody_knows() -> None:
    """Draw the share, and ten frames by it, of which four show the object; then see how often eight more do not."""
    random = np.random.default_rng(5)
    share = random.random(400_000)
    alike = share[random.binomial(10, share) == 4]
    missed = random.random((len(alike), 8)) >= alike[:, None]
    assert chance(4, 6, 8) == pytest.approx(missed.all(axis=1).mean(), rel=0.05)


@pytest.mark.parametrize(("hits", "frames"), [(4, 10), (40, 50), (5, 5)])
def test_it_flickers_down_to_a_chance_of_one_in_a_million(hits: int, frames: int) -> None:
    likely = [flickers(stay(hits=hits, frames=frames), missed) for missed in range(1, 200)]
    last = likely.index(False)
    assert not any(likely[last:])
    assert chance(hits, frames - hits, last) > 1e-6 >= chance(hits, frames - hits, last + 1)


class TestHidden:
    step_ns = ns(0.2) - ns(0)

    def hide(self, absent: Stay, *boxes: tuple[float, float, float, float], track: int = 2) -> int:
        tracks = Tracks()
        others = [tracks.seen(LAST_S + 0.2, track + k, box=box, class_id=1) for k, box in enumerate(boxes)]
        return hidden(absent, others, self.step_ns).hidden_ns

    def test_only_what_was_at_rest_is_hidden(self) -> None:
        assert self.hide(stay(stationary=True), BOX) == self.step_ns
        assert self.hide(stay(), BOX) == 0
        assert self.hide(stay(stationary=True, outside=True), BOX) == 0

    @pytest.mark.parametrize(("share", "is_hidden"), [(0.25, False), (0.35, True)])
    def test_by_what_covers_enough_of_its_place(self, share: float, *, is_hidden: bool) -> None:
        x1, y1, x2, y2 = BOX
        part = (x1 - 300, y1 - 50, x1 + share * (x2 - x1), y2 + 50)
        assert bool(self.hide(stay(stationary=True), (800.0, 0.0, 900.0, 90.0), part)) is is_hidden

    def test_nothing_hides_itself(self) -> None:
        assert self.hide(stay(stationary=True), BOX, track=1) == 0

    def test_for_a_minute_at_most(self) -> None:
        minute_ns = ns(60) - ns(0)
        assert self.hide(replace(stay(stationary=True), hidden_ns=minute_ns - 1), BOX) == minute_ns

    def test_a_sighting_ends_it(self) -> None:
        absent = replace(stay(stationary=True), hidden_ns=5)
        assert absent.seen(absent.last, 101).hidden_ns == 0
