from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from event_scenes import BOX, LABELS, MODEL, PERSON, Tracks, camera_events, info, ns, utc
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.event import EndReason, EventType
from streamer.events.rules import RuleSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.event import Event
    from streamer.core.results import Track
    from streamer.events.life import CameraEvents

START, UPDATE, END = EventType.START, EventType.UPDATE, EventType.END


def stay(events: CameraEvents, times_s: Sequence[float], *, gone_until_s: float | None = None) -> list[Event]:
    """Show one object at some times, then empty frames at 5 Hz."""
    tracks = Tracks()
    happened = [e for t in times_s for e in events.observe(info(t), [tracks.seen(t)], MODEL)]
    t = times_s[-1]
    while gone_until_s is not None and t < gone_until_s:
        t = round(t + 0.2, 3)
        happened += events.observe(info(t), [], MODEL)
    return happened


def seconds(first: float, last: float, fps: float = 5) -> list[float]:
    return [round(first + k / fps, 3) for k in range(round((last - first) * fps) + 1)]


class TestStart:
    def test_a_stay_starts_after_its_time_and_tells_its_first_sighting(self) -> None:
        (start,) = stay(camera_events(), seconds(0, 1))
        assert (start.type, start.seq, start.rule, start.class_name, start.track) == (START, 0, "person", "person", 1)
        assert start.started_utc_ns == utc(0)
        assert (start.captured_utc_ns, start.captured_ns) == (utc(0.6), ns(0.6))
        assert (start.ended_utc_ns, start.end_reason) == (None, None)

    def test_a_passer_by_is_no_event(self) -> None:
        assert stay(camera_events(), seconds(0, 0.4), gone_until_s=6) == []

    def test_it_starts_only_while_in_view(self) -> None:
        events = camera_events()
        assert stay(events, [0.0, 0.2], gone_until_s=1.0) == []
        assert events.tick(ns(1.0)) == []
        assert events.active() == {"person": 0}

    def test_no_wait_starts_at_the_first_sighting(self) -> None:
        (start,) = stay(camera_events(replace(PERSON, after_s=0.0)), [0.0])
        assert start.captured_utc_ns == start.started_utc_ns == utc(0)

    def test_two_ghosts_a_second_apart_have_not_been_there(self) -> None:
        events, tracks = camera_events(), Tracks()
        happened = []
        for t in seconds(0, 3, fps=10):
            happened += events.observe(info(t), [tracks.seen(t)] if t in {0.0, 1.2} else [], MODEL)
        assert happened == []

    def test_a_file_has_no_age(self) -> None:
        events, tracks = camera_events(replace(PERSON, after_s=0.0)), Tracks()
        (start,) = events.observe(info(0, live=False), [tracks.seen(0)], MODEL)
        assert start.captured_ns is None

    def test_the_message_says_what_its_frame_shows(self) -> None:
        events, tracks = camera_events(), Tracks()
        events.observe(info(0), [tracks.seen(0, score=0.9)], MODEL)
        (start,) = events.observe(info(0.5), [tracks.seen(0.5, box=(320.4, 180.0, 640.0, 540.6), score=0.7)], MODEL)
        assert (start.score, start.top_score) == (0.7, 0.9)
        assert start.box == (320, 180, 640, 541)
        assert start.box_norm == pytest.approx((0.2503, 0.25, 0.5, 0.7508), abs=1e-4)
        assert (start.frame_width, start.frame_height, start.model) == (1280, 720, MODEL)


class TestRules:
    def test_other_classes_are_not_looked_at(self) -> None:
        events, tracks = camera_events(), Tracks()
        assert [e for t in seconds(0, 2) for e in events.observe(info(t), [tracks.seen(t, class_id=1)], MODEL)] == []

    def test_several_rules_may_watch_one_object(self) -> None:
        waits = RuleSpec(name="waits", class_ids=frozenset({0, 1}), after_s=2.0)
        happened = stay(camera_events(PERSON, waits), seconds(0, 3))
        assert [(e.rule, e.captured_utc_ns) for e in happened] == [("person", utc(0.6)), ("waits", utc(2.0))]
        assert len({e.id for e in happened}) == 2

    def test_what_is_too_small_is_not_there(self) -> None:
        big = replace(PERSON, min_area=1.01 * 60 * 150 / (1280 * 720))
        assert stay(camera_events(big), seconds(0, 2)) == []
        assert len(stay(camera_events(replace(big, min_area=0.99 * 60 * 150 / (1280 * 720))), seconds(0, 2))) == 1

    def test_a_running_event_goes_on_down_to_eight_tenths_of_its_area(self) -> None:
        events, tracks = camera_events(replace(PERSON, min_area=60 * 150 / (1280 * 720))), Tracks()
        happened = []
        for t in seconds(0, 12):
            height = 150.0 if t < 2 else 125.0 if t < 6 else 100.0
            happened += events.observe(info(t), [tracks.seen(t, box=(0.0, 0.0, 60.0, height))], MODEL)
        assert [e.type for e in happened] == [START, END]
        assert happened[1].ended_utc_ns == utc(5.8)


class TestEnd:
    def test_it_ends_at_its_last_sighting_once_gone_for_long_enough(self) -> None:
        happened = stay(camera_events(), seconds(0, 2), gone_until_s=6)
        assert [e.type for e in happened] == [START, END]
        end = happened[1]
        assert (end.id, end.seq, end.end_reason) == (happened[0].id, 1, EndReason.GONE)
        assert (end.ended_utc_ns, end.captured_utc_ns, end.captured_ns) == (utc(2), utc(4), ns(4))
        assert end.box == tuple(BOX)

    def test_a_shorter_absence_is_no_end(self) -> None:
        happened = stay(camera_events(), [*seconds(0, 2), *seconds(3.8, 5)])
        assert [e.type for e in happened] == [START]

    def test_each_reason_ends_what_is_open_once(self) -> None:
        for reason in EndReason:
            events = camera_events()
            stay(events, seconds(0, 2))
            (end,) = events.end_all(reason)
            assert (end.type, end.end_reason, end.ended_utc_ns, end.seq) == (END, reason, utc(2), 1)
            assert events.end_all(reason) == []
            assert (events.active(), events.open_events()) == ({"person": 0}, {})

    def test_what_has_not_started_just_goes(self) -> None:
        events = camera_events()
        stay(events, [0.0])
        assert events.end_all(EndReason.CAMERA_LOST) == []
        assert [e.type for e in stay(events, seconds(1, 1.4))] == []

    def test_a_live_cameras_time_passes_without_frames(self) -> None:
        events = camera_events()
        stay(events, seconds(0, 2))
        assert events.tick(ns(4.1)) == []  # frames may still be on their way
        (end,) = events.tick(ns(9.5))
        assert (end.end_reason, end.ended_utc_ns) == (EndReason.GONE, utc(2))
        assert events.tick(ns(13)) == []

    def test_a_camera_that_freezes_is_lost_before_anything_is_taken_for_gone(self) -> None:
        events = camera_events(replace(PERSON, end_after_s=0.1))
        stay(events, seconds(0, 2))
        assert events.tick(ns(6)) == []
        (end,) = events.end_all(EndReason.CAMERA_LOST)
        assert end.end_reason is EndReason.CAMERA_LOST

    @pytest.mark.parametrize("fps", [1, 0.3])
    def test_a_slow_camera_that_shows_it_in_each_frame_keeps_it_open(self, fps: float) -> None:
        events, tracks = camera_events(), Tracks()
        happened = []
        for k in range(10):
            t = k / fps
            happened += events.observe(info(t), [tracks.seen(t)], MODEL)
            happened += events.tick(ns(t + 0.9 / fps + 0.5))
        assert [e.type for e in happened] == [START]


class TestRunning:
    def test_open_events_are_counted_and_known_with_their_last_sighting(self) -> None:
        events = camera_events()
        (start,) = stay(events, seconds(0, 2))
        assert events.active() == {"person": 1}
        assert events.open_events() == {start.id: utc(2)}
        stay(events, [2.2], gone_until_s=5)
        assert (events.active(), events.open_events()) == ({"person": 0}, {})

    def test_rules_that_are_not_listed_appear_with_their_first_event(self) -> None:
        events = camera_events(replace(PERSON, listed=False))
        assert events.active() == {}
        stay(events, seconds(0, 2), gone_until_s=5)
        assert events.active() == {"person": 0}

    def test_a_long_stay_is_updated_each_minute(self) -> None:
        happened = stay(camera_events(), seconds(0, 150, fps=2))
        assert [(e.type, e.seq) for e in happened] == [(START, 0), (UPDATE, 1), (UPDATE, 2)]
        assert [e.captured_utc_ns for e in happened] == [utc(0.5), utc(60.5), utc(120.5)]

    def test_two_objects_make_two_events(self) -> None:
        events, tracks = camera_events(), Tracks()
        other = (600.0, 100.0, 660.0, 250.0)
        happened = []
        for t in seconds(0, 2):
            happened += events.observe(info(t), [tracks.seen(t, 1), tracks.seen(t, 2, box=other)], MODEL)
        assert sorted((e.type, e.track) for e in happened) == [(START, 1), (START, 2)]
        assert events.active() == {"person": 2}


class TestContinuity:
    def test_a_new_track_at_the_same_place_goes_on_with_the_event(self) -> None:
        events, tracks = camera_events(), Tracks()
        happened = []
        for k, t in enumerate(seconds(0, 20)):
            happened += events.observe(info(t), [tracks.seen(t, 1 + k // 7)], MODEL)
        happened += events.end_all(EndReason.STOPPED)
        assert [e.type for e in happened] == [START, END]
        assert (happened[1].track, happened[1].started_utc_ns) == (15, utc(0))

    @pytest.mark.parametrize("change", ["elsewhere", "class", "both in view"])
    def test_what_is_another_object_does_not(self, change: str) -> None:
        rule = RuleSpec(name="any", class_ids=frozenset({0, 1}))
        events, tracks = camera_events(rule), Tracks()
        happened = []
        for t in seconds(0, 3):
            seen = []
            if t < 1.5 or change == "both in view":
                seen.append(tracks.seen(t, 1))
            if t >= 1.5:
                box = (400.0, 100.0, 460.0, 250.0) if change == "elsewhere" else BOX
                seen.append(tracks.seen(t, 2, box=box, class_id=int(change == "class")))
            happened += events.observe(info(t), seen, MODEL)
        assert [e.type for e in happened] == [START, START]

    def test_too_small_a_new_track_does_not_lose_the_event(self) -> None:
        events, tracks = camera_events(replace(PERSON, min_area=0.005)), Tracks()
        happened = []
        for t in seconds(0, 4):
            track_id, box = (2, (110.0, 150.0, 130.0, 200.0)) if 1.5 < t < 2.5 else (1 if t < 2 else 2, BOX)
            happened += events.observe(info(t), [tracks.seen(t, track_id, box=box)], MODEL)
        assert [e.type for e in happened] == [START]

    @pytest.mark.parametrize("fps", [25, 5])
    def test_flicker_makes_one_event(self, fps: float) -> None:
        for seed in range(100):
            random = np.random.default_rng(seed)
            shown = [t for t in seconds(0, 20, fps) if random.random() < 0.5]
            while (gaps := np.diff(shown)).max() >= 1.95:
                shown.insert(int(gaps.argmax()) + 1, shown[int(gaps.argmax())] + 1)
            events, tracks = camera_events(), Tracks()
            happened = []
            for t in seconds(0, 25, fps):
                happened += events.observe(info(t), [tracks.seen(t)] if t in shown else [], MODEL)
            assert [e.type for e in happened] == [START, END], seed
            assert happened[0].started_utc_ns < utc(2), seed


Step = tuple[float, frozenset[int], str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.04, 0.2, 0.5, 1.0, 3.0]),
        st.frozensets(st.integers(1, 6), max_size=4),
        st.sampled_from(["frame"] * 6 + ["tick", "lost"]),
    ),
    max_size=60,
)


def place(tracks: Tracks, t_s: float, ids: frozenset[int]) -> list[Track]:
    """Tracks of two classes at three places, so that ids take each other's stays over."""
    seen = [tracks.seen(t_s, i, box=(100.0 * (i % 3), 0.0, 100.0 * (i % 3) + 60, 150.0), class_id=i % 2) for i in ids]
    return [replace(track, stationary=track.hits > 3) for track in seen]


@given(
    steps=STEPS,
    after_s=st.sampled_from([0.0, 0.5, 2.0]),
    end_after_s=st.sampled_from([0.5, 2.0]),
    cooldown_s=st.sampled_from([0.0, 0.0, 3.0]),
)
def test_every_event_starts_once_counts_up_and_ends_once(
    steps: list[Step], after_s: float, end_after_s: float, cooldown_s: float
) -> None:
    some = RuleSpec(
        name="any", class_ids=frozenset({0, 1}), after_s=after_s, end_after_s=end_after_s, cooldown_s=cooldown_s
    )
    rules = (
        some,
        replace(some, name="dog", class_ids=frozenset({1})),
        replace(some, name="left", class_ids=frozenset({1}), left_by=frozenset({0})),
        replace(some, name="taken", removed=True),
        replace(some, name="both", class_ids=frozenset(), all_of=("any",), any_of=("dog", "left"), none_of=("taken",)),
    )
    events, tracks, t = camera_events(*rules), Tracks(), 0.0
    happened: list[Event] = []
    open_now: set[str] = set()
    for step_s, ids, kind in steps:
        t += step_s
        if kind == "frame":
            new = events.observe(info(t), place(tracks, t, ids), MODEL)
        else:
            new = events.tick(ns(t)) if kind == "tick" else events.end_all(EndReason.CAMERA_LOST)
        happened += new
        open_now = (open_now | {e.id for e in new if e.type is START}) - {e.id for e in new if e.type is END}
        assert set(events.open_events()) == open_now
        assert sum(events.active().values()) == len(open_now)
    happened += events.end_all(EndReason.STOPPED)
    by_id: dict[str, list[Event]] = defaultdict(list)
    for event in happened:
        by_id[event.id].append(event)
    for story in by_id.values():
        assert [e.type for e in story] == [START, *[UPDATE] * (len(story) - 2), END]
        assert [e.seq for e in story] == list(range(len(story)))
        assert len({(e.rule, e.started_utc_ns) for e in story}) == 1
        captured = [e.captured_utc_ns for e in story]
        assert captured == sorted(captured)
        ended_utc_ns = story[-1].ended_utc_ns
        assert ended_utc_ns is not None
        assert ended_utc_ns <= story[-1].captured_utc_ns
        assert all(e.score <= e.top_score and e.class_name == LABELS[e.class_id] for e in story)
