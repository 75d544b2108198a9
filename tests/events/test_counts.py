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


def at_fps(fps: float, *parts: tuple[float, int]) -> list[tuple[float, int]]:
    """Frames of parts that each last until a time and show a number of objects."""
    shown, k = [], 0
    for until_s, number in parts:
        while k / fps < until_s:
            shown.append((round(k / fps, 3), number))
            k += 1
    return shown


def test_the_first_frame_is_told_at_once() -> None:
    assert watch(at_fps(5, (3, 3))) == [(0.0, {0: 3})]
    assert watch(at_fps(5, (3, 0))) == [(0.0, {0: 0})]


def test_an_arrival_is_told_after_half_a_second_of_confirmed_tracks() -> None:
    assert watch(at_fps(10, (2, 0), (4, 1))) == [(0.0, {0: 0}), (2.6, {0: 1})]


def test_a_ghost_of_one_frame_never_counts() -> None:
    assert watch(at_fps(10, (2, 1), (2.1, 2), (5, 1))) == [(0.0, {0: 1})]


def test_a_departure_is_told_a_second_and_a_half_after_the_last_sighting() -> None:
    told = watch(at_fps(10, (2, 2), (5, 1)))
    assert told == [(0.0, {0: 2}), (3.4, {0: 1})]


def test_a_gap_below_a_second_changes_nothing() -> None:
    assert watch(at_fps(10, (2, 1), (2.9, 0), (5, 1))) == [(0.0, {0: 1})]


def test_a_number_that_does_not_hold_is_not_told() -> None:
    assert watch(at_fps(10, (2, 1), (3.3, 0), (5, 1))) == [(0.0, {0: 1})]


def test_a_number_that_changes_again_holds_anew() -> None:
    tracks, counts, told = Tracks(), ObjectCounts([0]), []
    for k in range(40):
        t = k / 10
        seen = [1] * (t < 1) + [2] * (t < 1.3)
        if change := counts.observe(info(t), [tracks.seen(t, i) for i in seen]):
            told.append((t, change))
    assert told == [(0.0, {0: 2}), (2.7, {0: 0})]


@pytest.mark.parametrize("fps", [2, 1, 0.5, 0.2])
def test_what_each_frame_of_a_slow_camera_shows_does_not_flap(fps: float) -> None:
    assert watch(at_fps(fps, (20 / fps, 2)), ticks=True) == [(0.0, {0: 2})]


def test_ticks_tell_a_number_that_has_held_before_the_next_slow_frame() -> None:
    told = watch(at_fps(0.2, (5, 0), (25, 1)), ticks=True)
    assert told[0] == (0.0, {0: 0})
    assert told[1][1] == {0: 1}
    assert 10.5 <= told[1][0] <= 11.2  # confirmed by the second sighting at 10 s


def test_offline_makes_null_of_all_that_was_told_and_the_next_frame_begins_anew() -> None:
    counts, tracks = ObjectCounts([0]), Tracks()
    assert counts.offline() == {0: None}
    counts.observe(info(0), [tracks.seen(0, 1), tracks.seen(0, 2, class_id=1)])
    assert counts.offline() == {0: None, 1: None}
    assert counts.tick(ns(9)) == {}
    assert counts.observe(info(10), [tracks.seen(10, 3)]) == {0: 1}


def test_without_listed_classes_each_is_told_from_its_first_object_on() -> None:
    counts, tracks = ObjectCounts(None), Tracks()
    assert counts.offline() == {}
    told = [counts.observe(info(k / 5), [tracks.seen(k / 5, 1, class_id=2)] if 5 < k < 20 else []) for k in range(40)]
    assert [change for change in told if change] == [{2: 1}, {2: 0}]
