from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from event_scenes import BEGAN_UTC_NS, LABELS, MODEL, NS_PER_S, PERSON, Tracks, camera_events, info, ns, utc

from streamer.core.event import EndReason, Event, EventType
from streamer.core.quiet import QuietHours
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.pauses import Pauses
from streamer.events.rules import RuleSpec

EVERY_DAY = frozenset(range(7))
GATE = ((0.5, 0.0), (0.5, 1.0))
ENTERED = RuleSpec(name="entered", class_ids=frozenset({0}), line="gate", after_s=0.0)


def until(minutes: int) -> QuietHours:
    """Return quiet hours that last from ten minutes before the scene's start to some minutes after it."""
    moment = datetime.fromtimestamp(BEGAN_UTC_NS // NS_PER_S)  # noqa: DTZ006  quiet hours are in local time
    minute = moment.hour * 60 + moment.minute
    return QuietHours(days=EVERY_DAY, from_minute=(minute - 10) % 1440, to_minute=(minute + minutes) % 1440)


def starts(events: CameraEvents, visits: list[tuple[float, float]], *, until_s: float) -> list[float]:
    """Show one after the other, each with a track of their own; return when events have started."""
    tracks, said = Tracks(), list[Event]()
    for k in range(round(until_s * 5)):
        t = k / 5
        seen = [
            tracks.seen(t, n + 1, box=(300.0 * n, 100.0, 300.0 * n + 60, 250.0))
            for n, (begin, end) in enumerate(visits)
            if begin <= t < end
        ]
        said += events.observe(info(t), seen, MODEL)
    return [(e.captured_utc_ns - utc(0)) / NS_PER_S for e in said if e.type is EventType.START]


class TestQuiet:
    def test_what_is_over_within_is_not_told(self) -> None:
        events = camera_events(replace(PERSON, quiet=(until(1),)))
        assert starts(events, [(0, 30), (40, 50)], until_s=58) == []
        assert events.active() == {"person": 0}

    def test_what_lasts_beyond_starts_at_the_end_and_says_since_when(self) -> None:
        events, tracks = camera_events(replace(PERSON, quiet=(until(1),))), Tracks()
        said = [e for k in range(70 * 5) for e in events.observe(info(k / 5), [tracks.seen(k / 5)], MODEL)]
        (start,) = [e for e in said if e.type is EventType.START]
        assert start.captured_utc_ns == utc(60)  # the scene begins on a full minute
        assert start.started_utc_ns == utc(0)

    def test_an_event_that_runs_goes_on(self) -> None:
        begins = replace(until(2), from_minute=(until(2).from_minute + 11) % 1440)  # a minute after the start
        events, tracks = camera_events(replace(PERSON, quiet=(begins,))), Tracks()
        said = [e for k in range(90 * 5) for e in events.observe(info(k / 5), [tracks.seen(k / 5)], MODEL)]
        assert [e.type for e in said] == [EventType.START, EventType.UPDATE]
        (end,) = events.end_all(EndReason.STOPPED)
        assert end.id == said[0].id

    def test_other_hours_are_not_quiet(self) -> None:
        later = replace(until(2), from_minute=(until(2).from_minute + 11) % 1440)
        assert starts(camera_events(replace(PERSON, quiet=(later,))), [(0, 10)], until_s=15) == [0.6]


class TestCooldown:
    def test_no_event_starts_for_so_long_after_the_start_and_the_end_of_the_last(self) -> None:
        events = camera_events(replace(PERSON, cooldown_s=20.0))
        # the first ends at 11.8 (gone since 9.8), so that the pause is over at 31.8
        assert starts(events, [(0, 10), (15, 25), (28, 40)], until_s=45) == [0.6, pytest.approx(31.8, abs=0.21)]

    def test_while_one_runs_the_next_waits_for_its_start_to_be_long_ago(self) -> None:
        events = camera_events(replace(PERSON, cooldown_s=20.0))
        assert starts(events, [(0, 60), (5, 60), (30, 60)], until_s=60) == pytest.approx([0.6, 20.6, 40.6], abs=0.21)

    def test_without_one_nothing_waits(self) -> None:
        assert starts(camera_events(), [(0, 10), (5, 15)], until_s=20) == pytest.approx([0.6, 5.6], abs=0.01)

    def test_rules_have_their_own(self) -> None:
        events = camera_events(replace(PERSON, cooldown_s=20.0), replace(PERSON, name="other"))
        assert starts(events, [(0, 10), (15, 20)], until_s=30) == pytest.approx([0.6, 0.6, 15.6], abs=0.01)

    def test_the_loss_of_the_camera_does_not_end_it(self) -> None:
        events = camera_events(replace(PERSON, cooldown_s=20.0))
        assert starts(events, [(0, 10)], until_s=5) == [0.6]
        events.end_all(EndReason.CAMERA_LOST)
        tracks = Tracks()
        said = [e for k in range(25, 200) for e in events.observe(info(k / 5), [tracks.seen(k / 5, 7)], MODEL)]
        assert [e.captured_utc_ns for e in said if e.type is EventType.START] == [utc(24.8)]


@pytest.mark.parametrize("pause", [{"quiet": (until(1),)}, {"cooldown_s": 100.0}])
def test_a_crossing_within_is_not_told_later(pause: dict[str, object]) -> None:
    rule = replace(ENTERED, **pause)  # type: ignore[arg-type]
    events, tracks = CameraEvents("porch", [rule], LABELS, EventIds(), lines={"gate": GATE}), Tracks()
    if "cooldown_s" in pause:
        events._stays._pauses.note(rule, ns(0))  # as after an event that has just ended
    said = []
    for k in range(150 * 5):
        x = 400.0 if k / 5 < 10 else 900.0 if k / 5 < 120 else 300.0
        said += events.observe(info(k / 5), [tracks.seen(k / 5, box=(x, 100.0, x + 60, 250.0))], MODEL)
    assert [(e.type, e.captured_utc_ns) for e in said] == [(EventType.START, utc(120)), (EventType.END, utc(122))]


def test_both_must_be_over() -> None:
    pauses, rule = Pauses(), replace(PERSON, cooldown_s=90.0, quiet=(until(1),))
    assert pauses.now(rule, info(10))
    assert not pauses.now(rule, info(60))
    pauses.note(rule, ns(0))
    assert pauses.now(rule, info(60))
    assert not pauses.now(rule, info(90))
