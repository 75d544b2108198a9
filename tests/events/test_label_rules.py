"""Events of objects that second models have looked at: what is told of labels, and what rules ask for."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from event_scenes import BOX, LABELS, MODEL, PERSON, Tracks, camera_events, info, ns, utc
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import streamer.events
from streamer.core.event import EndReason, EventType
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.payload import encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.event import Event
    from streamer.core.results import Box
    from streamer.events.rules import RuleSpec

START, UPDATE, END = EventType.START, EventType.UPDATE, EventType.END
GATE = ((0.0, 0.5), (1.0, 0.5))  # of 1280x720: `in` is downwards over y = 360
STAFF = replace(PERSON, name="staff", labels={"role": frozenset({"staff", "guard"})})
ENTERED = replace(PERSON, name="entered", line="gate", direction="in")
VISITORS = replace(PERSON, name="visitors", line="gate", labels={"role": frozenset({"visitor"})})
MANY = replace(PERSON, name="many", more_than=1, labels={"role": frozenset({"staff"})})

Said = tuple[EventType, int, dict[str, str]]


def camera(*rules: RuleSpec) -> CameraEvents:
    return CameraEvents("porch", rules, LABELS, EventIds(), lines={"gate": GATE})


def seconds(first: float, last: float, fps: float = 5) -> list[float]:
    return [round(first + k / fps, 3) for k in range(round((last - first) * fps) + 1)]


def at(y: float, x: float = 400.0) -> Box:
    return x - 20, y - 100, x + 20, y


def show(
    events: CameraEvents,
    until_s: float,
    role: Callable[[float], str | None],
    seen: Callable[[float], Sequence[int]] = lambda _: (1,),
    box: Callable[[float], Box] = lambda _: BOX,
    tracks: Tracks | None = None,
) -> list[Event]:
    """Show objects, the newest of which has a role that a second model knows at a moment; None: not decided."""
    tracks, happened, newest = tracks or Tracks(), [], 0
    for t in seconds(0, until_s):
        now = [tracks.seen(t, track, box=box(t)) for track in seen(t)]
        newest = max([newest, *(track.id for track in now)])
        known = role(t)
        labels = {} if known is None else {newest: {"role": (known, 0.9)}}
        happened += events.observe(info(t), now, MODEL, lambda track, labels=labels: labels.get(track, {}))  # type: ignore[misc]
    return happened


def said(happened: Sequence[Event]) -> list[Said]:
    """Type, second of the picture and labels of each message."""
    return [(e.type, (e.captured_utc_ns - utc(0)) // 10**6, {n: c for n, (c, _) in e.labels.items()}) for e in happened]


class TestJoining:
    def test_what_is_known_stands_in_every_message(self) -> None:
        events = camera_events()
        happened = show(events, 4, lambda t: "staff" if t >= 0.4 else None) + events.end_all(EndReason.STOPPED)
        assert said(happened) == [(START, 600, {"role": "staff"}), (END, 4000, {"role": "staff"})]
        assert happened[0].labels == {"role": ("staff", 0.9)}

    def test_what_is_decided_behind_the_last_frame_still_counts(self) -> None:
        """A recording waits for the answers to the looks of its last frame, too."""
        events = camera(PERSON, STAFF)
        happened = show(events, 2, lambda _: None)
        happened += events.end_all(EndReason.SOURCE_ENDED, lambda _: {"role": ("staff", 0.9)})
        assert [(e.rule, e.type, {n: c for n, (c, _) in e.labels.items()}) for e in happened] == [
            (PERSON.name, START, {}),
            (PERSON.name, UPDATE, {"role": "staff"}),
            ("staff", START, {"role": "staff"}),
            (PERSON.name, END, {"role": "staff"}),
            ("staff", END, {"role": "staff"}),
        ]
        assert events.active() == {PERSON.name: 0, "staff": 0}

    def test_a_late_decision_is_an_update(self) -> None:
        assert said(show(camera_events(), 4, lambda t: "staff" if t >= 2 else None)) == [
            (START, 600, {}),
            (UPDATE, 2000, {"role": "staff"}),
        ]

    def test_a_change_is_told_at_most_once_a_second(self) -> None:
        def role(t: float) -> str:
            return "visitor" if t < 1 else "staff" if t < 1.2 else "guard"

        assert said(show(camera_events(), 4, role)) == [
            (START, 600, {"role": "visitor"}),
            (UPDATE, 1600, {"role": "guard"}),
        ]

    def test_another_score_is_no_change(self) -> None:
        events, tracks = camera_events(), Tracks()
        happened = []
        for t in seconds(0, 10):
            labels = {"role": ("staff", 0.5 + t / 100)}
            happened += events.observe(info(t), [tracks.seen(t)], MODEL, lambda _, labels=labels: labels)  # type: ignore[misc]
        assert [e.type for e in happened] == [START]

    def test_what_is_no_longer_there_is_an_update_too(self) -> None:
        happened = show(camera_events(), 4, lambda t: "helmet" if t < 2 else None)
        assert said(happened) == [(START, 600, {"role": "helmet"}), (UPDATE, 2000, {})]

    def test_a_decision_after_the_last_sighting_joins_the_event(self) -> None:
        happened = show(camera_events(), 6, lambda t: "staff" if t >= 2.2 else None, lambda t: (1,) if t <= 2 else ())
        assert said(happened) == [
            (START, 600, {}),
            (UPDATE, 2000, {"role": "staff"}),  # of the last sighting
            (END, 4000, {"role": "staff"}),
        ]

    def test_one_that_comes_just_after_the_start_is_in_the_end(self) -> None:
        happened = show(camera_events(), 6, lambda t: "staff" if t >= 0.8 else None, lambda t: (1,) if t <= 0.6 else ())
        assert [e.type for e in happened][-1] is END
        assert happened[-1].labels == {"role": ("staff", 0.9)}

    def test_under_a_new_id_the_old_labels_hold_until_it_has_its_own(self) -> None:
        def role(t: float) -> str | None:
            return "staff" if t < 2 else None if t < 3 else "guard"

        happened = show(camera_events(), 5, role, lambda t: (1,) if t < 2 else (2,))
        assert said(happened) == [(START, 600, {"role": "staff"}), (UPDATE, 3000, {"role": "guard"})]
        assert happened[1].track == 2

    def test_messages_with_labels_fit_the_schema(self) -> None:
        schema = Draft202012Validator(json.loads((Path(streamer.events.__path__[0]) / "event.schema.json").read_text()))
        happened = show(camera_events(), 4, lambda t: "staff" if t >= 2 else None)
        for event in happened:
            schema.validate(json.loads(encode_event(event, 84.2)))
        assert any(event.labels for event in happened)
        assert not all(event.labels for event in happened)


class TestAskedFor:
    def test_it_begins_once_the_label_is_decided_and_tells_the_first_sighting(self) -> None:
        (start,) = show(camera(STAFF), 4, lambda t: "staff" if t >= 2 else None)
        assert (start.type, start.captured_utc_ns, start.started_utc_ns) == (START, utc(2), utc(0))

    def test_its_time_counts_from_the_first_sighting(self) -> None:
        waits = replace(STAFF, after_s=3.0)
        assert [e.captured_utc_ns for e in show(camera(waits), 5, lambda t: "guard" if t >= 2 else None)] == [utc(3)]

    def test_another_label_or_none_is_no_event(self) -> None:
        assert show(camera(STAFF), 5, lambda _: "visitor") == []
        assert show(camera(STAFF), 5, lambda _: None) == []

    def test_every_label_that_is_asked_for_must_fit(self) -> None:
        both = replace(STAFF, labels={**STAFF.labels, "colour": frozenset({"red"})})
        assert show(camera(both), 5, lambda _: "staff") == []

    def test_a_label_that_was_wrong_at_first_begins_it_late(self) -> None:
        (start,) = show(camera(STAFF), 6, lambda t: "visitor" if t < 4 else "staff")
        assert (start.captured_utc_ns, start.started_utc_ns) == (utc(4), utc(0))

    def test_a_label_that_no_longer_fits_ends_it(self) -> None:
        happened = show(camera(STAFF), 8, lambda t: "staff" if t < 3 else "visitor")
        assert said(happened) == [(START, 600, {"role": "staff"}), (END, 4800, {"role": "staff"})]
        assert (happened[1].ended_utc_ns, happened[1].end_reason) == (utc(2.8), EndReason.GONE)

    def test_a_label_that_is_gone_ends_it(self) -> None:
        happened = show(camera(STAFF), 8, lambda t: "staff" if t < 3 else None)
        assert [e.type for e in happened] == [START, END]

    def test_a_short_doubt_does_not(self) -> None:
        assert said(show(camera(STAFF), 8, lambda t: "visitor" if 3 <= t < 4 else "staff")) == [
            (START, 600, {"role": "staff"})
        ]

    def test_a_new_id_does_not_end_it_while_it_is_undecided(self) -> None:
        def role(t: float) -> str | None:
            return "staff" if t < 2 or t >= 7 else None

        happened = show(camera(STAFF), 9, role, lambda t: (1,) if t < 2 else (2,))
        assert said(happened) == [(START, 600, {"role": "staff"})]

    def test_a_new_id_that_is_somebody_else_ends_it(self) -> None:
        def role(t: float) -> str | None:
            return "staff" if t < 2 else None if t < 3 else "visitor"

        happened = show(camera(STAFF), 9, role, lambda t: (1,) if t < 2 else (2,))
        assert said(happened) == [(START, 600, {"role": "staff"}), (END, 4800, {"role": "staff"})]

    def test_who_has_left_when_the_label_comes_was_there_all_the_same(self) -> None:
        happened = show(camera(STAFF), 6, lambda t: "staff" if t >= 1.2 else None, lambda t: (1,) if t <= 1 else ())
        assert [(e.type, e.started_utc_ns, e.ended_utc_ns) for e in happened] == [
            (START, utc(0), None),
            (END, utc(0), utc(1)),
        ]

    def test_who_has_left_the_zone_when_the_label_comes_was_in_it(self) -> None:
        lower = {"lower": ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))}
        events = CameraEvents("porch", [replace(STAFF, zone="lower")], LABELS, EventIds(), zones=lower)
        happened = show(events, 6, lambda t: "staff" if t >= 1.6 else None, box=lambda t: at(420 if t <= 1 else 300))
        assert [(e.type, e.captured_utc_ns, e.ended_utc_ns, e.labels) for e in happened] == [
            (START, utc(1), None, {"role": ("staff", 0.9)}),
            (END, utc(3), utc(1), {"role": ("staff", 0.9)}),
        ]

    def test_who_was_not_there_for_long_enough_was_not(self) -> None:
        assert show(camera(STAFF), 6, lambda t: "staff" if t >= 0.6 else None, lambda t: (1,) if t <= 0.4 else ()) == []


class TestLines:
    def test_a_label_that_comes_after_the_crossing_is_an_update(self) -> None:
        happened = show(
            camera(ENTERED), 6, lambda t: "staff" if t >= 3 else None, box=lambda t: at(300 if t < 2 else 420)
        )
        assert said(happened) == [
            (START, 2000, {}),
            (UPDATE, 2000, {"role": "staff"}),
            (END, 4000, {"role": "staff"}),
        ]
        assert happened[2].ended_utc_ns == utc(2)  # it is over at once all the same

    def test_a_crossing_waits_for_the_label_that_is_asked_for(self) -> None:
        happened = show(
            camera(VISITORS), 8, lambda t: "visitor" if t >= 4 else None, box=lambda t: at(300 if t < 2 else 420)
        )
        assert [(e.type, e.captured_utc_ns, e.started_utc_ns, e.direction) for e in happened] == [
            (START, utc(4), utc(2), "in"),
            (END, utc(6), utc(2), "in"),
        ]

    def test_somebody_else_has_not_crossed(self) -> None:
        def role(t: float) -> str | None:
            return None if t < 3 else "staff" if t < 5 else "visitor"  # a minute later is too late for another opinion

        assert show(camera(VISITORS), 8, role, box=lambda t: at(300 if t < 2 else 420)) == []

    def test_who_vanishes_behind_the_line_before_the_label_comes_has_crossed(self) -> None:
        happened = show(
            camera(VISITORS),
            8,
            lambda t: "visitor" if t >= 2.6 else None,
            lambda t: (1,) if t <= 2.4 else (),
            box=lambda t: at(300 if t < 2 else 420),
        )
        assert [(e.type, e.started_utc_ns) for e in happened] == [(START, utc(2)), (END, utc(2))]

    def test_each_crossing_is_one_event(self) -> None:
        happened = show(
            camera(VISITORS), 12, lambda t: "visitor" if t >= 1 else None, box=lambda t: at(300 if t % 4 < 2 else 420)
        )
        assert [e.direction for e in happened if e.type is START] == ["in", "out", "in", "out", "in", "out"]


class TestCounts:
    @pytest.mark.parametrize(("roles", "events"), [(("staff", "staff"), 1), (("staff", "visitor"), 0), (("staff",), 0)])
    def test_only_those_who_are_called_so_count(self, roles: Sequence[str], events: int) -> None:
        camera_, tracks, happened = camera(MANY), Tracks(), []
        known = {n + 1: {"role": (role, 0.9)} for n, role in enumerate(roles)}
        for t in seconds(0, 3):
            seen = [tracks.seen(t, track, box=at(400, 100.0 * track)) for track in (1, 2, 3)]
            happened += camera_.observe(info(t), seen, MODEL, lambda track: known.get(track, {}))
        assert [(e.type, e.count, e.labels) for e in happened] == [(START, 2, {})] * events


def test_rules_with_labels_can_be_told_apart() -> None:
    assert hash(STAFF) == hash(replace(STAFF))
    assert replace(STAFF, labels={}) != STAFF
    assert STAFF.fits({"role": ("guard", 0.5)})
    assert PERSON.fits({})


Step = tuple[float, frozenset[int], tuple[str | None, str | None], str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.2, 0.5, 1.0, 3.0]),
        st.frozensets(st.integers(1, 6), max_size=4),
        st.tuples(st.sampled_from([None, "staff", "visitor"]), st.sampled_from([None, "staff", "guard"])),
        st.sampled_from(["frame"] * 8 + ["tick", "lost"]),
    ),
    max_size=60,
)


@given(steps=STEPS, end_after_s=st.sampled_from([0.5, 2.0]))
def test_every_event_starts_once_with_what_it_asks_for_and_ends_once(steps: Sequence[Step], end_after_s: float) -> None:
    """Ids take each other's places, labels come, change and go, cameras are lost."""
    rules = [replace(rule, end_after_s=end_after_s) for rule in (PERSON, STAFF, VISITORS, ENTERED, MANY)]
    events, tracks, t = camera(*rules), Tracks(), 0.0
    happened: list[Event] = []
    for step_s, ids, roles, what in steps:
        t = round(t + step_s, 3)
        if what == "frame":
            seen = [tracks.seen(t, i, box=at(300 if (i + len(happened)) % 2 else 420, 300.0 * (i % 3))) for i in ids]
            known = {i: {"role": (role, 0.9)} for i in range(7) if (role := roles[i % 2]) is not None}
            happened += events.observe(info(t), seen, MODEL, lambda track, known=known: known.get(track, {}))  # type: ignore[misc]
        else:
            happened += events.tick(ns(t)) if what == "tick" else events.end_all(EndReason.CAMERA_LOST)
    happened += events.end_all(EndReason.STOPPED)
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in happened:
        by_id[event.id].append(event)
        (asked,) = [rule for rule in rules if rule.name == event.rule]
        assert asked.more_than is not None or asked.fits(event.labels)
    for story in by_id.values():
        assert [e.type for e in story] == [START, *[UPDATE] * (len(story) - 2), END]
        assert [e.seq for e in story] == list(range(len(story)))
        captured = [e.captured_utc_ns for e in story]
        assert captured == sorted(captured)
