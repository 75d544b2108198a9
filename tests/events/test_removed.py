from __future__ import annotations

import random
from dataclasses import replace

import pytest
from event_scenes import utc
from rule_scenes import CAR, PARCEL, Watch, car, parcel, person, story, walk

from streamer.core.event import EndReason
from streamer.events.rules import RuleSpec

TAKEN = RuleSpec(name="taken", class_ids=frozenset({PARCEL, CAR}), removed=True, after_s=2.0)
SEEDS = range(8)


def seconds(moment_utc_ns: int) -> float:
    return (moment_utc_ns - utc(0)) / 1e9


class TestTaken:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("seen", [False, True])
    def test_a_parcel_that_somebody_takes_is_told_of_once(self, seed: int, *, seen: bool) -> None:
        watch = Watch([TAKEN], seed=seed)
        come, go = walk(50, 640, 4), walk(640, 1400, 4)
        watch.show(20, lambda _: [parcel(640)])
        watch.show(4, lambda t: [person(come(t)), *([parcel(640)] if t < 3.3 else [])])
        watch.show(4, lambda t: [person(go(t)), *([parcel(go(t) + 20, 330)] if seen else [])])
        watch.show(20, lambda _: [])
        assert story(watch.said) == [("taken", "start"), ("taken", "end")]
        start, end = watch.said
        assert start.box == pytest.approx((615, 360, 665, 400), abs=6)  # where it was
        assert seconds(start.started_utc_ns) == pytest.approx(24.0 if seen else 23.2, abs=0.5)
        assert 25 <= seconds(start.captured_utc_ns) <= 28  # the thief is in front of it until 24.6
        assert seconds(end.captured_utc_ns) - seconds(start.captured_utc_ns) == pytest.approx(2.0, abs=0.01)
        assert (start.track, start.stationary, end.end_reason) == (1, True, EndReason.GONE)

    def test_a_car_that_drives_off_is_told_of(self) -> None:
        watch = Watch([TAKEN])
        watch.show(20, lambda _: [car(400)])
        watch.show(10, lambda t: [car(400 + 20 * t * t)])
        assert story(watch.said) == [("taken", "start"), ("taken", "end")]
        assert 25 <= seconds(watch.said[0].captured_utc_ns) <= 27

    def test_what_has_rested_again_may_be_taken_again(self) -> None:
        watch = Watch([TAKEN])
        for place in (200, 640, 200):
            watch.show(15, lambda _, place=place: [parcel(place)])  # type: ignore[misc]
        watch.show(10, lambda _: [])
        assert story(watch.said) == [("taken", "start"), ("taken", "end")] * 3


class TestNotTaken:
    def test_what_never_rested_is_not(self) -> None:
        watch = Watch([TAKEN])
        watch.show(9, lambda _: [parcel(640)])
        watch.show(10, lambda _: [])
        watch.show(12, lambda t: [car(100 + 80 * t)])
        watch.show(10, lambda _: [])
        assert watch.said == []

    @pytest.mark.parametrize("after_s", [0.5, 5.0])
    def test_what_is_missed_or_hidden_is_not(self, after_s: float) -> None:
        watch = Watch([replace(TAKEN, after_s=after_s)])
        for _ in range(2):
            watch.show(12, lambda _: [parcel(640)])
            watch.show(1.6, lambda _: [])
            watch.show(2, lambda _: [parcel(640)])
            watch.show(50, lambda _: [person(650)])
            watch.show(1.0, lambda _: [])
        watch.show(2, lambda _: [parcel(640)])
        assert watch.said == []

    @pytest.mark.parametrize("seed", SEEDS)
    def test_flicker_takes_nothing(self, seed: int) -> None:
        watch = Watch([TAKEN], seed=seed)
        watch.show(15, lambda _: [parcel(640)])
        watch.show(120, lambda _: [parcel(640)], share=0.5)
        assert watch.said == []

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_the_detector_hardly_ever_sees_is_not(self, seed: int) -> None:
        dice, watch = random.Random(seed), Watch([replace(TAKEN, after_s=0.5)], seed=seed)
        watch.show(90, lambda _: [parcel(640)] if dice.random() < 0.15 else [])
        watch.show(20, lambda _: [])
        assert watch.said == []

    def test_what_is_pushed_aside_is_not(self) -> None:
        watch = Watch([TAKEN])
        push = walk(640, 680, 1)
        watch.show(15, lambda _: [parcel(640)])
        watch.show(30, lambda t: [parcel(push(t))])
        assert watch.said == []
        watch.show(6, lambda _: [])
        assert story(watch.said)[:1] == [("taken", "start")]
        assert watch.said[0].box is not None
        assert watch.said[0].box[0] == pytest.approx(655, abs=6)

    def test_a_camera_that_was_away_takes_nothing(self) -> None:
        watch = Watch([TAKEN])
        watch.show(15, lambda _: [parcel(640)])
        watch.end(EndReason.CAMERA_LOST)
        watch.show(15, lambda _: [])
        assert watch.said == []

    def test_what_hides_it_for_more_than_a_minute_has_taken_its_place(self) -> None:
        watch = Watch([TAKEN])
        watch.show(15, lambda _: [parcel(640)])
        watch.show(61, lambda _: [person(650)])
        assert watch.said == []
        watch.show(6, lambda _: [person(650)])
        assert story(watch.said)[:1] == [("taken", "start")]
