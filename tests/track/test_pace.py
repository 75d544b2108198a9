from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from track_scenes import NS_PER_S, SceneMaker

from streamer.core.results import Box, Detections, Track, Velocity
from streamer.track.pace import Pace
from streamer.track.tracker import ObjectTracker

HEIGHT, WIDTH = 170, 68  # px, of the people in the scenes
SIZE = math.sqrt(HEIGHT * WIDTH)


def one(box: Box) -> Detections:
    return Detections(
        boxes=np.array([box], np.float32), scores=np.array([0.9], np.float32), class_ids=np.zeros(1, np.int32)
    )


def tracks_of(boxes: dict[float, Box]) -> list[Track]:
    """Show one box after the other, by the second of each; return the track of each."""
    tracker = ObjectTracker(least={0: 0.5})
    return [t for at_s, box in boxes.items() for t in tracker.update(one(box), round((1000 + at_s) * NS_PER_S)).tracks]


def told(track: Track) -> Velocity:
    assert track.velocity is not None
    return track.velocity


def walk(fps: float, speed: float, *, seconds: float, seed: int = 0) -> list[Track]:
    scenes = SceneMaker(seed)
    return tracks_of({k / fps: scenes.box(100 + speed * k / fps) for k in range(round(seconds * fps) + 1)})


def test_one_sighting_tells_no_velocity_and_the_next_does() -> None:
    first, second = walk(5, 140, seconds=0.2)
    assert first.velocity is None
    assert told(second).x == pytest.approx(140, abs=20)


@pytest.mark.parametrize("fps", [2, 5, 10, 25])
@pytest.mark.parametrize("speed", [0, 60, 200, 400])
def test_steady_motion_is_told_without_bias(fps: float, speed: float) -> None:
    late = [told(t) for seed in range(10) for t in walk(fps, speed, seconds=3, seed=seed)[round(fps) :]]
    assert np.mean([v.x for v in late]) == pytest.approx(speed, abs=1.5)
    assert np.mean([v.y for v in late]) == pytest.approx(0, abs=1.5)
    assert max(math.hypot(v.x - speed, v.y) for v in late) < 0.4 * SIZE


@pytest.mark.parametrize("fps", [5, 10, 25])
def test_the_deviation_says_how_far_it_may_be_off(fps: int) -> None:
    """Somebody walks, stops, walks on, and turns on the heel; only the moment of a turn is beyond it."""
    off = []
    for seed in range(10):
        scenes, boxes = SceneMaker(seed), {}
        for k in range(10 * fps + 1):
            t = k / fps
            boxes[t] = scenes.box(100 + 140 * (min(t, 3) + max(0, min(t, 7) - 5) - max(0, t - 7)))
        for (t, _), track in zip(boxes.items(), tracks_of(boxes), strict=True):
            real = 0 if 3 < t <= 5 else -140 if t > 7 else 140
            if track.velocity is not None:
                off.append(abs(track.velocity.x - real) / track.velocity.deviation)
    assert np.mean(np.array(off) < 2) > 0.95
    assert max(off) < 8


def test_it_is_known_better_the_longer_an_object_is_seen() -> None:
    known = [told(t).deviation for t in walk(10, 140, seconds=1)[1:]]
    assert max(known) == known[0] > 1.5 * max(known[3:])


def test_a_turn_is_followed_within_half_a_second() -> None:
    scenes = SceneMaker(3)
    boxes = {k / 10: scenes.box(100 + 14 * min(k, 20) - 14 * max(0, k - 20)) for k in range(26)}
    assert told(tracks_of(boxes)[-1]).x == pytest.approx(-140, abs=30)


def test_an_object_out_of_sight_is_told_of_with_less_certainty() -> None:
    scenes = SceneMaker(4)
    boxes = {t: scenes.box(100 + 140 * t) for t in (0, 0.2, 0.4, 0.6, 0.8, 2.4)}
    *_, before, after = tracks_of(boxes)
    assert after.id == before.id
    assert told(after).x == pytest.approx(140, abs=20)


def test_the_other_side_of_the_picture_is_another_object() -> None:
    boxes = [SceneMaker(5).box(x) for x in (100, 100, 1100, 1100)]
    tracks = tracks_of(dict(zip(itertools.count(), boxes, strict=False)))
    assert [t.velocity is None for t in tracks] == [True, False, True, False]
    assert abs(told(tracks[-1]).x) < 0.1 * SIZE


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 1e-6, 1e-3, 0.02, 0.04, 0.2, 1.0, -0.2]), st.floats(-0.5, 0.5)),
        min_size=1,
        max_size=40,
    )
)
def test_no_jump_and_no_clock_makes_a_wild_velocity(steps: list[tuple[float, float]]) -> None:
    """Whatever the boxes do within their width, at whatever moments: no time between two frames is divided by."""
    tracker, now_s = ObjectTracker(least={0: 0.5}), 1000.0
    for step_s, aside in steps:
        now_s += step_s
        centre = 500 + aside * WIDTH
        box = (centre - WIDTH / 2, 100.0, centre + WIDTH / 2, 100.0 + HEIGHT)
        for track in tracker.update(one(box), round(now_s * NS_PER_S)).tracks:
            if track.velocity is not None:
                assert math.hypot(track.velocity.x, track.velocity.y) < 8 * SIZE
                assert 0 < track.velocity.deviation < 8 * SIZE


def test_a_frame_without_time_between_changes_no_certainty_of_the_speed() -> None:
    pace = Pace(0.0, 0.0, SIZE**2)
    before = pace.velocity()
    pace.move(0.0, SIZE**2)
    pace.see(30.0, 0.0, SIZE**2)
    assert pace.velocity() == before


@given(
    sightings=st.lists(
        st.tuples(st.floats(0, 10), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(1, 1e7)), max_size=60
    )
)
def test_it_stays_a_filter(sightings: list[tuple[float, float, float, float]]) -> None:
    pace = Pace(0.0, 0.0, 100.0)
    for step_s, cx, cy, area in sightings:
        pace.move(step_s, area)
        pace.see(cx, cy, area)
        assert all(math.isfinite(v) for v in pace.velocity())
        assert pace._place > 0
        assert pace._speed >= 0
        assert pace._shared**2 <= pace._place * pace._speed * (1 + 1e-6)
