from __future__ import annotations

import random

import pytest

from streamer.pipeline.cadence import Cadence


def taken(fps: float, times_s: list[float]) -> list[float]:
    cadence = Cadence(fps)
    return [t for t in times_s if cadence.takes(round(t * 1e9))]


def test_zero_takes_each_frame() -> None:
    assert len(taken(0, [i / 25 for i in range(100)])) == 100


@pytest.mark.parametrize("jitter_s", [0.0, 0.015])
def test_the_mean_rate_is_what_was_asked_for_in_spite_of_jitter(jitter_s: float) -> None:
    rng = random.Random(1)
    times = [i / 25 + rng.uniform(-jitter_s, jitter_s) for i in range(2500)]
    assert len(taken(5, times)) == pytest.approx(500, abs=1)


def test_a_slower_camera_is_looked_at_in_full() -> None:
    assert len(taken(5, [i / 3 for i in range(30)])) == 30


def test_a_jump_of_the_clock_either_way_begins_anew() -> None:
    assert taken(1, [100.0, 100.5, 50.0, 50.5, 51.0, 900.0, 900.5]) == [100.0, 50.0, 51.0, 900.0]
