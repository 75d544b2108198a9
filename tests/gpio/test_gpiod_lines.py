from __future__ import annotations

import errno
import os
import resource
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import GpioError
from streamer.gpio.base import InputSpec, OutputSpec
from streamer.gpio.open import open_input, open_output

if TYPE_CHECKING:
    from gpiod import Board

CHIP = "/dev/gpiochip0"
INPUT = InputSpec(chip="gpiochip0", line=3)
OUTPUT = OutputSpec(chip="gpiochip0", line=4)


def test_edges_are_told_when_they_came_in_order(gpio_board: Board) -> None:
    with closing(open_input(INPUT)) as line:
        for at_ns in (10, 30, 50):
            gpio_board.change(CHIP, 3, at_ns, high=True)
            gpio_board.change(CHIP, 3, at_ns + 5, high=False)
        assert line.wait(1.0) == [10, 30, 50]
        assert line.wait(0.0) == []


@pytest.mark.parametrize(("edge", "told"), [("rising", [10]), ("falling", [20])])
def test_only_the_edge_that_was_asked_for_counts(gpio_board: Board, edge: str, told: list[int]) -> None:
    with closing(open_input(InputSpec(chip=CHIP, line=3, edge=edge))) as line:  # type: ignore[arg-type]
        gpio_board.change(CHIP, 3, 10, high=True)
        gpio_board.change(CHIP, 3, 20, high=False)
        assert line.wait(1.0) == told


def test_of_a_debounced_line_the_change_itself_is_told(gpio_board: Board) -> None:
    with closing(open_input(InputSpec(chip=CHIP, line=3, debounce_s=0.005))) as line:
        request = gpio_board.pins[CHIP, 3].request
        assert request is not None
        assert request.settings.debounce_period.total_seconds() == 0.005
        gpio_board.change(CHIP, 3, 1_000_000_000, high=True)  # the kernel tells of it 5 ms later
        assert line.wait(1.0) == [1_000_000_000]


def test_edges_that_the_kernel_threw_away_are_said(gpio_board: Board, caplog: pytest.LogCaptureFixture) -> None:
    with closing(open_input(INPUT)) as line:
        for number in range(1_100):
            gpio_board.change(CHIP, 3, 2 * number, high=True)
            gpio_board.change(CHIP, 3, 2 * number + 1, high=False)
        assert len(line.wait(1.0)) == 1_024
    assert caplog.messages == ["line 3 of /dev/gpiochip0: 76 edges were lost before they were read"]


def test_more_files_open_than_select_can_take_are_no_matter(gpio_board: Board) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_048:
        pytest.skip("needs 2048 open files")
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2_048, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        null = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, null)
        while (number := os.dup(null)) < 1_024:
            stack.callback(os.close, number)
        stack.callback(os.close, number)
        line = stack.enter_context(closing(open_input(INPUT)))
        request = gpio_board.pins[CHIP, 3].request
        assert request is not None
        assert request.fd > 1_023
        gpio_board.change(CHIP, 3, 7, high=True)
        assert line.wait(1.0) == [7]


@pytest.mark.parametrize(("active", "levels"), [("high", [False, True, False]), ("low", [True, False, True])])
def test_an_output_is_inactive_when_opened_and_when_closed(gpio_board: Board, active: str, levels: list[bool]) -> None:
    line = open_output(OutputSpec(chip=CHIP, line=4, active=active))  # type: ignore[arg-type]
    pin = gpio_board.pins[CHIP, 4]
    assert pin.levels == levels[:1]
    line.set(active=True)
    assert pin.levels == levels[:2]
    line.close()
    assert pin.levels == levels
    line.close()
    assert pin.levels == levels


def test_a_line_that_fails_is_an_error_of_ours_and_is_given_back_all_the_same(
    gpio_board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    line = open_output(OUTPUT)
    line.set(active=True)
    gpio_board.pins[CHIP, 4].fault = errno.EIO
    with pytest.raises(GpioError, match=r"^line 4 of /dev/gpiochip0 can't be driven: Input/output error$"):
        line.set(active=False)
    line.close()
    assert "it may be active still" in caplog.text
    assert gpio_board.pins[CHIP, 4].request is None


def test_a_chip_that_vanishes_is_noticed_at_the_input(gpio_board: Board) -> None:
    with closing(open_input(INPUT)) as line:
        gpio_board.gone(CHIP, 3)
        with pytest.raises(GpioError, match="line 3 of /dev/gpiochip0 can't be read: the chip is gone"):
            line.wait(1.0)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EBUSY, "another program uses it"),
        (errno.EINVAL, "the chip can't do with this line what is asked of it"),
        (errno.ENXIO, "the chip can't tell of changes of this line"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_line_that_can_not_be_had_says_why(gpio_board: Board, code: int, said: str) -> None:
    gpio_board.pins[CHIP, 3].fault = code
    with pytest.raises(GpioError, match=f"^line 3 of /dev/gpiochip0 can't be opened: {said}"):
        open_input(INPUT)


def test_a_chip_or_a_line_that_is_not_there_says_so(gpio_board: Board) -> None:
    with pytest.raises(GpioError, match=r"line 3 of /dev/gpiochip7 can't be opened: there is no such chip"):
        open_input(InputSpec(chip="gpiochip7", line=3))
    with pytest.raises(GpioError, match=r"line 8 of /dev/gpiochip0 can't be opened: the chip has no line of that num"):
        open_output(OutputSpec(chip="gpiochip0", line=8))
    gpio_board.closed.add(CHIP)
    with pytest.raises(GpioError, match=r"no permission; your user must be in the group"):
        open_output(OUTPUT)
