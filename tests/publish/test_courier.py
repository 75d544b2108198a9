"""What a sink without a connection does with what nobody takes, on a clock of the test's own."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until
from servers.said import Said

from streamer.core.clock import FakeClock, SystemClock
from streamer.publish.base import Message
from streamer.publish.courier import FAULT, Answer, Courier, Later, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO = Later(reason="nobody is there")


class Pauses(FakeClock):
    """Notes each wait, and lets none take any time."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return super().wait(event, timeout_s)


class Scripted(Courier):
    """Answers as it is told, and takes what comes behind that."""

    def __init__(self, *answers: Answer | Exception, clock: FakeClock | SystemClock, rng: random.Random) -> None:
        super().__init__("test", "alarm", clock=clock, rng=rng)
        self.answers = list(answers)
        self.tried: list[bytes] = []
        self.broken_off = 0

    def _attempt(self, message: Message) -> Answer:
        self.tried.append(message.payload)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _break_off(self) -> None:
        self.broken_off += 1


@pytest.fixture
def clock() -> Pauses:
    return Pauses()


@pytest.fixture
def made(clock: Pauses, seed: int) -> Iterator[Callable[..., Scripted]]:
    couriers: list[Scripted] = []

    def make(*answers: Answer | Exception) -> Scripted:
        couriers.append(Scripted(*answers, clock=clock, rng=random.Random(seed)))
        couriers[-1].start()
        return couriers[-1]

    yield make
    for courier in couriers:
        courier.close()


def message(payload: bytes = b"1") -> Message:
    return Message(topic="porch/event", payload=payload, qos=1, retain=False)


def test_one_message_at_a_time_is_on_its_way(clock: Pauses) -> None:
    courier = Scripted(clock=clock, rng=random.Random(1))  # not started: nothing is taken
    assert courier.send(message(b"1"), Said())
    assert not courier.send(message(b"2"), Said())
    courier.close()


def test_what_nobody_takes_is_tried_again_ever_more_slowly_with_jitter(
    made: Callable[..., Scripted], clock: Pauses
) -> None:
    said, courier = Said(), made(*[NO] * 9)
    assert courier.send(message(), said)
    assert said.wait() is None
    assert said.refusals == [None]
    assert courier.tried == [b"1"] * 10
    steps = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)
    assert len(clock.waits) == len(steps)
    assert all(step / 2 <= waited <= step for waited, step in zip(clock.waits, steps, strict=True))
    assert len({waited / step for waited, step in zip(clock.waits, steps, strict=True)}) > 3
    assert courier.tried_again == 9


def test_after_one_that_was_taken_the_pauses_begin_anew(made: Callable[..., Scripted], clock: Pauses) -> None:
    courier = made(NO, NO, NO, None, NO)
    for payload in (b"1", b"2"):
        said = Said()
        wait_until(lambda payload=payload, said=said: courier.send(message(payload), said), 5.0, "room")  # type: ignore[misc]
        assert said.wait() is None
    assert courier.tried == [b"1"] * 4 + [b"2"] * 2  # in order: none goes before the first
    assert clock.waits[2] >= 2.0
    assert clock.waits[3] <= 1.0


@pytest.mark.parametrize(("asked_s", "least_s", "most_s"), [(20.0, 20.0, 20.0), (0.0, 0.5, 1.0), (1e9, 3600, 3600)])
def test_a_receiver_may_ask_for_a_longer_pause(
    made: Callable[..., Scripted], clock: Pauses, asked_s: float, least_s: float, most_s: float
) -> None:
    said, courier = Said(), made(Later(reason="busy", wait_s=asked_s))
    assert courier.send(message(), said)
    assert said.wait() is None
    assert least_s <= clock.waits[0] <= most_s


def test_a_refusal_is_answered_at_once(made: Callable[..., Scripted], clock: Pauses) -> None:
    said, courier = Said(), made(Refused(reason="not this one"))
    assert courier.send(message(), said)
    assert said.wait() == "not this one"
    assert clock.waits == []
    assert courier.tried_again == 0


def test_a_fault_of_ours_is_told_once_and_harms_nobody_else(
    made: Callable[..., Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    said, courier = Said(), made(RuntimeError("a bug"), RuntimeError("a bug"))
    assert courier.send(message(), said)
    assert said.wait() is None
    assert courier.tried_again == 2
    assert len([r for r in caplog.records if r.exc_info]) == 1
    assert FAULT in caplog.text


def test_the_log_says_when_it_begins_to_take_nothing_and_when_it_takes_again(
    made: Callable[..., Scripted], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said, courier = Said(), made(NO, Later(reason="still nobody"), NO)
    assert courier.trouble() is None
    assert courier.send(message(), said)
    assert said.wait() is None
    assert courier.trouble() is None
    assert [r.message for r in caplog.records] == [
        "sink alarm: an event was not taken: nobody is there",
        "sink alarm: it takes events again",
    ]


class Deaf(Scripted):
    """Sits in what nothing breaks off: a name look-up."""

    def __init__(self, name_found: threading.Event) -> None:
        super().__init__(clock=SystemClock(), rng=random.Random(1))
        self._name_found = name_found

    def _attempt(self, message: Message) -> Answer:
        super()._attempt(message)
        self._name_found.wait(8.0)
        return NO


def test_many_that_can_not_be_broken_off_leave_in_the_time_of_one() -> None:
    name_found = threading.Event()
    couriers = [Deaf(name_found) for _ in range(5)]
    for courier in couriers:
        courier.start()
        assert courier.send(message(), Said())
    wait_until(lambda: all(courier.tried for courier in couriers), 5.0, "they sit in it")
    began_ns = time.monotonic_ns()
    for courier in couriers:
        courier.let_go()
    for courier in couriers:
        courier.close()
    assert time.monotonic_ns() - began_ns < 2_000_000_000  # 0.6 s, not 3 s
    name_found.set()


def test_the_end_cuts_a_pause_short_and_answers_nothing(seed: int) -> None:
    said = Said()
    courier = Scripted(*[NO] * 100, clock=SystemClock(), rng=random.Random(seed))
    courier.start()
    assert courier.send(message(), said)
    wait_until(lambda: courier.trouble() == NO.reason, 5.0, "tried")
    courier.close()  # the conftest sees to it that the thread has ended
    assert courier.broken_off == 1
    assert said.refusals == []
    assert courier.connection() is None
    assert not courier.send(message(), said)
