from __future__ import annotations

import pytest

from streamer.core.clock import FakeClock
from streamer.core.errors import GpioError
from streamer.gpio.memory_lines import MemoryInput, MemoryOutput


def test_an_input_gives_its_edges_once_in_order() -> None:
    line = MemoryInput()
    line.edge(1)
    line.edge(2)
    assert line.wait(0.0) == [1, 2]
    assert line.wait(0.0) == []
    line.fail("the wire is cut")
    with pytest.raises(GpioError, match="the wire is cut"):
        line.wait(0.0)


def test_an_output_keeps_what_it_was_told_and_ends_inactive() -> None:
    clock = FakeClock(monotonic_ns=0)
    line = MemoryOutput(clock.monotonic_ns)
    clock.advance(1e-9)
    line.set(active=True)
    assert line.active
    clock.advance(1e-9)
    line.close()
    line.close()
    assert line.told == [(0, False), (1, True), (2, False)]
    assert line.closed


def test_an_output_that_fails_raises_and_can_be_closed() -> None:
    line = MemoryOutput()
    line.set(active=True)
    line.failure = "stuck"
    with pytest.raises(GpioError, match="stuck"):
        line.set(active=False)
    line.close()
    assert line.active
