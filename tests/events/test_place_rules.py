"""Rules with a zone, a line or a count, from tracks to messages."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from event_scenes import LABELS, MODEL, PERSON, Tracks, info, ns, utc
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import streamer.events
from streamer.core.event import EndReason, EventType
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.payload import encode_event
from streamer.events.rules import RuleSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamer.core.event import Event
    from streamer.core.results import Box, Track

START, UPDATE, END = EventType.START, EventType.UPDATE, EventType.END
MAT = ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0))  # of 1280x720: x 320..960, y 360..720
RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))  # x 640..1280
GATE = ((0.0, 0.5), (1.0, 0.5))
WAITS = replace(PERSON, name="waits", zone="mat", after_s=2.0)
ENTERED = replace(PERSON, name="entered", line="gate", direction="in")
MANY = replace(PERSON, name="many", more_than=2)


def camera(*rules: RuleSpec) -> CameraEvents:
    return CameraEvents(
        "porch", rules, LABELS, EventIds(), zones={"mat": MAT, "right": RIGHT}, lines={"gate": GATE}
    )  # fmt: skip


def at(x: float, y: float, height: float = 100.0) -> Box:
    return x - 20, y - height, x + 20, y


def seconds(first: float, last: float, fps: float = 5) -> list[float]:
    return [round(first + k / fps, 3) for k in range(round((last - first) * fps) + 1)]


def show(events: CameraEvents, times_s: Iterable[float], foot: Callable[[float], Box | None]) -> list[Event]:
    """Show one object wherever a function of time has it."""
    tracks = Tracks()
    happened = []
    for t in times_s:
        box = foot(t)
        happened += events.observe(info(t), [tracks.seen(t, box=box)] if box else [], MODEL)
    return happened


class TestZone:
    def test_it_starts_after_its_time_in_the_zone_and_ends_after_its_time_out_of_it(self) -> None:
        said = show(camera(WAITS), seconds(0, 12), lambda t: at(400, 500 if 3 <= t <= 7 else 300))
        assert [(e.type, e.captured_utc_ns) for e in said] == [(START, utc(5)), (END, utc(9))]
        start, end = said
        assert (start.started_utc_ns, start.zones) == (utc(3), ("mat",))
        assert (end.ended_utc_ns, end.end_reason, end.zones) == (utc(7), EndReason.GONE, ("mat",))
        assert end.box == at(400, 500)  # of the last sighting in the zone

    def test_two_short_visits_are_no_long_one(self) -> None:
        waits = replace(WAITS, after_s=4.0, end_after_s=5.0)
        said = show(camera(waits), seconds(0, 12), lambda t: at(400, 300 if 3 < t < 5 else 500))
        assert [(e.type, e.started_utc_ns) for e in said] == [(START, utc(5))]

    def test_one_wrong_box_does_not_begin_the_visit_anew(self) -> None:
        said = show(camera(WAITS), seconds(0, 3), lambda t: at(400, 300 if 0.9 < t < 1.3 else 500))
        assert [(e.type, e.started_utc_ns, e.captured_utc_ns) for e in said] == [(START, utc(0), utc(2))]

    @pytest.mark.parametrize("fps", [2, 5, 25])
    def test_jitter_on_the_border_makes_one_event(self, fps: float) -> None:
        for seed in range(20):
            random = np.random.default_rng(seed)
            said = show(
                camera(WAITS), seconds(0, 30, fps), lambda _, random=random: at(400, 364 + random.normal(0, 6))  # type: ignore[misc]
            )  # fmt: skip
            assert [e.type for e in said] == [START], seed

    def test_who_comes_after_the_last_one_has_left_is_another_event(self) -> None:
        events, tracks, said = camera(replace(WAITS, after_s=0.5)), Tracks(), []
        for t in seconds(0, 6):
            who = 1 if t < 3 else 2
            y = 400 if t < 2 or t > 3.4 else 340  # the first leaves and goes out of view, the second comes the same way
            said += events.observe(info(t), [tracks.seen(t, who, box=at(400, y))], MODEL)
        assert [(e.type, e.track) for e in said] == [(START, 1), (END, 1), (START, 2)]

    def test_an_object_that_flickers_under_new_ids_stays_one_event(self) -> None:
        events, tracks, said = camera(WAITS), Tracks(), []
        for k, t in enumerate(seconds(0, 10)):
            said += events.observe(info(t), [tracks.seen(t, 1 + k // 7, box=at(400, 500))], MODEL)
        assert [e.type for e in said] == [START]

    def test_all_zones_are_told_by_every_rule_and_a_change_at_most_once_a_second(self) -> None:
        def foot(t: float) -> Box:
            return at(600 if t < 2 else 680 if t < 2.4 else 600 if t < 2.8 else 680 if t < 5 else 1100, 500)

        said = show(camera(PERSON), seconds(0, 8), foot)
        told = [(e.type, e.captured_utc_ns, e.zones) for e in said]
        assert told == [
            (START, utc(0.6), ("mat",)),
            (UPDATE, utc(2.0), ("mat", "right")),
            (UPDATE, utc(5.0), ("right",)),
        ]

    def test_each_minute_there_is_an_update_still(self) -> None:
        said = show(camera(WAITS), seconds(0, 130, fps=1), lambda _: at(400, 500))
        assert [(e.type, e.captured_utc_ns) for e in said] == [(START, utc(2)), (UPDATE, utc(62)), (UPDATE, utc(122))]

    def test_a_lost_camera_ends_it_and_forgets_who_was_in(self) -> None:
        events = camera(replace(WAITS, after_s=0.0))
        show(events, [0.0], lambda _: at(400, 361))
        (end,) = events.end_all(EndReason.CAMERA_LOST)
        assert end.end_reason is EndReason.CAMERA_LOST
        assert show(events, [1.0], lambda _: at(400, 355)) == []


class TestLine:
    def test_a_crossing_is_an_event_of_its_own_that_is_over_at_once(self) -> None:
        said = show(camera(ENTERED), seconds(0, 6), lambda t: at(400, 300 if t < 2 else 420))
        assert [(e.type, e.captured_utc_ns) for e in said] == [(START, utc(2)), (END, utc(4))]
        start, end = said
        assert (start.line, start.direction, start.started_utc_ns) == ("gate", "in", utc(2))
        assert (end.line, end.direction, end.ended_utc_ns, end.end_reason) == ("gate", "in", utc(2), EndReason.GONE)
        assert (start.track, start.count) == (1, None)

    def test_while_it_is_open_the_rule_is_active(self) -> None:
        events, tracks, active = camera(ENTERED), Tracks(), []
        for t in seconds(0, 6):
            events.observe(info(t), [tracks.seen(t, box=at(400, 300 if t < 2 else 420))], MODEL)
            active.append((t, events.active()["entered"]))
        assert {t for t, n in active if n} == set(seconds(2, 3.8))

    def test_it_began_where_it_was_first_beyond_though_it_is_told_when_that_is_sure(self) -> None:
        said = show(camera(ENTERED), seconds(0, 2.6), lambda t: at(400, 300 + 30 * t))
        assert [(e.type, e.started_utc_ns, e.captured_utc_ns) for e in said] == [(START, utc(2.2), utc(2.4))]

    def test_each_crossing_is_told_and_each_direction_by_its_rule(self) -> None:
        both = replace(ENTERED, name="both", direction=None)
        out = replace(ENTERED, name="went", direction="out")
        events = camera(ENTERED, both, out)
        said = list(show(events, seconds(0, 9), lambda t: at(400, 420 if 2 <= t < 3 or t >= 4 else 300)))
        assert [(e.rule, e.direction, e.started_utc_ns) for e in said if e.type is START] == [
            ("entered", "in", utc(2)), ("both", "in", utc(2)), ("both", "out", utc(3)), ("went", "out", utc(3)),
            ("entered", "in", utc(4)), ("both", "in", utc(4)),
        ]  # fmt: skip
        assert len({e.id for e in said}) == 6
        assert events.crossed() == {("gate", "in"): 2, ("gate", "out"): 1}

    def test_what_has_been_in_view_for_too_short_a_time_is_told_once_it_has(self) -> None:
        said = show(camera(replace(ENTERED, after_s=1.0)), seconds(0, 5), lambda t: at(400, 300 if t < 0.3 else 420))
        assert [(e.type, e.started_utc_ns, e.captured_utc_ns) for e in said] == [
            (START, utc(0.4), utc(1)), (END, utc(0.4), utc(3)),
        ]  # fmt: skip
        assert said[1].ended_utc_ns == utc(1)

    def test_and_never_if_it_vanishes_before(self) -> None:
        events = camera(replace(ENTERED, after_s=1.0))
        assert show(events, seconds(0, 9), lambda t: at(400, 300 if t < 0.3 else 420) if t < 0.7 else None) == []
        assert events.crossed()["gate", "in"] == 1
        assert events.active() == {"entered": 0}

    def test_only_its_classes_its_zone_and_its_size_make_it_an_event(self) -> None:
        dogs = RuleSpec(name="dogs", class_ids=frozenset({1}), line="gate")
        big = replace(ENTERED, name="big", min_area=0.01)
        there = replace(ENTERED, name="there", zone="right")
        events = camera(dogs, big, there)
        assert show(events, seconds(0, 2), lambda t: at(400, 300 if t < 1 else 420)) == []
        assert [e.rule for e in show(events, seconds(3, 5), lambda t: at(900, 300 if t < 4 else 420))] == ["there"]

    def test_a_van_that_is_a_car_and_a_truck_is_one_event_of_a_rule_for_both(self) -> None:
        both = RuleSpec(name="vehicles", class_ids=frozenset({0, 1}), line="gate")
        truck = RuleSpec(name="trucks", class_ids=frozenset({1}), line="gate")
        events, tracks, said = camera(both, truck), Tracks(), []
        for t in seconds(0, 2):
            seen = [tracks.seen(t, i, box=at(400 + i, 300 if t < 1 else 420), class_id=i - 1) for i in (1, 2)]
            said += events.observe(info(t), seen, MODEL)
        assert [(e.rule, e.class_name) for e in said] == [("vehicles", "person"), ("trucks", "dog")]

    def test_a_lost_camera_ends_it_and_the_way_begins_anew(self) -> None:
        events = camera(ENTERED)
        show(events, seconds(0, 2), lambda t: at(400, 300 if t < 2 else 420))
        (end,) = events.end_all(EndReason.CAMERA_LOST)
        assert end.end_reason is EndReason.CAMERA_LOST
        show(events, [3.0], lambda _: at(400, 300))
        assert events.crossed() == {("gate", "in"): 1, ("gate", "out"): 0}


def crowd(t: float, n: int, tracks: Tracks, *, y: float = 500.0) -> list[Track]:
    return [tracks.seen(t, i, box=at(200 + 100 * i, y), score=0.9 - 0.1 * i) for i in range(1, n + 1)]


def numbers(events: CameraEvents, times_s: Iterable[float], n: Callable[[float], int]) -> list[Event]:
    tracks = Tracks()
    return [e for t in times_s for e in events.observe(info(t), crowd(t, n(t), tracks), MODEL)]


class TestCount:
    def test_one_event_while_there_are_too_many(self) -> None:
        said = numbers(camera(MANY), seconds(0, 12), lambda t: 4 if 2 <= t <= 6 else 2)
        assert [(e.type, e.count) for e in said] == [(START, 4), (END, 4)]
        start, end = said
        assert start.started_utc_ns == utc(2.2)  # seen twice, it is no ghost
        assert start.captured_utc_ns == utc(2.8)
        assert (end.ended_utc_ns, end.captured_utc_ns, end.end_reason) == (utc(7), utc(9), EndReason.GONE)
        assert (start.box, start.box_norm, start.track, start.zones) == (None, None, None, ())
        assert start.class_name == "person"
        assert start.score == pytest.approx(0.6)  # the third best: on it rests that they are more than two

    def test_as_many_as_allowed_are_not_too_many(self) -> None:
        assert numbers(camera(MANY), seconds(0, 5), lambda _: 2) == []
        (start,) = numbers(camera(replace(MANY, more_than=0)), seconds(0, 5), lambda _: 1)
        assert start.count == 1

    def test_flicker_makes_one_event(self) -> None:
        for seed in range(20):
            random, tracks, events = np.random.default_rng(seed), Tracks(), camera(MANY)
            said = []
            for t in seconds(0, 20):
                seen = [track for track in crowd(t, 4, tracks) if random.random() < 0.6]
                said += events.observe(info(t), seen, MODEL)
            assert [e.type for e in said] == [START], seed

    def test_within_a_zone_those_who_leave_it_count_no_more(self) -> None:
        here = replace(MANY, zone="mat", end_after_s=1.0)
        events, tracks, said = camera(here), Tracks(), []
        for t in seconds(0, 6):
            said += events.observe(info(t), crowd(t, 4, tracks, y=500 if t < 3 else 300), MODEL)
        # The first of the four stands beside the mat.
        assert [(e.type, e.count, e.zones) for e in said] == [(START, 3, ("mat",)), (END, 3, ("mat",))]
        assert said[1].ended_utc_ns == utc(2.8)

    def test_a_van_that_is_a_car_and_a_truck_counts_once(self) -> None:
        many = replace(MANY, class_ids=frozenset({0, 1}))
        for apart_px, told in ((2, []), (30, [START])):
            events, tracks, said = camera(many), Tracks(), []
            for t in seconds(0, 3):
                twin = tracks.seen(t, 3, box=at(300 + apart_px, 500), class_id=1, score=0.6)
                said += events.observe(info(t), [*crowd(t, 2, tracks), twin], MODEL)
            assert [e.type for e in said] == told

    def test_a_moment_does_not_last(self) -> None:
        assert numbers(camera(replace(MANY, after_s=3.0)), seconds(0, 20), lambda t: 4 if t % 4 < 1 else 0) == []

    def test_a_lost_camera_ends_it(self) -> None:
        events = camera(MANY)
        numbers(events, seconds(0, 3), lambda _: 4)
        (end,) = events.end_all(EndReason.CAMERA_LOST)
        assert (end.type, end.end_reason, end.count) == (END, EndReason.CAMERA_LOST, 4)
        assert events.active() == {"many": 0}

    def test_a_live_cameras_time_passes_without_frames(self) -> None:
        events = camera(MANY)
        numbers(events, seconds(0, 3), lambda _: 4)
        assert events.tick(ns(5)) == []
        (end,) = events.tick(ns(13))
        assert (end.ended_utc_ns, end.end_reason) == (utc(3), EndReason.GONE)


def test_every_message_fits_the_schema() -> None:
    schema = json.loads((Path(streamer.events.__path__[0]) / "event.schema.json").read_text())
    events, tracks, said = camera(WAITS, ENTERED, MANY, PERSON), Tracks(), []
    for t in seconds(0, 12):
        said += events.observe(info(t), crowd(t, 4, tracks, y=300 if t < 2 else 500), MODEL)
    said += events.end_all(EndReason.STOPPED)
    assert {e.rule for e in said} == {"waits", "entered", "many", "person"}
    for event in said:
        Draft202012Validator(schema).validate(json.loads(encode_event(event, 12.3)))


def test_a_rule_of_a_place_that_is_not_there_is_refused() -> None:
    for rule in (replace(PERSON, zone="attic"), replace(PERSON, line="fence")):
        with pytest.raises(ValueError, match=r"person: no such zone or line: (attic|fence)"):
            camera(rule)


Step = tuple[float, dict[int, tuple[int, int]], str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.04, 0.2, 0.5, 1.0, 3.0]),
        st.dictionaries(st.integers(1, 5), st.tuples(st.integers(0, 1280), st.integers(100, 720)), max_size=5),
        st.sampled_from(["frame"] * 8 + ["tick", "lost"]),
    ),
    max_size=60,
)


@given(steps=STEPS, after_s=st.sampled_from([0.0, 0.5, 2.0]), end_after_s=st.sampled_from([0.5, 2.0]))
def test_whatever_goes_where_every_event_starts_once_and_ends_once(
    steps: list[Step], after_s: float, end_after_s: float
) -> None:
    base = RuleSpec(name="here", class_ids=frozenset({0, 1}), zone="mat", after_s=after_s, end_after_s=end_after_s)
    rules = (
        base,
        replace(base, name="over", zone=None, line="gate"),
        replace(base, name="in", zone="right", line="gate", direction="in"),
        replace(base, name="many", more_than=2),
        replace(base, name="some", zone=None, more_than=1),
    )
    events, tracks, t = camera(*rules), Tracks(), 0.0
    stories: dict[str, list[Event]] = {}
    for step_s, feet, kind in steps:
        t += step_s
        if kind == "frame":
            seen = [tracks.seen(t, i, box=at(*foot), class_id=i % 2) for i, foot in feet.items()]
            new = events.observe(info(t), seen, MODEL)
        else:
            new = events.tick(ns(t)) if kind == "tick" else events.end_all(EndReason.CAMERA_LOST)
        for event in new:
            stories.setdefault(event.id, []).append(event)
        open_now = [story for story in stories.values() if story[-1].type is not END]
        assert set(events.open_events()) == {story[0].id for story in open_now}
        assert events.active() == {r.name: sum(story[0].rule == r.name for story in open_now) for r in rules}
    for event in events.end_all(EndReason.STOPPED):
        stories[event.id].append(event)
    for story in stories.values():
        assert [e.type for e in story] == [START, *[UPDATE] * (len(story) - 2), END]
        assert [e.seq for e in story] == list(range(len(story)))
        assert len({(e.rule, e.started_utc_ns, e.line, e.direction) for e in story}) == 1
        updates = [e.captured_utc_ns for e in story[:-1]]
        assert all(b - a >= 1_000_000_000 for a, b in pairwise(updates))
        assert story[-1].started_utc_ns <= (story[-1].ended_utc_ns or 0) <= story[-1].captured_utc_ns
        assert story[0].rule != "in" or story[0].direction == "in"
        assert (story[0].line == "gate") == (story[0].rule in {"over", "in"})
        assert all((e.count or 0) > {"many": 2, "some": 1}[e.rule] for e in story if e.count is not None)
        assert all("mat" in e.zones for e in story if e.rule in {"here", "many"})
