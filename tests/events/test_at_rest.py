"""What flickers, rests, is hidden, and leaves: one event each, through the tracker and the rules."""

from __future__ import annotations

import pytest
from event_scenes import MODEL, Tracks, camera_events, info, ns, utc
from rule_scenes import CAR, PERSON, Watch, car, person, story, walk

from streamer.core.event import EventType
from streamer.events.rules import RuleSpec

CARS = RuleSpec(name="car", class_ids=frozenset({CAR}))
PEOPLE = RuleSpec(name="person", class_ids=frozenset({PERSON}))
START, UPDATE, END = EventType.START, EventType.UPDATE, EventType.END


def seconds(moment_utc_ns: int | None) -> float:
    return ((moment_utc_ns or 0) - utc(0)) / 1e9


class TestFlicker:
    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("moving", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_an_object_detected_in_half_of_the_frames_makes_one_event(self, *, moving: bool) -> None:
        """With the gaps that chance makes of it, at the default five frames a second; no gap is mended."""
        way = walk(100, 900, 20) if moving else walk(400, 400, 1)
        for seed in range(100):
            watch = Watch([PEOPLE], seed=seed)
            watch.show(20, lambda t: [person(way(t))], share=0.5)
            watch.show(6, lambda _: [])
            assert story(watch.said) == [("person", "start"), ("person", "end")], seed

    def test_one_that_is_seen_in_each_frame_ends_on_time(self) -> None:
        watch = Watch([PEOPLE])
        watch.show(5, lambda _: [person(400)])
        watch.show(8, lambda _: [])
        (end,) = [event for event in watch.said if event.type is END]
        assert (seconds(end.ended_utc_ns), seconds(end.captured_utc_ns)) == pytest.approx((4.8, 6.8), abs=0.01)


class TestParkedCar:
    def test_it_is_one_event_that_says_when_it_has_come_to_rest(self) -> None:
        watch = Watch([CARS])
        come = walk(100, 600, 4)
        watch.show(30, lambda t: [car(come(t))])
        assert [(e.type, e.stationary) for e in watch.said] == [(START, False), (UPDATE, True)]
        assert seconds(watch.said[1].captured_utc_ns) == pytest.approx(14, abs=1)

    @pytest.mark.parametrize("hidden_s", [3, 20, 55])
    def test_a_lorry_in_front_of_it_changes_nothing(self, hidden_s: float) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        watch.show(hidden_s, lambda _: [(1, (450.0, 300.0, 750.0, 520.0))])
        watch.show(15, lambda _: [car(600)])
        starts = [event for event in watch.said if event.type is START]
        assert len(starts) == 1
        assert not any(event.type is END for event in watch.said)
        assert watch.events.open_events() == {starts[0].id: utc(watch.t_s - 0.2)}
        assert {event.track for event in watch.said} == {1}

    def test_a_car_that_passes_in_front_of_it_does_not_take_its_event(self) -> None:
        watch = Watch([CARS])
        past = walk(-100, 1400, 6)
        watch.show(15, lambda _: [car(600)])
        watch.show(6, lambda t: [car(past(t), 560, width=260), *([] if abs(past(t) - 600) < 200 else [car(600)])])
        watch.show(10, lambda _: [car(600)])
        parked, passing = watch.said[0].id, {event.id for event in watch.said} - {watch.said[0].id}
        assert [e.type for e in watch.said if e.id == parked] == [START, UPDATE]
        assert len(passing) == 1
        assert [e.type for e in watch.said if e.id in passing] == [START, END]

    def test_misses_of_some_seconds_beyond_its_end_change_nothing(self) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        watch.show(4.6, lambda _: [])
        watch.show(5, lambda _: [car(600)])
        assert story(watch.said) == [("car", "start")]

    def test_it_ends_some_seconds_later_when_nobody_saw_it_go(self) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        watch.show(10, lambda _: [])
        end = watch.said[-1]
        assert (seconds(end.ended_utc_ns), seconds(end.captured_utc_ns)) == pytest.approx((14.8, 19.8), abs=0.01)

    def test_one_that_leaves_ends_within_end_after(self) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        watch.show(4, lambda t: [car(600 + 50 * t * t)])
        watch.show(5, lambda _: [])
        end = watch.said[-1]
        assert (end.type, end.stationary) == (END, False)
        assert seconds(end.captured_utc_ns) - seconds(end.ended_utc_ns) == pytest.approx(2.0, abs=0.01)

    def test_what_stands_before_its_place_keeps_it_open_for_a_minute_only(self) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        watch.show(90, lambda _: [(1, (450.0, 300.0, 750.0, 520.0))])
        assert story(watch.said) == [("car", "start"), ("car", "end")]
        assert 76 <= seconds(watch.said[-1].captured_utc_ns) <= 81

    def test_hours_in_which_nothing_moves_keep_event_and_track(self) -> None:
        watch = Watch([CARS])
        watch.show(15, lambda _: [car(600)])
        tracks = watch.tracker.update(watch._detected([car(600)]), ns(watch.t_s)).tracks
        said = list(watch.said)
        for k in range(1, 3 * 3600 // 10):
            t_s = watch.t_s + 10 * k
            watch.tracker.still(ns(t_s))
            said += watch.events.observe(info(t_s), tracks, said[0].model, still=True)
            said += watch.events.tick(ns(t_s + 9.9))
        watch.t_s += 3 * 3600 - 10 + 0.2
        said += watch.show(5, lambda _: [car(600)])
        assert {(event.id, event.track) for event in said} == {(said[0].id, 1)}
        assert {event.type for event in said[1:]} == {UPDATE}


class TestIdle:
    """While nothing moves frames come up to 12 s apart; `tick` must not take that for absence."""

    def test_an_event_goes_on_between_two_key_frames(self) -> None:
        events, tracks = camera_events(), Tracks()
        for k in range(10):
            events.observe(info(k / 5), [tracks.seen(k / 5)], MODEL)
        events.observe(info(2.0), [tracks.seen(2.0)], MODEL, still=True)
        assert [event for k in range(1, 49) for event in events.tick(ns(2 + k / 4))] == []
        assert events.observe(info(14.0), [tracks.seen(14.0)], MODEL, still=True) == []
