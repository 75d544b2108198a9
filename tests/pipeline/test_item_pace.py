"""A model that is too slow for its items: fewer at once, and those that can't be in time are passed over."""

from __future__ import annotations

from collections import deque

import pytest

from streamer.core.clock import NS_PER_MS, FakeClock
from streamer.pipeline.pace import Pace

WITHIN = 300 * NS_PER_MS


def test_that_a_model_for_which_no_item_waits_takes_what_there_is() -> None:
    pace = Pace(None, clock=FakeClock())
    pace.took(10**10, 8)
    assert pace.most(8) == 8
    assert pace.missed(None) is None


def test_that_batches_grow_while_they_are_fast_and_shrink_when_they_are_not() -> None:
    pace = Pace(WITHIN, clock=FakeClock())
    grown = []
    for _ in range(9):
        grown.append(pace.most(8))
        pace.took(20 * NS_PER_MS, grown[-1])
    assert grown == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    pace.took(100 * NS_PER_MS, 8)
    assert pace.most(8) == 4
    pace.took(20 * NS_PER_MS, 2)  # it was no full one: it tells nothing of a larger
    assert pace.most(8) == 4
    for _ in range(3):
        pace.took(2000 * NS_PER_MS, pace.most(8))
    assert pace.most(8) == 1


def test_that_what_is_decided_is_passed_over_and_what_would_be_late_too() -> None:
    clock = FakeClock()
    pace = Pace(WITHIN, clock=clock)
    pace.begun()
    pace.took(80 * NS_PER_MS, 1)
    now = clock.monotonic_ns()
    assert pace.missed(0) == "decided"
    assert pace.missed(now) == "decided"
    assert pace.missed(now + 99 * NS_PER_MS) == "no_time"  # a quarter more than the model takes
    assert pace.missed(now + 100 * NS_PER_MS) is None
    assert pace.missed(None) is None


def test_that_a_hang_spoils_nothing_and_a_model_that_seems_too_slow_is_tried_again() -> None:
    clock = FakeClock()
    pace = Pace(WITHIN, clock=clock)
    for took_ms in (40, 40, 40, 3000, 3000):
        pace.took(took_ms * NS_PER_MS, 1)
    pace.begun()
    assert pace.missed(clock.monotonic_ns() + 60 * NS_PER_MS) is None
    pace.took(3000 * NS_PER_MS, 1)
    assert pace.missed(clock.monotonic_ns() + 290 * NS_PER_MS) == "no_time"
    clock.advance(0.25)
    assert pace.missed(clock.monotonic_ns() + 290 * NS_PER_MS) is None


@pytest.mark.parametrize("takes_ms", [70, 110])
def test_that_a_model_that_is_too_slow_for_a_line_is_in_time_for_what_it_can_look_at(takes_ms: int) -> None:
    """A line of 20 items a second for 20 s, and a model that looks at one at a time."""
    clock = FakeClock()
    pace = Pace(WITHIN, clock=clock)
    waiting: deque[int] = deque()
    in_time = offered = 0
    start = clock.monotonic_ns()
    while offered < 400:
        while start + offered * 50 * NS_PER_MS <= clock.monotonic_ns():
            waiting.append(start + offered * 50 * NS_PER_MS + WITHIN)
            offered += 1
        due_ns = waiting.popleft() if waiting else 0
        if not due_ns or pace.missed(due_ns):
            clock.advance(0.001)
            continue
        pace.begun()
        clock.advance(takes_ms / 1e3)
        pace.took(takes_ms * NS_PER_MS, 1)
        in_time += clock.monotonic_ns() < due_ns
    assert in_time >= 0.9 * 20_000 / takes_ms
