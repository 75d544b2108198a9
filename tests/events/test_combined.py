"""Rules on other rules' events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from event_scenes import utc
from rule_scenes import CAR, PARCEL, PERSON, Watch, car, parcel, person, story

from streamer.core.event import EndReason, EventType
from streamer.events.rules import RuleSpec

PEOPLE = RuleSpec(name="person", class_ids=frozenset({PERSON}))
PARCELS = RuleSpec(name="parcel", class_ids=frozenset({PARCEL}))
CARS = RuleSpec(name="car", class_ids=frozenset({CAR}))
BOTH = RuleSpec(name="both", all_of=("person", "parcel"))
EITHER = RuleSpec(name="either", any_of=("person", "parcel"), after_s=0.0)
ALONE = RuleSpec(name="alone", all_of=("parcel",), none_of=("person",), after_s=3.0)


def watched(rule: RuleSpec) -> Watch:
    return Watch([rule, PEOPLE, PARCELS, CARS])


def told(watch: Watch, rule: str) -> list[tuple[str, float]]:
    """Return kind and time of each message of a rule but updates."""
    return [
        (e.type.value, round((e.captured_utc_ns - utc(0)) / 1e9, 1))
        for e in watch.said
        if e.rule == rule and e.type is not EventType.UPDATE
    ]


def times(watch: Watch, rule: str) -> list[float]:
    """Return when a rule's only event has started and ended."""
    (first, start), (last, end) = told(watch, rule)
    assert (first, last) == ("start", "end")
    return [start, end]


def test_all_of_them() -> None:
    watch = watched(BOTH)
    watch.show(5, lambda _: [person(300)])
    assert told(watch, "both") == []
    watch.show(5, lambda _: [person(300), parcel(700)])
    watch.show(10, lambda _: [person(300)])
    # the parcel's event starts 0.6 s after 5.0 and ends 2 s after 9.8: the combination adds its own times
    assert times(watch, "both") == pytest.approx([6.2, 13.6], abs=0.21)
    start, end = (e for e in watch.said if e.rule == "both" and e.type is not EventType.UPDATE)
    assert (start.started_utc_ns, start.id, start.count) == (utc(5.6), end.id, None)
    assert (end.end_reason, start.box is not None) == (EndReason.GONE, True)


def test_one_of_them() -> None:
    watch = watched(EITHER)
    watch.show(5, lambda _: [person(300)])
    watch.show(5, lambda _: [parcel(700)])
    watch.show(10, lambda _: [car(600)])
    assert times(watch, "either") == pytest.approx([0.6, 13.6], abs=0.21)
    assert [e.class_name for e in watch.said if e.rule == "either"] == ["person", "parcel"]


def test_its_message_is_that_of_the_member_seen_last() -> None:
    watch = watched(BOTH)
    watch.show(5, lambda t: [person(300), *([parcel(700)] if t < 4.3 else [])])
    (start,) = [e for e in watch.said if e.rule == "both"]
    of_person = next(e for e in watch.said if e.rule == "person")
    assert (start.class_name, start.track) == (of_person.class_name, of_person.track)
    watch.show(1.4, lambda _: [person(300)])
    (end,) = [e for e in watch.end(EndReason.STOPPED) if e.rule == "both"]
    assert end.class_name == "person"


def test_none_of_others() -> None:
    watch = watched(ALONE)
    watch.show(10, lambda _: [parcel(700), person(300)])
    assert told(watch, "alone") == []
    watch.show(10, lambda _: [parcel(700)])
    watch.show(10, lambda _: [parcel(700), person(300)])
    # nobody's event is open from 11.8 to 20.6
    assert times(watch, "alone") == pytest.approx([14.8, 22.4], abs=0.21)


def test_its_truth_must_hold_and_may_fail_for_a_moment() -> None:
    watch = Watch([replace(ALONE, end_after_s=8.0), PEOPLE, PARCELS])
    watch.show(6, lambda _: [parcel(700)])
    watch.show(3, lambda _: [parcel(700), person(300)])
    watch.show(6, lambda _: [parcel(700)])
    assert [kind for kind, _ in told(watch, "alone")] == ["start"]
    short = watched(ALONE)
    short.show(2, lambda _: [parcel(700)])
    short.show(3, lambda _: [parcel(700), person(300)])
    assert told(short, "alone") == []


def test_crossings_and_left_things_may_be_members() -> None:
    left = RuleSpec(name="left", class_ids=frozenset({PARCEL}), left_by=frozenset({PERSON}), after_s=2.0)
    rule = RuleSpec(name="watched", any_of=("left",), none_of=("car",), after_s=0.0)
    watch = Watch([left, CARS, rule])
    watch.show(4, lambda _: [person(600), parcel(640)])
    watch.show(8, lambda _: [parcel(640)])
    assert story(watch.said) == [("left", "start"), ("watched", "start")]


def test_it_is_over_with_the_camera() -> None:
    watch = watched(BOTH)
    watch.show(5, lambda _: [person(300), parcel(700)])
    assert watch.events.active() == {"both": 1, "person": 1, "parcel": 1, "car": 0}
    assert {e.rule for e in watch.end(EndReason.CAMERA_LOST)} == {"both", "person", "parcel"}
    watch.show(0.4, lambda _: [person(300), parcel(700)])
    assert watch.events.active()["both"] == 0


def test_it_is_in_view_when_its_member_is() -> None:
    watch = watched(BOTH)
    watch.show(5, lambda _: [person(300), parcel(700)])
    assert len(watch.events.in_view()) == 3
    watch.show(0.2, lambda _: [])
    assert watch.events.in_view() == []


def test_members_that_flicker_in_turn_make_no_updates() -> None:
    watch = watched(EITHER)
    watch.show(40, lambda _: [person(300), parcel(700)], share=0.5)
    assert [e.type for e in watch.said if e.rule == "either"] == [EventType.START]
