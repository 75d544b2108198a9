from __future__ import annotations

import pytest
from event_scenes import Tracks, info, ns

from streamer.events.counts import ObjectCounts

Told = list[tuple[float, dict[int, int | None]]]


def watch(shown: list[tuple[float, int]], counts: ObjectCounts | None = None, *, ticks: bool = False) -> Told:
    """Show (time, number of objects) frames; return what was told, with the time."""
    counts = counts or ObjectCounts([0])
    tracks, told = Tracks(), []
    ends = [t for t, _ in shown[1:]] + [shown[-1][0]]
    for (t, number), until in zip(shown, ends, strict=True):
        change = counts.observe(info(t), [tracks.seen(t, i + 1) for i in range(number)])
        if change:
            told.append((t, change))
        between = [round(t + k / 10, 3) for k in range(1, round((until - t) * 10))] if ticks else []
        told += [(tick, change) for tick in between if (change := counts.tick(ns(tick)))]
    return told


def test_while_nothing_moves_the_next_frame_may_be_twelve_seconds_away() -> None:
    counts, tracks = ObjectCounts([0]), Tracks()
    for k in range(10):
        counts.observe(info(k / 5), [tracks.seen(k / 5)])
    counts.observe(info(2.0), [tracks.seen(2.0)], still=True)
    assert [told for k in range(1, 49) if (told := counts.tick(ns(2 + k / 4)))] == []
    assert counts.observe(info(14.0), [tracks.seen(14.0)], still=True) == {}


def at_fps(fps: float, *parts: tuple[float, int]) -> list[tuple[float, int]]:
    """Frames of parts that each last until a time and show a number of objects."""
    shown, k = [], 0
    for until_s, number in parts:
        while k / fps < until_s:
            shown.append((round(k / fps, 3), number))
            k += 1
    return shown


def test_the_first_frame_tells_what_is_not_there_and_the_rest_once_it_has_held() -> None:
    assert watch(at_fps(5, (3, 0))) == [(0.0, {0: 0})]
    assert watch(at_fps(5, (3, 3))) == [(0.8, {0: 3})]  # confirmed at 0.2, held for 0.5


def test_a_ghost_in_the_first_frame_delays_the_first_number_and_is_not_in_it() -> None:
    assert watch(at_fps(5, (0.1, 1), (3, 0)), ticks=True) == [(0.8, {0: 0})]  # nothing from 0.2 on
    slow = watch(at_fps(0.2, (4, 1), (20, 0)), ticks=True)
    assert slow[0][1] == {0: 0}
    assert slow[0][0] > 5


def test_classes_that_the_first_frame_does_not_show_are_told_though_others_wait() -> None:
    counts, tracks = ObjectCounts([0, 1]), Tracks()
    told = [counts.observe(info(k / 5), [tracks.seen(k / 5, 1)]) for k in range(6)]
    assert [change for change in told if change] == [{1: 0}, {0: 1}]


def test_an_arrival_is_told_after_half_a_second_of_confirmed_tracks() -> None:
    assert watch(at_fps(10, (2, 0), (4, 1))) == [(0.0, {0: 0}), (2.6, {0: 1})]


def test_a_ghost_of_one_frame_never_counts() -> None:
    assert watch(at_fps(10, (2, 1), (2.1, 2), (5, 1))) == [(0.6, {0: 1})]


def test_a_departure_is_told_a_second_and_a_half_after_the_last_sighting() -> None:
    told = watch(at_fps(10, (2, 2), (5, 1)))
    assert told == [(0.6, {0: 2}), (3.4, {0: 1})]


def test_a_gap_below_a_second_changes_nothing() -> None:
    assert watch(at_fps(10, (2, 1), (2.9, 0), (5, 1))) == [(0.6, {0: 1})]


def test_a_number_that_does_not_hold_is_not_told() -> None:
    assert watch(at_fps(10, (2, 1), (3.3, 0), (5, 1))) == [(0.6, {0: 1})]


def test_a_number_that_changes_again_holds_anew() -> None:
    tracks, counts, told = Tracks(), ObjectCounts([0]), []
    for k in range(40):
        t = k / 10
        seen = [1] * (t < 1) + [2] * (t < 1.3)
        if change := counts.observe(info(t), [tracks.seen(t, i) for i in seen]):
            told.append((t, change))
    assert told == [(0.6, {0: 2}), (2.7, {0: 0})]


@pytest.mark.parametrize("fps", [2, 1, 0.5, 0.2])
def test_what_each_frame_of_a_slow_camera_shows_does_not_flap(fps: float) -> None:
    told = watch(at_fps(fps, (20 / fps, 2)), ticks=True)
    assert [change for _, change in told] == [{0: 2}]
    assert 1 / fps + 0.5 <= told[0][0] <= 1 / fps + 1.1


def test_what_is_in_view_is_forgotten_when_frames_are_no_longer_judged() -> None:
    counts = ObjectCounts([0])
    assert watch(at_fps(5, (2, 1)), counts) == [(0.8, {0: 1})]
    told = [(t, change) for k in range(20, 100) if (change := counts.tick(ns(t := k / 10)))]
    assert told == [(7.9, {0: 0})]  # seen at 1.8; a second, and the 5 s that frames may be late


@pytest.mark.parametrize("fps", [5, 1, 0.2])
def test_frames_that_come_late_make_no_departure(fps: float) -> None:
    """A camera that stalls for as long as it is not lost yet."""
    counts, tracks = ObjectCounts([0]), Tracks()
    shown = [k / fps for k in range(10)] + [9 / fps + 4 + k / fps for k in range(10)]
    told = []
    for t, until in zip(shown, [*shown[1:], shown[-1] + 0.1], strict=True):
        told.append(counts.observe(info(t), [tracks.seen(t, 1)]))
        told += [counts.tick(ns(t + k / 10)) for k in range(1, round((until - t) * 10))]
    assert [change for change in told if change] == [{0: 1}]


def test_ticks_tell_a_number_that_has_held_before_the_next_slow_frame() -> None:
    told = watch(at_fps(0.2, (5, 0), (25, 1)), ticks=True)
    assert told[0] == (0.0, {0: 0})
    assert told[1][1] == {0: 1}
    assert 10.5 <= told[1][0] <= 11.2  # confirmed by the second sighting at 10 s


def test_offline_makes_null_of_all_that_was_told_and_the_next_frame_begins_anew() -> None:
    counts, tracks = ObjectCounts([0]), Tracks()
    assert counts.offline() == {0: None}
    for k in range(6):
        counts.observe(info(k / 5), [tracks.seen(k / 5, 1), tracks.seen(k / 5, 2, class_id=1)])
    assert counts.offline() == {0: None, 1: None}
    assert counts.tick(ns(9)) == {}
    assert counts.observe(info(10), [tracks.seen(10, 3)]) == {1: 0}  # known from before, so it is told


def test_without_listed_classes_each_is_told_from_its_first_object_on() -> None:
    counts, tracks = ObjectCounts(None), Tracks()
    assert counts.offline() == {}
    told = [counts.observe(info(k / 5), [tracks.seen(k / 5, 1, class_id=2)] if 5 < k < 20 else []) for k in range(40)]
    assert [change for change in told if change] == [{2: 1}, {2: 0}]
