"""The demo's line: it waits for its network, follows the broker, and shows each board with what was drawn on it."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from made_boards import decision, detections, drawn

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.scenes.boards import KINDS, Boards
from streamer.core.clock import FakeClock
from streamer.core.errors import EndOfStream
from streamer.demo_line import LineWatch, open_when, truth
from streamer.line_display import open_display

if TYPE_CHECKING:
    import threading

    from rich.text import Text

    from streamer.capture.scenes.shapes import SceneObject
    from streamer.tally import Tally

SPEC = SourceSpec(camera="line", url="synthetic:boards?seconds=1", delivery=Delivery.EVERY)


class Waited(FakeClock):
    """Counts the waits; something happens at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits += 1
        return super().wait(event, timeout_s)


def test_the_line_starts_when_its_network_is_ready() -> None:
    clock = Waited()
    began_ns = clock.monotonic_ns()
    opened = open_when(lambda: clock.waits >= 40, clock=clock)
    source = opened(SPEC, stopping=lambda: False, dropped=lambda *_: None)
    assert clock.waits == 40
    assert clock.monotonic_ns() - began_ns == pytest.approx(2e9)
    assert source.live
    source.close()


def test_a_line_that_is_stopped_while_it_waits_never_starts() -> None:
    clock = Waited()
    opened = open_when(lambda: False, clock=clock)
    with pytest.raises(EndOfStream):
        opened(SPEC, stopping=lambda: clock.waits >= 3, dropped=lambda *_: None)
    assert clock.waits == 3


def test_the_truth_about_a_decision_is_the_board_of_its_number() -> None:
    drawn_on, boards = truth(seed=5, rate=2.0), Boards(5, 640, 640, rate=2.0, defective=0.5)
    for number in (1, 2):
        assert drawn_on(number) == boards.truth(number - 1) == boards.at((number - 1) / 2.0).objects
    assert drawn_on(1) != drawn_on(2)


def drawn_on(number: int) -> tuple[SceneObject, ...]:
    """Odd boards are good, even ones have an open; no drawing is needed for that."""

    return drawn("open") if number % 2 == 0 else ()


def sent(watch: LineWatch, what: str, payload: object) -> None:
    watch.heard(f"streamer/line/{what}", json.dumps(payload).encode())


def unwanted() -> None:
    pytest.fail("what was to be shown was shown")


def test_each_board_is_shown_once_with_what_was_found_and_what_was_drawn() -> None:
    out = io.StringIO()
    with ExitStack() as stack:
        watch = LineWatch(open_display(out, stack), drawn_on, unread=unwanted)
        sent(watch, "status", {"state": "online"})
        sent(watch, "decision", decision(1))
        sent(watch, "detections", detections(1))
        sent(watch, "decision", decision(2, "open"))
        sent(watch, "event", {"class": "open"})
        sent(watch, "decision", decision(2, "open"))
        sent(watch, "detections", detections(2, ("open", 0.9)))
        sent(watch, "decision", decision(3, "late", late=True))
        sent(watch, "decision", decision(4, "open"))
        assert out.getvalue().count("board ") == 3
        watch.finish()
    lines = [line[10:] for line in out.getvalue().splitlines()]
    assert lines[0] == "board 1     accept   61 ms  right"
    assert lines[1] == "board 2     REJECT   61 ms  right         open 0.90  (drawn: open)"
    assert lines[2] == "board 3     REJECT   61 ms  not judged    late"
    assert lines[3] == "board 4     REJECT   61 ms  right         open  (drawn: open)"
    assert out.getvalue().splitlines()[4] == "4 boards, 3 judged in time (late 1)"
    assert watch.tally.found.total() == 1
    assert watch.tally.untold == 1  # of the last board no detections came before the end


def test_a_camera_that_was_switched_off_and_on_begins_with_the_first_board_again() -> None:
    asked: list[int] = []

    def noted(number: int) -> tuple[SceneObject, ...]:
        asked.append(number)
        return ()

    with ExitStack() as stack:
        watch = LineWatch(open_display(io.StringIO(), stack), noted, unread=unwanted)
        for number, picture in ((1, 0), (2, 1), (3, 2), (4, 0), (5, 1), (7, 3)):
            sent(watch, "decision", decision(number))
            sent(watch, "detections", detections(number) | {"frame": {"connection": number // 4, "seq": picture}})
        sent(watch, "decision", decision(8, "late", late=True))
    assert asked == [1, 2, 3, 1, 2, 4, 5]


class Full:
    """A display whose disk is full from the second board on."""

    def __init__(self) -> None:
        self.shown = 0

    def show(self, line: Text, tally: Tally) -> None:  # noqa: ARG002  the protocol's names
        self.shown += 1
        if self.shown > 1:
            raise OSError(28, "No space left on device")

    def finish(self, tally: Tally) -> None:  # noqa: ARG002  the protocol's name
        pytest.fail("nothing can be shown any more")


def test_a_line_that_nobody_can_read_is_ended_once() -> None:
    display, ends = Full(), []
    watch = LineWatch(display, drawn_on, unread=lambda: ends.append(display.shown))
    for number in range(1, 6):
        sent(watch, "decision", decision(number))
        sent(watch, "detections", detections(number))
    watch.finish()
    assert ends == [2]
    assert display.shown == 2
    assert watch.tally.boards == 5


def test_the_kinds_of_the_tally_are_those_of_the_scene() -> None:
    with ExitStack() as stack:
        assert LineWatch(open_display(io.StringIO(), stack), drawn_on, unread=unwanted).tally.kinds == KINDS
