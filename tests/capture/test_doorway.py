from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.capture.scenes.doorway import KINDS, Doorway, Weather
from streamer.capture.scenes.doorway_story import SLOT_S, Slot, What, happenings, slot_at
from streamer.capture.scenes.doorway_weather import Leaves, Light, Wind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneFrame

SIZE = (320, 180)
STILL = Weather(wind=0.0)


def slots(count: int, seed: int) -> list[Slot]:
    return [slot_at(seed + number // 10, number % 10, 1.0) for number in range(count)]


def delivery(seed: int) -> tuple[int, Slot]:
    """Return the seed of a scene that begins with a delivery, and its first slot."""
    return next((s, slot) for s in range(seed, seed + 100) if (slot := slot_at(s, 0, 1.0)).parcels)


def boxes_of(frame: SceneFrame, kind: str) -> list[tuple[float, float, float, float]]:
    return [thing.box for thing in frame.objects if thing.kind == kind]


@pytest.mark.parametrize("size", [(640, 360), (352, 288), (360, 640), (1280, 720)])
def test_a_picture_has_the_asked_size(size: tuple[int, int]) -> None:
    bgr = Doorway(1, *size).at(4.0).bgr
    assert bgr.shape == (size[1], size[0], 3)
    assert bgr.dtype == np.uint8


def test_equal_moments_are_equal_whatever_was_asked_before(seed: int) -> None:
    weather = Weather(wind=1.0, rain=0.5)
    first, second = (Doorway(seed, *SIZE, weather=weather) for _ in range(2))
    for t_s in (150.0, 2.0, 39.9):
        second.at(t_s)
    wanted, got = first.at(17.3), second.at(17.3)
    assert got.objects == wanted.objects
    assert np.array_equal(got.bgr, wanted.bgr)


def test_all_is_over_before_its_slot_is(seed: int) -> None:
    for number, slot in enumerate(slots(400, seed)):
        begins_s = number % 10 * SLOT_S
        for person in slot.people:
            assert begins_s <= person.comes_s < person.goes_s < begins_s + SLOT_S
            assert all(a.at_s < b.at_s for a, b in pairwise(person.steps))


def test_a_parcel_is_brought_left_alone_and_taken(seed: int) -> None:
    brought = [slot for slot in slots(100, seed) if slot.parcels]
    assert len(brought) > 30
    for slot in brought:
        (parcel,), bringer, taker = slot.parcels, *slot.people[:2]
        left, taken = (next(h for h in slot.happenings if h.what is what) for what in (What.LEFT, What.TAKEN))
        assert bringer.comes_s < parcel.put_s < left.at_s < bringer.goes_s
        assert bringer.goes_s + 10 < taker.comes_s < parcel.taken_s == taken.at_s < taker.goes_s
        assert bringer.holds(parcel.put_s - 0.01)
        assert not bringer.holds(parcel.put_s)
        assert taker.holds(parcel.taken_s)
        assert not taker.holds(parcel.taken_s - 0.01)


def test_whoever_comes_is_named_once() -> None:
    named = happenings(3, until_s=10 * SLOT_S)
    people = [person for index in range(10) for person in slot_at(3, index, 1.0).people]
    came = [happening for happening in named if happening.what is What.CAME]
    assert sorted(h.actor for h in came) == sorted(person.id for person in people)
    assert [h.at_s for h in named] == sorted(h.at_s for h in named)


def test_nobody_comes_to_an_empty_doorway() -> None:
    scene = Doorway(5, *SIZE, visitors=0.0)
    assert all(scene.at(t_s).objects == () for t_s in np.arange(0, 120, 7.0))
    assert happenings(5, until_s=3600, visitors=0.0) == ()


def test_boxes_are_tight_to_what_is_drawn(seed: int) -> None:
    """Light, noise and leaves are the same with and without people, so what differs is they and their shadows."""
    off: list[float] = []
    for number in range(seed, seed + 5):
        scene, without = (Doorway(number, 640, 360, weather=STILL, visitors=share) for share in (1.0, 0.0))
        for person in slot_at(number, 0, 1.0).people[:1]:
            t_s = person.comes_s + 0.4 * (person.steps[1].at_s - person.comes_s)
            frame = scene.at(t_s)
            if len(boxes_of(frame, "person")) != 1:
                continue
            x1, y1, x2, y2 = union(frame)
            changed = np.abs(frame.bgr.astype(int) - without.at(t_s).bgr).max(axis=2) > 10
            changed[round(y1 + 0.85 * (y2 - y1)) :] = False  # the shadow lies around the feet
            rows, columns = np.nonzero(changed)
            assert columns.min() > x1 - 2.5
            assert columns.max() < x2 + 2.5
            assert rows.min() > y1 - 2.5
            off.append(float(rows.min() - y1))
    assert len(off) >= 2
    assert np.median(off) < 2.5  # dark hair before a dark door may look lower


def union(frame: SceneFrame) -> tuple[float, float, float, float]:
    left, top, right, bottom = zip(*(thing.box for thing in frame.objects), strict=True)
    return min(left), min(top), max(right), max(bottom)


def test_nothing_jumps_when_a_parcel_is_put_down_or_picked_up(seed: int) -> None:
    for number in range(4):
        chosen, slot = delivery(seed + 40 * number)
        scene = Doorway(chosen, 640, 360, weather=STILL)
        for moment_s in (slot.parcels[0].put_s, slot.parcels[0].taken_s):
            (before,), (after,) = (boxes_of(scene.at(moment_s + step_s), "parcel") for step_s in (-0.01, 0.01))
            assert np.abs(np.subtract(before, after)).max() < 5  # px


def test_people_walk_without_jumps(seed: int) -> None:
    chosen, slot = delivery(seed)
    scene, person = Doorway(chosen, 320, 180), slot.people[0]
    seen = [
        {thing.id: thing.box for thing in scene.at(float(t_s)).objects}
        for t_s in np.arange(person.comes_s, person.goes_s, 0.1)
    ]
    for before, after in pairwise(seen):
        for number in before.keys() & after.keys():
            middles = [(box[0] + box[2]) / 2 for box in (before[number], after[number]) if box[0] > 3 and box[2] < 317]
            assert len(middles) < 2 or abs(middles[1] - middles[0]) < 20  # px in 0.1 s, arms and legs included


def test_truths_are_within_the_picture_and_bodies_hide_what_they_hold(seed: int) -> None:
    hidden = 0
    for number in range(seed, seed + 5):
        scene = Doorway(number, 160, 90)
        for t_s in np.arange(0, SLOT_S, 4.0):
            for thing in scene.at(float(t_s)).objects:
                x1, y1, x2, y2 = thing.box
                assert 0 <= x1 < x2 <= 160
                assert 0 <= y1 < y2 <= 90
                assert 0 <= thing.visible <= 1
                assert thing.kind in KINDS
                hidden += thing.visible < 0.9
    assert hidden


def test_wind_moves_the_leaves(seed: int) -> None:
    leaves = Leaves(np.random.default_rng(seed), 640, 360)

    def drawn(t_s: float, wind: float) -> NDArray[np.int_]:
        bgr = np.zeros((360, 640, 3), np.uint8)
        leaves.draw(bgr, leaves.shrub, t_s=t_s, wind=wind)
        leaves.draw(bgr, leaves.branch, t_s=t_s, wind=wind)
        return bgr.astype(int)

    assert np.array_equal(drawn(10.0, 0.0), drawn(10.5, 0.0))
    shown, later = drawn(10.0, 1.0), drawn(10.5, 1.0)
    moved = (np.abs(later - shown).max(axis=2) > 40).mean()
    assert moved > 0.1 * (shown.max(axis=2) > 0).mean()


def test_wind_comes_in_gusts_and_is_never_stronger_than_asked_for(seed: int) -> None:
    winds = [Wind(np.random.default_rng(seed), 0.5).at(float(t_s)) for t_s in range(600)]
    assert 0 < min(winds) < 0.15
    assert 0.35 < max(winds) <= 0.5


def test_rain_falls(seed: int) -> None:
    dry, wet = (
        Doorway(seed, *SIZE, weather=Weather(wind=0.0, rain=rain), visitors=0.0).at(5.0).bgr.astype(int)
        for rain in (0.0, 1.0)
    )
    assert (wet - dry).min() >= 0  # streaks are lighter than what is behind them
    assert 0.005 < ((wet - dry).max(axis=2) > 10).mean() < 0.3


def test_the_lamp_is_switched_at_times(seed: int) -> None:
    light = Light(np.random.default_rng(seed), seed, 160, 90)
    on = [light.lamp_on(t_s) for t_s in range(1800)]
    switched_s = [t_s for t_s, (before, after) in enumerate(pairwise(on)) if after and not before]
    assert 3 <= len(switched_s) <= 20
    dark, bright = (light.at(switched_s[0] + part_s, 0.0).astype(float).mean() for part_s in (0.0, 1.0))
    assert bright > 1.05 * dark
