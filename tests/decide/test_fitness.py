from __future__ import annotations

import pytest

from streamer.core.clock import NS_PER_MS
from streamer.core.decision import Doubt
from streamer.decide.fitness import Fitness
from streamer.pixels.quality import Quality


def seen(
    fitness: Fitness, *, at_ms: int, brightness: float = 0.5, sharpness: float = 2.0, same: bool = False
) -> Doubt | None:
    fingerprint = 1 if same else at_ms + 2
    return fitness.check(
        Quality(brightness=brightness, sharpness=sharpness, fingerprint=fingerprint), at_ms * NS_PER_MS
    )


def test_a_dark_picture_is_doubted_from_the_first_one_on() -> None:
    fitness = Fitness(dark=0.1)

    assert seen(fitness, at_ms=0, brightness=0.09) is Doubt.DARK
    assert seen(fitness, at_ms=50, brightness=0.1) is None


def test_blurred_is_relative_to_the_median_and_says_nothing_of_the_first_few() -> None:
    fitness = Fitness(blurred=0.3)
    first = [seen(fitness, at_ms=50 * n, sharpness=s) for n, s in enumerate([0.1, 2, 2, 2, 50, 2, 2, 2])]

    assert first == [None] * 8
    assert seen(fitness, at_ms=500, sharpness=0.59) is Doubt.BLURRED
    assert seen(fitness, at_ms=550, sharpness=0.61) is None


def test_a_blurred_picture_never_becomes_the_usual_one() -> None:
    fitness = Fitness(blurred=0.3)
    for n in range(20):
        assert seen(fitness, at_ms=50 * n) is None

    assert {seen(fitness, at_ms=50 * n, sharpness=0.5) for n in range(20, 500)} == {Doubt.BLURRED}
    assert seen(fitness, at_ms=50 * 500) is None


def test_what_is_usual_follows_slow_changes() -> None:
    fitness = Fitness(blurred=0.3)

    assert {seen(fitness, at_ms=50 * n, sharpness=8 * 0.995**n) for n in range(1000)} == {None}


def test_the_same_picture_for_longer_than_a_while_is_frozen() -> None:
    fitness = Fitness(frozen_s=1.0)
    seen(fitness, at_ms=0)

    assert [seen(fitness, at_ms=at_ms, same=True) for at_ms in (50, 550, 1050)] == [None, None, None]
    assert seen(fitness, at_ms=1051, same=True) is Doubt.FROZEN
    assert seen(fitness, at_ms=1100) is None
    assert seen(fitness, at_ms=1150, same=True) is None  # its time begins anew


def test_where_only_items_are_seen_the_picture_of_the_one_before_is_doubted_at_once() -> None:
    fitness = Fitness(frozen_s=1.0, each_frame=False)

    assert seen(fitness, at_ms=0, same=True) is None
    assert seen(fitness, at_ms=50, same=True) is Doubt.FROZEN
    assert seen(fitness, at_ms=100) is None


def test_a_frozen_picture_is_noticed_behind_dark_ones() -> None:
    fitness = Fitness()

    assert seen(fitness, at_ms=0, brightness=0.0, same=True) is Doubt.DARK
    assert seen(fitness, at_ms=1500, same=True) is Doubt.FROZEN


def test_zero_turns_each_doubt_off() -> None:
    fitness = Fitness(dark=0, blurred=0, frozen_s=0, each_frame=False)
    for n in range(20):
        assert seen(fitness, at_ms=n) is None

    assert seen(fitness, at_ms=90_000, brightness=0.0, sharpness=0.0, same=True) is None
    assert seen(fitness, at_ms=99_000, brightness=0.0, sharpness=0.0, same=True) is None


@pytest.mark.parametrize("wrong", [{"dark": -0.1}, {"blurred": 1.1}, {"frozen_s": -1.0}])
def test_a_value_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Fitness(dark=wrong.get("dark", 0), blurred=wrong.get("blurred", 0), frozen_s=wrong.get("frozen_s", 0))
