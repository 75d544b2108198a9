from __future__ import annotations

import random
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.capture.usual import KeyFrames, PacketSizes, Usual, difference, differing_cells
from streamer.core.frame import Picture, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GROUP = 50  # packets from key frame to key frame


def learned(numbers: list[float], *, most: int = 200, rise: float = 0.1) -> Usual:
    usual = Usual(most=most, least=20, rise=rise)
    for number in numbers:
        usual.learn(number)
    return usual


def test_nothing_is_unusual_until_enough_is_known() -> None:
    usual = learned([1.0] * 19)
    assert not usual.known
    assert not usual.exceeds(1000.0)
    usual.learn(1.0)
    assert usual.known
    assert usual.exceeds(1.2)
    assert not usual.exceeds(1.05)


def test_what_varies_must_be_exceeded_by_more(seed: int) -> None:
    dice = random.Random(seed)
    usual = learned([dice.gauss(0, 1) for _ in range(200)])
    assert not any(usual.exceeds(dice.uniform(-3, 2)) for _ in range(100))
    assert usual.exceeds(8.0)


def test_one_odd_number_does_not_hide_the_next_one() -> None:
    usual = learned([1.0] * 100 + [50.0] + [1.0] * 60)
    assert usual.exceeds(2.0)


def test_what_has_become_usual_is_no_longer_unusual() -> None:
    usual = learned([1.0] * 100, most=100)
    assert usual.exceeds(2.0)
    for _ in range(100):
        usual.learn(2.0)
    assert not usual.exceeds(2.0)


def quiet(dice: random.Random, *, groups: int, noise: float = 0.03) -> list[tuple[int, bool]]:
    """Return sizes as rate control makes them: the first behind a key frame small, then more, wave after wave."""
    sizes = []
    for _ in range(groups):
        sizes.append((round(90_000 * dice.gauss(1, noise)), True))
        for place in range(1, GROUP):
            wave = 0.6 if place == 1 else 1 + 0.3 * (place % 7 == 0)
            sizes.append((max(20, round(3000 * wave * dice.gauss(1, noise))), False))
    return sizes


def watched(sizes: PacketSizes, packets: list[tuple[int, bool]]) -> int:
    """Let packets pass in quiet; return how many were unusual."""
    unusual = 0
    for size, key in packets:
        unusual += sizes.look(size=size, key=key)
        sizes.learn()
    return unusual


def test_waves_that_come_back_with_each_key_frame_are_usual(seed: int) -> None:
    sizes = PacketSizes()
    assert not sizes.known
    assert watched(sizes, quiet(random.Random(seed), groups=3)) <= 2
    assert sizes.known
    assert not sizes.noisy() or watched(sizes, quiet(random.Random(seed), groups=2)) <= 3
    assert watched(sizes, quiet(random.Random(seed + 1), groups=30)) <= 6  # in a minute


def test_a_packet_far_larger_is_unusual_wherever_it_stands(seed: int) -> None:
    dice = random.Random(seed)
    for place in (1, 7, 25, GROUP - 1):
        sizes = PacketSizes()
        watched(sizes, quiet(dice, groups=10))
        group = quiet(dice, groups=1)
        for size, key in group[:place]:
            sizes.look(size=size, key=key)
            sizes.learn()
        assert sizes.look(size=3 * group[place][0], key=False), place


def test_single_odd_packets_are_no_sign_however_often_they_come(seed: int) -> None:
    dice = random.Random(seed)
    sizes = PacketSizes()
    watched(sizes, quiet(dice, groups=10))
    for _ in range(20):
        odd = dice.randrange(5, GROUP)
        blip = [(round(1.4 * size) if n == odd else size, key) for n, (size, key) in enumerate(quiet(dice, groups=1))]
        assert watched(sizes, blip) <= 1


def test_a_key_frame_far_larger_is_unusual(seed: int) -> None:
    sizes = PacketSizes()
    watched(sizes, quiet(random.Random(seed), groups=10))
    assert sizes.look(size=130_000, key=True)


def test_what_adds_a_tenth_shows_in_some_packets_together(seed: int) -> None:
    dice = random.Random(seed)
    sizes = PacketSizes()
    watched(sizes, quiet(dice, groups=20, noise=0.02))
    group = quiet(dice, groups=1, noise=0.02)
    seen = [
        sizes.look(size=round(1.12 * size) if place > 20 else size, key=key) for place, (size, key) in enumerate(group)
    ]
    assert any(seen[21:36])


def test_what_moves_is_not_learned(seed: int) -> None:
    dice = random.Random(seed)
    sizes = PacketSizes()
    watched(sizes, quiet(dice, groups=10))
    for size, key in quiet(dice, groups=10):
        sizes.look(size=3 * size, key=key)
    sizes.forget()
    watched(sizes, [*quiet(dice, groups=1), (90_000, True)])
    assert sizes.look(size=6000, key=False)


def test_another_usual_size_is_learned_where_nothing_moves(seed: int) -> None:
    """Night falls: the picture is full of noise from now on."""
    dice = random.Random(seed)
    sizes = PacketSizes()
    watched(sizes, quiet(dice, groups=10))
    louder = [(size if key else 3 * size, key) for size, key in quiet(dice, groups=40)]
    assert watched(sizes, louder[: 2 * GROUP]) > 10
    watched(sizes, louder[2 * GROUP : 20 * GROUP])
    assert watched(sizes, louder[20 * GROUP :]) <= 4


def test_other_waves_are_learned_and_hide_nothing(seed: int) -> None:
    """The camera's rate control changes its mind about a place."""
    dice = random.Random(seed)
    sizes = PacketSizes()
    watched(sizes, quiet(dice, groups=10))
    other = [(2 * size if n % GROUP == 30 else size, key) for n, (size, key) in enumerate(quiet(dice, groups=30))]
    watched(sizes, other)
    assert watched(sizes, other[: 5 * GROUP]) <= 2
    assert sizes.look(size=90_000, key=True) is False
    assert not sizes.look(size=round(1.5 * 1800), key=False)  # one odd packet
    assert sizes.look(size=round(1.5 * 3000), key=False)  # and another


@pytest.mark.parametrize(("size", "noisy"), [(20, False), (3000, False), (9000, True)])
def test_large_packets_in_quiet_are_noise(size: int, noisy: bool, seed: int) -> None:  # noqa: FBT001  a parameter
    dice = random.Random(seed)
    sizes = PacketSizes()
    for _ in range(6):
        watched(sizes, [(90_000, True), *[(round(size * dice.uniform(0.9, 1.1)), False) for _ in range(49)]])
    assert sizes.noisy() is noisy


def test_a_stream_of_key_frames_alone_is_known_by_these() -> None:
    sizes = PacketSizes()
    watched(sizes, [(50_000 + n % 3, True) for n in range(20)])
    assert sizes.known
    assert sizes.noisy()  # so they are looked at often
    assert sizes.look(size=60_000, key=True)


def wall(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 1, (90, 160)).astype(np.float32)
    levels: NDArray[np.uint8] = (110 + 150 * cv2.GaussianBlur(noise, (0, 0), 4)).clip(20, 200).astype(np.uint8)
    return levels


def noisy(luma: NDArray[np.uint8], rng: np.random.Generator, deviation: float = 0.7) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = (luma + rng.normal(0, deviation, luma.shape)).clip(0, 255).round().astype(np.uint8)
    return levels


def darker(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (luma.astype(np.float32) * 0.7).astype(np.uint8)


def with_box(luma: NDArray[np.uint8], *, height: int, width: int) -> NDArray[np.uint8]:
    changed: NDArray[np.uint8] = luma.copy()
    changed[40 : 40 + height, 70 : 70 + width] = np.where(changed[40 : 40 + height, 70 : 70 + width] > 110, 60, 160)
    return changed


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        (lambda luma: luma, 0, 0),
        (darker, 0, 20),
        (lambda luma: with_box(luma, height=5, width=2), 6, 10),
        (lambda luma: with_box(darker(luma), height=20, width=8), 120, 200),
        (lambda luma: np.flip(luma, axis=1), 1000, 14400),
    ],
    ids=["noise", "a cloud", "someone far away", "someone under a cloud", "the camera moved"],
)
def test_cells_that_differ(
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], least: int, most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before = wall(seed)
    away = difference(noisy(before, rng), noisy(change(before), rng))
    assert least <= differing_cells(away, np.zeros_like(away)) <= most


def picture(luma: NDArray[np.uint8]) -> Picture:
    return Picture(format=PixelFormat.GRAY, planes=(luma,), width=luma.shape[1], height=luma.shape[0])


def test_a_key_frame_that_shows_something_new_differs(seed: int) -> None:
    rng, keys, still = np.random.default_rng(seed), KeyFrames(), wall(seed)
    keys.begin(picture(noisy(still, rng)))
    for _ in range(10):
        assert not keys.look(picture(noisy(still, rng)))
        keys.learn()
    assert keys.look(picture(with_box(still, height=5, width=2)))


def test_what_was_taken_for_motion_and_was_none_is_usual_later(seed: int) -> None:
    """Leaves begin to sway. Someone far away beside them still differs, and so does someone large before them."""
    rng, keys, still = np.random.default_rng(seed), KeyFrames(), wall(seed)

    def swaying() -> NDArray[np.uint8]:
        leaves: NDArray[np.uint8] = still.copy()
        leaves[:30, :40] = np.roll(leaves[:30, :40], int(rng.integers(8)), axis=1)
        return leaves

    def wakes(looks: int) -> int:
        woken = 0
        for _ in range(looks):
            woken += keys.look(picture(noisy(swaying(), rng)))
            keys.learn()
        return woken

    keys.begin(picture(swaying()))
    assert 1 <= wakes(40) <= 16
    assert wakes(40) <= 12
    assert keys.look(picture(with_box(noisy(swaying(), rng), height=8, width=4)))
    keys.forget()
    assert keys.look(picture(with_box(noisy(swaying(), rng), height=40, width=16)))


def test_another_size_of_the_picture_differs(seed: int) -> None:
    keys = KeyFrames()
    keys.begin(picture(wall(seed)))
    assert keys.look(picture(wall(seed)[:, :120].copy()))
    keys.learn()
    assert not keys.look(picture(wall(seed)[:, :120].copy()))
