"""What a run makes of one signal, of one that arrives twice, and of a second one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from streamer.signals import Signals

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Told:
    """Counts what was asked for, and is the clock."""

    def __init__(self) -> None:
        self.stops = self.leaves = 0
        self.now_s = 100.0
        self.signals = Signals(self.leave, now=lambda: self.now_s)

    def stop(self) -> None:
        self.stops += 1

    def leave(self) -> None:
        self.leaves += 1

    def get(self, number: signal.Signals, after_s: float = 0.0) -> tuple[int, int]:
        """What is set to hear the signal hears it. None is raised: what other tests loaded may not bear one."""
        self.now_s += after_s
        handler = signal.getsignal(number)
        assert callable(handler)
        handler(number, None)
        return self.stops, self.leaves


def test_that_the_first_ends_the_run_and_a_second_one_leaves() -> None:
    told = Told()
    told.signals.tell(told.stop)
    assert told.get(signal.SIGTERM) == (1, 0)
    assert told.get(signal.SIGINT, after_s=0.5) == (1, 1)


def test_that_one_which_arrives_twice_is_one() -> None:
    told = Told()
    told.signals.tell(told.stop)
    told.get(signal.SIGTERM)
    assert told.get(signal.SIGTERM, after_s=0.002) == (1, 0)
    assert told.get(signal.SIGTERM, after_s=0.4) == (1, 0)
    assert told.get(signal.SIGTERM, after_s=0.1) == (1, 1)


def test_that_one_before_there_is_anything_to_end_is_kept() -> None:
    told = Told()
    assert told.get(signal.SIGINT) == (0, 0)
    told.signals.tell(told.stop)
    assert told.stops == 1
