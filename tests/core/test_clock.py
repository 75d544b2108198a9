from __future__ import annotations

import pytest

from streamer.core.clock import NS_PER_MS, NS_PER_S, FakeClock, SystemClock, utc_offset_ns


class HeldUp(FakeClock):
    """The thread is held up for so long between its next readings of the two clocks."""

    def __init__(self, pauses_ns: list[int]) -> None:
        super().__init__()
        self._pauses_ns = pauses_ns

    def utc_ns(self) -> int:
        if self._pauses_ns:
            self.advance(self._pauses_ns.pop(0) / NS_PER_S)
        return super().utc_ns()


@pytest.mark.parametrize(
    ("pauses_ms", "off_ms"), [([], 0.0), ([40], 0.0), ([40, 30], 0.0), ([40, 2, 30], 1.0), ([0.04, 40], 0.02)]
)
def test_the_offset_of_the_clocks_is_that_of_the_quickest_reading(pauses_ms: list[float], off_ms: float) -> None:
    clock = HeldUp([round(pause * NS_PER_MS) for pause in pauses_ms])
    true_ns = 1_700_000_000 * NS_PER_S - 1_000 * NS_PER_S

    assert utc_offset_ns(clock) - true_ns == pytest.approx(off_ms * NS_PER_MS, abs=1)


def test_it_takes_a_wall_clock_that_was_set() -> None:
    clock = SystemClock()
    apart_ns = clock.utc_ns() - clock.monotonic_ns()

    assert abs(utc_offset_ns(clock) - apart_ns) < NS_PER_S
