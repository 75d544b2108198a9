from __future__ import annotations

from dataclasses import replace

import pytest
from event_scenes import utc
from rule_scenes import PARCEL, PERSON, Watch, parcel, person, story, walk

from streamer.core.event import EndReason, EventType
from streamer.events.rules import RuleSpec

LEFT = RuleSpec(name="left", class_ids=frozenset({PARCEL}), left_by=frozenset({PERSON}), after_s=5.0)
SEEDS = range(8)


def delivered(watch: Watch, *, carried: bool = False) -> None:
    """Somebody comes for 4 s, stands for 3 s with a parcel at their feet, and goes within 4 s."""
    come, go = walk(50, 600, 4), walk(600, 1400, 4)
    watch.show(4, lambda t: [person(come(t)), *([parcel(come(t) + 30, 330)] if carried else [])])
    watch.show(3, lambda _: [person(600), parcel(640)])
    watch.show(4, lambda t: [*([person(go(t))] if go(t) < 1280 else []), parcel(640)])


class TestLeft:
    @pytest.mark.parametrize("carried", [False, True])
    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_parcel_is_told_of_once_whoever_brought_it_has_gone(self, seed: int, *, carried: bool) -> None:
        watch = Watch([LEFT], seed=seed)
        delivered(watch, carried=carried)
        assert watch.said == []
        watch.show(120, lambda _: [parcel(640)])
        assert story(watch.said) == [("left", "start")]
        start = watch.said[0]
        assert (start.class_name, start.box is not None) == ("parcel", True)
        assert 12.5 <= (start.captured_utc_ns - utc(0)) / 1e9 <= 14.5  # 1.5 sizes away at 8 s, and 5 s
        assert 3.5 <= (start.started_utc_ns - utc(0)) / 1e9 <= 4.5

    def test_it_ends_when_it_is_taken_away(self) -> None:
        watch = Watch([LEFT])
        delivered(watch)
        watch.show(30, lambda _: [parcel(640)])
        watch.show(3, lambda _: [person(640), parcel(640)])
        carry = walk(640, 1300, 4)
        watch.show(4, lambda t: [person(carry(t)), parcel(carry(t) + 30, 330)])
        watch.show(6, lambda _: [])
        assert story(watch.said) == [("left", "start"), ("left", "end")]
        assert watch.said[-1].end_reason is EndReason.GONE
        assert 43.5 <= ((watch.said[-1].ended_utc_ns or 0) - utc(0)) / 1e9 <= 45.5

    def test_it_goes_on_while_somebody_else_stands_in_front_of_it(self) -> None:
        watch = Watch([LEFT])
        delivered(watch)
        watch.show(20, lambda _: [parcel(640)])
        watch.show(30, lambda _: [person(640)])
        watch.show(20, lambda _: [parcel(640)])
        assert story(watch.said) == [("left", "start")]

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_the_parcels_bringer_hid_is_brought_all_the_same(self, seed: int) -> None:
        """It is first seen when whoever brought it is three metres away already."""
        watch = Watch([LEFT], seed=seed)
        come, go = walk(50, 640, 4), walk(640, 1240, 6)
        watch.show(7, lambda t: [person(come(t))])
        watch.show(6, lambda t: [person(go(t)), *([parcel(640)] if t > 4 else [])])
        watch.show(10, lambda _: [parcel(640)])
        assert story(watch.said) == [("left", "start")]


class TestNotLeft:
    def test_what_was_there_from_the_start_is_not(self) -> None:
        watch = Watch([LEFT])
        watch.show(60, lambda _: [parcel(640)])
        past = walk(50, 1200, 6)
        watch.show(6, lambda t: [person(past(t), 420), *([] if abs(past(t) - 640) < 60 else [parcel(640)])])
        watch.show(60, lambda _: [parcel(640)])
        assert watch.said == []

    @pytest.mark.parametrize("away", [0.0, 60.0])
    def test_nobody_has_left_it_who_stays_beside_it(self, away: float) -> None:
        watch = Watch([LEFT])
        come = walk(50, 600 - away, 4)
        watch.show(4, lambda t: [person(come(t))])
        watch.show(60, lambda _: [person(600 - away), parcel(640)])
        assert watch.said == []

    def test_one_who_is_missed_now_and_then_has_not_gone(self) -> None:
        watch = Watch([replace(LEFT, after_s=0.5)], seed=4)
        come = walk(50, 600, 4)
        watch.show(4, lambda t: [person(come(t))])
        for _ in range(10):
            watch.show(4, lambda _: [person(600), parcel(640)])
            watch.show(1.6, lambda _: [parcel(640)])
        assert watch.said == []

    def test_one_who_gets_a_new_track_beside_it_has_not_gone(self) -> None:
        watch = Watch([LEFT])
        come = walk(50, 600, 4)
        watch.show(4, lambda t: [person(come(t))])
        watch.show(3, lambda _: [person(600), parcel(640)])
        watch.show(4, lambda _: [parcel(640)])
        watch.show(60, lambda _: [person(680), parcel(640)])
        assert watch.said == []

    def test_one_who_comes_back_in_time_has_not_left_it(self) -> None:
        watch = Watch([LEFT])
        come, go, back = walk(50, 600, 4), walk(600, 1100, 2), walk(1100, 600, 2)
        watch.show(4, lambda t: [person(come(t))])
        watch.show(3, lambda _: [person(600), parcel(640)])
        watch.show(4, lambda t: [person(go(t)), parcel(640)])
        watch.show(30, lambda t: [person(back(t)), parcel(640)])
        assert watch.said == []

    def test_what_is_carried_past_is_not(self) -> None:
        watch = Watch([replace(LEFT, after_s=0.5)])
        past = walk(50, 1200, 8)
        watch.show(8, lambda t: [person(past(t)), parcel(past(t) + 30, 330)])
        watch.show(10, lambda _: [])
        assert watch.said == []

    def test_after_the_camera_was_away_it_was_there_already(self) -> None:
        watch = Watch([LEFT])
        delivered(watch)
        watch.show(20, lambda _: [parcel(640)])
        (end,) = watch.end(EndReason.CAMERA_LOST)
        assert (end.type, end.end_reason) == (EventType.END, EndReason.CAMERA_LOST)
        assert watch.show(30, lambda _: [parcel(640)]) == []


def test_two_bring_two_and_each_is_left_by_its_own() -> None:
    watch = Watch([LEFT])
    come = walk(50, 600, 4)
    watch.show(4, lambda t: [person(come(t)), person(come(t) - 400, 600)])
    watch.show(3, lambda _: [person(600), person(200, 600), parcel(640), parcel(240, 600)])
    go = walk(600, 1400, 4)
    for_one = watch.show(
        20, lambda t: [*([person(go(t))] if t < 3 else []), person(200, 600), parcel(640), parcel(240, 600)]
    )
    assert story(for_one) == [("left", "start")]
    assert for_one[0].box is not None
    assert for_one[0].box[0] > 500
    assert story(watch.show(20, lambda _: [parcel(640), parcel(240, 600)])) == [("left", "start")]


def test_one_that_is_put_in_front_of_another_does_not_take_its_event() -> None:
    watch = Watch([LEFT])
    delivered(watch)
    watch.show(30, lambda _: [parcel(640)])
    watch.show(6, lambda _: [person(620)])
    watch.show(3, lambda _: [person(600), parcel(685, 410)])
    watch.show(20, lambda _: [parcel(685, 410), parcel(640)])
    assert story(watch.said) == [("left", "start"), ("left", "start")]
    watch.show(4, lambda _: [])
    watch.show(10, lambda _: [parcel(685, 410)])
    (end,) = [event for event in watch.said if event.type is EventType.END]
    assert end.id == watch.said[0].id


def test_nothing_brings_itself() -> None:
    watch = Watch([replace(LEFT, class_ids=frozenset({PERSON, PARCEL}))])
    delivered(watch)
    watch.show(20, lambda _: [parcel(640)])
    assert story(watch.said) == [("left", "start")]
    alone = Watch([replace(LEFT, class_ids=frozenset({PERSON}))])
    alone.show(20, lambda _: [person(600)])
    assert alone.said == []
