from __future__ import annotations

import cv2
import numpy as np
import pytest
from scenes import H, Levels, W, everything_at, looks, moving, textured


@pytest.fixture(name="rng")
def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0, 8.0])
def test_noise_of_any_strength_is_no_motion(rng: np.random.Generator, noise: float) -> None:
    quiet = textured(rng)

    assert moving(looks(lambda _: quiet, 40, rng=rng, noise=noise), 5, 40) <= 0.01


@pytest.mark.parametrize("within_s", [3.0, 10.0])
def test_a_cloud_is_followed(rng: np.random.Generator, within_s: float) -> None:
    quiet = textured(rng)

    found = looks(lambda t: quiet * (1 - 0.4 * np.clip((t - 5) / within_s, 0, 1)), 20, rng=rng)

    assert moving(found, 0, 20) == 0
    assert everything_at(found) == []


def test_a_switched_light_changes_everything_once(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    found = looks(lambda t: quiet * (1.0 if t < 10 else 0.4), 20, rng=rng)

    assert everything_at(found) == [10.0]
    assert moving(found, 10.05, 20) == 0


def test_a_moved_camera_changes_everything_once(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    found = looks(lambda t: np.roll(quiet, 25 if t >= 10 else 0, axis=1), 20, rng=rng)

    assert everything_at(found) == [10.0]
    assert moving(found, 10.05, 20) == 0


def test_a_lamp_that_lights_a_part_is_quiet_again_within_seconds(rng: np.random.Generator) -> None:
    quiet = textured(rng)
    y, x = np.mgrid[:H, :W]
    glow = 1 + 1.5 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 2 / 12**2)

    found = looks(lambda t: np.clip(quiet * (glow if t >= 10 else 1), 0, 255), 30, rng=rng)

    assert moving(found, 10, 10.5) > 0
    assert moving(found, 14, 30) <= 0.03  # cells at the edge of what counts


def test_swaying_leaves_are_learned(rng: np.random.Generator) -> None:
    quiet = textured(rng)
    leaves = textured(rng, blur=1.0)
    phase = rng.uniform(0, 2 * np.pi, (30, 1))
    rows = np.broadcast_to(np.arange(30.0)[:, None], (30, 50)).astype(np.float32)

    def sway(t: float) -> Levels:
        scene: Levels = quiet.copy()
        if t < 40:
            return scene
        away = 2 * np.sin(2 * np.pi * t / 1.7 + phase) + 1.4 * np.sin(2 * np.pi * t / 2.9 + 2 * phase)
        columns = (np.arange(50.0)[None] + away + 40).astype(np.float32)
        scene[10:40, 20:70] = cv2.remap(leaves.astype(np.float32), columns, rows, cv2.INTER_LINEAR)
        if 110 <= t < 118:  # a person passes in front of them
            left = int(5 + (t - 110) * 9)
            scene[12:38, left : left + 8] = 215
        return scene

    found = looks(sway, 118, rng=rng)

    assert moving(found, 40, 46) > 0.3  # what is new is looked at
    assert moving(found, 80, 110) <= 0.05
    assert moving(found, 110.5, 117) >= 0.9


@pytest.mark.parametrize("streaks", [60, 200])
def test_rain_is_no_motion(rng: np.random.Generator, streaks: int) -> None:
    quiet = textured(rng)

    def rain(_: float) -> Levels:
        scene: Levels = quiet.copy()
        for top, left, length in zip(
            rng.integers(0, H - 4, streaks), rng.integers(0, W, streaks), rng.integers(1, 4, streaks), strict=True
        ):
            scene[top : top + length, left] += rng.uniform(8, 40)
        return scene

    assert moving(looks(rain, 40, rng=rng), 20, 40) <= 0.03


@pytest.mark.parametrize(("contrast", "rows", "columns"), [(12, 4, 1), (25, 3, 1), (25, 2, 2)])
def test_something_tiny_and_far_away_is_seen(rng: np.random.Generator, contrast: int, rows: int, columns: int) -> None:
    quiet = textured(rng)

    def walker(t: float) -> Levels:
        scene: Levels = quiet.copy()
        if t >= 10:
            left = int(20 + 2 * (t - 10))
            scene[40 : 40 + rows, left : left + columns] += contrast
        return scene

    found = looks(walker, 30, rng=rng)

    assert moving(found, 0, 10) == 0
    assert moving(found, 10.5, 30) >= 0.9


@pytest.mark.parametrize("step", [1, 2, 3])
def test_something_small_is_followed_that_moves_by_its_own_width(rng: np.random.Generator, step: int) -> None:
    quiet = textured(rng)

    def walker(t: float) -> Levels:
        picture: Levels = quiet.copy()
        left = step * round((t - 10) * 10)  # of 3 x 8 cells; ten looks a second
        if 0 <= left < W - 3:
            picture[50:58, left : left + 3] += 40
        return picture

    found = looks(walker, 18, rng=rng)

    assert moving(found, 5, 10) == 0
    assert moving(found, 10.5, 10 + min(7.5, (W - 10) / step / 10)) >= 0.95


def test_traffic_is_never_taken_for_the_background(rng: np.random.Generator) -> None:
    road = 100 + 0.2 * (textured(rng) - 100)

    def car(t: float) -> Levels:
        scene: Levels = road.copy()
        left = int(t % 4 / 1.6 * 190) - 30
        if left < W:
            scene[50:60, max(0, left) : max(0, left + 30)] = 150
        return scene

    found = looks(car, 140, rng=rng)

    there = [look.moves for at_s, look in found if at_s > 100 and 0.1 < at_s % 4 < 1.4]
    gone = [look.moves for at_s, look in found if at_s > 100 and at_s % 4 > 2]
    assert np.mean(there) >= 0.95
    assert np.mean(gone) <= 0.05


def test_what_comes_to_rest_is_quiet_and_what_leaves_is_seen(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    def visitor(t: float) -> Levels:
        scene: Levels = quiet.copy()
        if 10 <= t < 63:
            way = min(t - 10, 3) if t < 60 else 3 + t - 60
            left = int(way * 20)
            scene[20:60, left : left + 12] += 50
        return scene

    found = looks(visitor, 80, rng=rng)

    assert moving(found, 10.2, 13) == 1
    assert moving(found, 15, 60) <= 0.02
    assert moving(found, 60.1, 63) == 1
    assert moving(found, 65, 80) <= 0.02


def test_what_happens_behind_a_mask_does_not_count(rng: np.random.Generator) -> None:
    quiet = textured(rng)
    watched = np.ones((H, W), bool)
    watched[:, 80:] = False

    def flag(t: float) -> Levels:
        scene: Levels = quiet.copy()
        scene[20:60, 85 + int(4 * t) :][:, :20] += 60
        return scene

    assert moving(looks(flag, 12, rng=rng, watched=watched), 0, 12) == 0
    assert moving(looks(flag, 12, rng=rng), 1, 12) > 0.9


def test_all_of_the_picture_may_be_masked(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    found = looks(lambda t: quiet + 10 * t, 5, rng=rng, watched=np.zeros((H, W), bool))

    assert not any(look.share for _, look in found if not look.everything)


def test_a_more_sensitive_one_sees_what_another_does_not(rng: np.random.Generator) -> None:
    quiet = np.full((H, W), 90.0)

    def faint(t: float) -> Levels:
        scene: Levels = quiet.copy()
        left = int(8 * t) % 140
        scene[30:50, left : left + 12] += 4
        return scene

    assert moving(looks(faint, 20, rng=rng, noise=0.3, contrast=2.0), 1, 20) == 0
    assert moving(looks(faint, 20, rng=rng, noise=0.3, contrast=0.5), 10, 20) > 0.9


def test_it_is_said_where_something_moves(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    def two(t: float) -> Levels:
        scene: Levels = quiet.copy()
        if t >= 10:
            scene[40:70, int(20 + 6 * (t - 10)) :][:, :12] += 60
            scene[15:18, int(140 - 6 * (t - 10)) :][:, :2] += 60
        return scene

    regions: dict[float, list[list[int]]] = {}
    found = looks(two, 15, rng=rng, told=lambda at_s, told: regions.update({at_s: told.regions().tolist()}))

    for at_s, look in found:
        assert look.moves == bool(regions[at_s])
        assert not (look.moves and look.undecided)
        if at_s < 10:
            assert not look.moves
        if at_s > 10.5:
            large, small = regions[at_s][:2]
            left, right = int(20 + 6 * (at_s - 10)), int(140 - 6 * (at_s - 10))
            assert np.abs(np.array(large) - [left, 40, left + 12, 70]).max() <= 2
            assert np.abs(np.array(small) - [right, 15, right + 2, 18]).max() <= 2


def test_of_a_change_of_everything_no_place_is_said(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    def lit(t: float) -> Levels:
        scene: Levels = quiet * (1.0 if t < 3 else 0.4)
        if 2 <= t < 3:
            scene[20:40, int(30 * t) :][:, :20] += 60
        return scene

    places: list[tuple[float, int]] = []
    found = looks(lit, 5, rng=rng, told=lambda at_s, told: places.append((at_s, len(told.regions()))))

    assert everything_at(found) == [3.0]
    assert not any(look.undecided for at_s, look in found if at_s >= 3)
    assert {at_s for at_s, count in places if count} == {2 + n / 10 for n in range(10)}


def test_something_small_is_not_decided_until_it_has_stayed(rng: np.random.Generator) -> None:
    quiet = textured(rng)

    def walker(t: float) -> Levels:
        scene: Levels = quiet.copy()
        if t >= 10:
            left = int(20 + 2 * (t - 10))
            scene[40:44, left : left + 2] += 40
        return scene

    found = dict(looks(walker, 14, rng=rng))

    assert not any(look.undecided for at_s, look in found.items() if at_s < 10)
    first = [found[at_s] for at_s in (10.0, 10.1, 10.2, 10.3)]
    assert [look.undecided for look in first] == [True, True, True, False]
    assert [look.moves for look in first] == [False, False, False, True]


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0, 8.0])
def test_noise_leaves_nothing_undecided(rng: np.random.Generator, noise: float) -> None:
    quiet = textured(rng)

    found = looks(lambda _: quiet, 25, rng=rng, noise=noise)

    assert np.mean([look.undecided for at_s, look in found if at_s > 5]) <= 0.05
