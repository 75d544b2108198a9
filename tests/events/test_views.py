"""What events say of pictures and clips, and when a better picture is told of."""

from __future__ import annotations

from dataclasses import replace

from event_scenes import BOX, LABELS, MODEL, PERSON, Tracks, camera_events, info, utc

from streamer.core.event import EndReason, Event, EventType
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec

START, UPDATE, END = EventType.START, EventType.UPDATE, EventType.END


def run(events: CameraEvents, first_s: float, last_s: float, tracks: Tracks) -> list[Event]:
    """Show one object, five times a second."""
    times = [round(first_s + k / 5, 1) for k in range(round((last_s - first_s) * 5) + 1)]
    return [e for t in times for e in events.observe(info(t), [tracks.seen(t)], MODEL)]


def with_pictures(*, pictures: bool = True, clips: bool = True) -> CameraEvents:
    return CameraEvents("porch", [PERSON], LABELS, EventIds(), pictures=pictures, clips=clips)


class TestPaths:
    def test_each_message_says_where_the_picture_is_and_the_end_where_the_clip_is(self) -> None:
        events = with_pictures()
        said = run(events, 0, 62, Tracks()) + events.end_all(EndReason.STOPPED)
        assert [e.type for e in said] == [START, UPDATE, END]
        assert {e.snapshot for e in said} == {f"porch/{said[0].id}.jpg"}
        assert [e.clip for e in said] == [None, None, f"porch/{said[0].id}.mp4"]

    def test_where_none_are_taken_none_are_told_of(self) -> None:
        events = with_pictures(pictures=False, clips=False)
        said = run(events, 0, 2, Tracks()) + events.end_all(EndReason.STOPPED)
        assert [(e.snapshot, e.clip) for e in said] == [(None, None)] * 2


class TestInView:
    def test_only_open_events_that_the_last_frame_shows(self) -> None:
        events, tracks = with_pictures(), Tracks()
        run(events, 0, 0.4, tracks)
        assert events.in_view() == []
        (start,) = run(events, 0.6, 0.6, tracks)
        ((event_id, seen),) = events.in_view()
        assert (event_id, seen.box, seen.info.utc_ns) == (start.id, BOX, utc(0.6))
        events.observe(info(0.8), [], MODEL)
        assert events.in_view() == []
        run(events, 1.0, 1.0, tracks)
        assert [event_id for event_id, _ in events.in_view()] == [start.id]
        events.end_all(EndReason.CAMERA_LOST)
        assert events.in_view() == []

    def test_of_a_crowd_the_whole_picture(self) -> None:
        events, tracks = camera_events(RuleSpec(name="many", class_ids=frozenset({0}), more_than=0)), Tracks()
        run(events, 0, 2, tracks)
        ((_, seen),) = events.in_view()
        assert seen.box == (0.0, 0.0, 1280.0, 720.0)


class TestBetterViews:
    def test_a_better_one_is_an_update_at_once_and_then_once_a_second(self) -> None:
        events, tracks = with_pictures(), Tracks()
        (start,) = run(events, 0, 2, tracks)
        (update,) = events.better_views([start.id])
        assert (update.type, update.seq, update.id, update.captured_utc_ns) == (UPDATE, 1, start.id, utc(2))
        run(events, 2.2, 2.4, tracks)
        assert events.better_views([start.id]) == []
        assert run(events, 2.6, 2.8, tracks) == []
        (later,) = run(events, 3.0, 5, tracks)
        assert (later.type, later.captured_utc_ns) == (UPDATE, utc(3))

    def test_the_first_one_is_the_starts_own(self) -> None:
        events, tracks = with_pictures(), Tracks()
        (start,) = run(events, 0, 0.6, tracks)
        assert events.better_views([start.id]) == []
        assert run(events, 0.8, 10, tracks) == []

    def test_events_that_are_not_open_have_none(self) -> None:
        events, tracks = with_pictures(), Tracks()
        (start,) = run(events, 0, 2, tracks)
        assert events.better_views(["another"]) == []
        events.end_all(EndReason.CAMERA_LOST)
        assert events.better_views([start.id]) == []


class TestStationary:
    def test_a_change_is_an_update_once_a_second_at_most(self) -> None:
        events, tracks = camera_events(), Tracks()
        said = []
        for k in range(60):
            track = replace(tracks.seen(k / 5), stationary=20 <= k < 22 or k >= 40)
            said += events.observe(info(k / 5), [track], MODEL)
        assert [(e.type, e.stationary, e.captured_utc_ns) for e in said] == [
            (START, False, utc(0.6)),
            (UPDATE, True, utc(4)),
            (UPDATE, False, utc(5)),
            (UPDATE, True, utc(8)),
        ]
