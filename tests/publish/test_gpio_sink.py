"""The sink that pulses a line, on a clock of the test's own: what is due is done in order and at its moment."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from servers.broker import wait_until

from streamer.core.clock import NS_PER_MS, NS_PER_S, FakeClock, SystemClock
from streamer.core.errors import GpioError
from streamer.gpio.memory_lines import MemoryOutput
from streamer.publish.base import Message
from streamer.publish.gpio import MOST_PULSES, GpioPlan, GpioSink, open_gpio

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

BEGAN_NS = FakeClock().monotonic_ns()


def decision(verdict: str, at_ns: int | None = None, item: str = "1") -> Message:
    payload = json.dumps({"item": item, "verdict": verdict, "reason": None}).encode()
    return Message(topic="line/decision", payload=payload, qos=1, retain=False, at_ns=at_ns)


class Script(FakeClock):
    """A clock on which each step of a script happens in the very moment it is meant for, while the sink waits."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[tuple[int, Callable[[], object]]] = []

    def at(self, at_s: float, step: Callable[[], object]) -> None:
        self._steps.append((BEGAN_NS + round(at_s * NS_PER_S), step))
        self._steps.sort(key=lambda timed: timed[0])

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        until_ns = self.monotonic_ns() + round(timeout_s * NS_PER_S)
        if self._steps and self._steps[0][0] <= until_ns:
            at_ns, step = self._steps.pop(0)
            self.advance((at_ns - self.monotonic_ns()) / NS_PER_S)
            step()
            return event.is_set()
        return super().wait(event, timeout_s)


@dataclass
class Rig:
    """A sink over a line of memory, and what it says."""

    delay_s: float = 0.0
    pulse_s: float = 0.1
    clock: Script = field(default_factory=Script)
    alarms: list[str | None] = field(default_factory=list)
    answers: list[tuple[str, str | None]] = field(default_factory=list)
    lines: list[MemoryOutput] = field(default_factory=list)
    absent: str | None = None  # set: the line can't be opened
    broken: str | None = None  # set: a line that is opened can't be driven
    beats: int = 0

    def __post_init__(self) -> None:
        plan = GpioPlan(
            name="line",
            open_output=self._open,
            delay_s=self.delay_s,
            pulse_s=self.pulse_s,
            alarm=self.alarms.append,
            beat=self._beat,
        )
        self.sink = GpioSink(plan, clock=self.clock)

    def _open(self) -> MemoryOutput:
        if self.absent is not None:
            raise GpioError(self.absent)
        self.lines.append(MemoryOutput(self.clock.monotonic_ns))
        self.lines[-1].failure = self.broken
        return self.lines[-1]

    def _beat(self) -> None:
        self.beats += 1

    def send(self, verdict: str, at_s: float | None = None, item: str = "1") -> None:
        at_ns = None if at_s is None else BEGAN_NS + round(at_s * NS_PER_S)
        assert self.sink.send(decision(verdict, at_ns, item), lambda why: self.answers.append((item, why)))

    def run(self, until_s: float) -> None:
        """Let the sink's own loop run, in this thread, until the script's end."""
        self.clock.at(until_s, self.sink.close)
        self.sink._run()

    def edges(self, line: int = 0) -> list[tuple[float, bool]]:
        """When the line has changed, s since the start; without the opening and what changed nothing."""
        told = self.lines[line].told
        changed = [now for before, now in pairwise(told) if before[1] != now[1]]
        return [(round((at_ns - BEGAN_NS) / NS_PER_S, 6), active) for at_ns, active in changed]


def test_a_reject_is_pulsed_its_delay_after_its_item_and_an_accept_is_not() -> None:
    rig = Rig(delay_s=1.0)
    rig.clock.at(10.08, lambda: rig.send("reject", at_s=10.0, item="a"))
    rig.clock.at(10.13, lambda: rig.send("accept", at_s=10.05, item="b"))
    rig.run(20.0)
    assert rig.edges() == [(11.0, True), (11.1, False)]
    assert rig.answers == [("b", None), ("a", None)]
    assert rig.alarms == []
    assert (rig.sink.given, rig.sink.missed) == (1, 0)


def test_without_a_delay_it_is_pulsed_when_the_verdict_comes() -> None:
    rig = Rig(delay_s=0.0, pulse_s=0.2)
    rig.clock.at(3.0, lambda: rig.send("reject", at_s=1.0))
    rig.run(20.0)
    assert rig.edges() == [(3.0, True), (3.2, False)]


def test_without_a_moment_of_its_own_the_delay_runs_from_the_verdict() -> None:
    rig = Rig(delay_s=0.5)
    rig.clock.at(3.0, lambda: rig.send("reject"))
    rig.run(20.0)
    assert rig.edges() == [(3.5, True), (3.6, False)]


def test_pulses_that_overlap_are_one() -> None:
    rig = Rig(delay_s=1.0)
    for at_s in (5.0, 5.06, 5.1, 5.3):
        rig.clock.at(at_s + 0.05, lambda at_s=at_s: rig.send("reject", at_s=at_s))  # type: ignore[misc]
    rig.run(20.0)
    assert rig.edges() == [(6.0, True), (6.2, False), (6.3, True), (6.4, False)]
    assert [why for _, why in rig.answers] == [None] * 4


def test_a_verdict_that_comes_within_its_pulse_gives_the_rest_of_it() -> None:
    rig = Rig(delay_s=0.2)
    rig.clock.at(5.25, lambda: rig.send("reject", at_s=5.0))
    rig.run(20.0)
    assert rig.edges() == [(5.25, True), (5.3, False)]


def test_a_verdict_that_comes_too_late_hits_no_other_item_and_is_an_alarm_until_one_is_given() -> None:
    rig = Rig(delay_s=0.2)
    rig.clock.at(5.4, lambda: rig.send("reject", at_s=5.0, item="late"))
    rig.clock.at(7.1, lambda: rig.send("reject", at_s=7.0, item="good"))
    rig.run(20.0)
    assert rig.edges() == [(7.2, True), (7.3, False)]
    ((late, why), good) = rig.answers
    assert late == "late"
    assert why is not None
    assert "after its item had passed" in why
    assert good == ("good", None)
    assert rig.alarms == [why, None]
    assert (rig.sink.given, rig.sink.missed) == (1, 1)


def test_a_line_that_is_not_there_is_an_alarm_and_used_once_it_is() -> None:
    rig = Rig(delay_s=1.0, absent="there is no such chip")
    rig.clock.at(1.0, lambda: rig.send("reject", at_s=1.0, item="lost"))
    rig.clock.at(3.5, lambda: rig.send("reject", at_s=3.4, item="in time"))
    rig.clock.at(3.6, lambda: setattr(rig, "absent", None))
    rig.clock.at(4.2, lambda: rig.answers.append(("connection", str(rig.sink.connection()))))
    rig.run(20.0)
    assert rig.alarms == ["there is no such chip", None]
    assert rig.answers == [("lost", "there is no such chip"), ("connection", "0"), ("in time", None)]
    assert rig.edges() == [(4.4, True), (4.5, False)]


def test_a_line_that_is_back_is_opened_for_the_first_reject_that_is_due() -> None:
    rig = Rig(absent="there is no such chip")
    rig.clock.at(3.1, lambda: setattr(rig, "absent", None))
    rig.clock.at(3.2, lambda: rig.send("reject"))
    rig.run(20.0)
    assert rig.edges() == [(3.2, True), (3.3, False)]
    assert rig.alarms == ["there is no such chip", None]


def test_an_absent_line_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(absent="there is no such chip")
    for at_s in range(1, 30):
        rig.clock.at(at_s, lambda: rig.send("reject"))
    rig.run(30.0)
    assert rig.alarms == ["there is no such chip"]
    assert caplog.messages == ["gpio: the output of line gives no rejects: there is no such chip"]
    assert rig.sink.missed == 29


def test_a_write_that_fails_is_an_alarm_and_done_on_the_line_opened_anew_at_once() -> None:
    rig = Rig(delay_s=0.0)
    rig.clock.at(1.0, lambda: setattr(rig.lines[0], "failure", "Input/output error"))
    rig.clock.at(2.0, lambda: rig.send("reject"))
    rig.run(20.0)
    assert rig.lines[0].closed
    assert rig.edges(line=1) == [(2.0, True), (2.1, False)]
    assert rig.answers == [("1", None)]
    assert rig.alarms == ["Input/output error", None]


def test_a_reject_that_is_never_shown_is_refused_and_an_alarm_until_one_is() -> None:
    rig = Rig(delay_s=0.0)

    def fail() -> None:
        rig.lines[0].failure = "Input/output error"
        rig.absent = "the chip is gone"

    rig.clock.at(1.0, fail)
    rig.clock.at(2.0, lambda: rig.send("reject", item="refused"))
    rig.clock.at(2.5, lambda: setattr(rig, "absent", None))
    rig.clock.at(5.0, lambda: rig.answers.append(("still", rig.sink.trouble())))  # the line is there again, and
    rig.clock.at(6.0, lambda: rig.send("reject", item="given"))
    rig.run(20.0)
    assert rig.answers == [("refused", "the chip is gone"), ("still", "the chip is gone"), ("given", None)]
    assert rig.edges(line=1) == [(6.0, True), (6.1, False)]
    assert rig.alarms == ["Input/output error", "the chip is gone", None]
    assert (rig.sink.given, rig.sink.missed) == (1, 1)


def test_a_line_that_comes_back_within_a_pulse_shows_the_rest_of_it() -> None:
    rig = Rig(delay_s=0.0, pulse_s=2.0, absent="the chip is gone")
    rig.clock.at(1.3, lambda: rig.send("reject"))
    rig.clock.at(1.4, lambda: setattr(rig, "absent", None))
    rig.run(20.0)
    ((rise_s, _), (fall_s, _)) = rig.edges()
    assert 1.4 < rise_s <= 2.4
    assert fall_s == 3.3
    assert rig.answers == [("1", None)]


def test_a_line_that_can_not_be_made_inactive_is_opened_anew_at_once_which_does_it() -> None:
    rig = Rig()
    rig.clock.at(1.0, lambda: rig.send("reject"))

    def fail() -> None:
        rig.lines[0].failure = "stuck"

    rig.clock.at(1.05, fail)
    rig.run(20.0)
    assert len(rig.lines) == 2
    assert rig.lines[1].told[0] == (BEGAN_NS + round(1.1 * NS_PER_S), False)
    assert rig.alarms == ["stuck", None]


def test_a_line_that_opens_and_can_never_be_driven_is_tried_once_a_second() -> None:
    rig = Rig(broken="read-only")
    rig.run(10.0)
    assert rig.alarms == ["read-only"]
    assert 8 <= len(rig.lines) <= 12
    assert all(line.closed for line in rig.lines)


def test_at_the_end_what_is_due_soon_is_given_and_the_rest_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(delay_s=2.0)
    rig.clock.at(9.0, lambda: rig.send("reject", at_s=8.5, item="soon"))  # due at 10.5
    rig.clock.at(9.9, lambda: rig.send("reject", at_s=9.8, item="later"))  # due at 11.8
    rig.run(10.0)
    assert rig.edges() == [(10.5, True), (10.6, False)]
    assert rig.answers == [("soon", None), ("later", "the run ended before its moment")]
    assert rig.lines[0].closed
    assert not rig.lines[0].active
    assert "1 rejects of line were not given" in caplog.text
    assert not rig.sink.send(decision("reject"), lambda _: None)


def test_a_pulse_that_runs_at_the_end_goes_on_for_a_second_at_most() -> None:
    rig = Rig(pulse_s=10.0)
    rig.clock.at(2.0, lambda: rig.send("reject"))
    rig.clock.at(3.2, lambda: None)  # wakes it in between
    rig.run(3.0)
    assert rig.edges() == [(2.0, True), (4.0, False)]


def test_what_is_no_decision_is_refused_and_what_is_none_of_its_business_is_taken() -> None:
    rig = Rig()
    told: list[str | None] = []
    for payload in (b"", b"7", b"[]", b"{}", b"\xff", b'{"verdict": null}', b'{"verdict": "perhaps"}'):
        assert rig.sink.send(Message(topic="line/decision", payload=payload, qos=1, retain=False), told.append)
    assert told[:5] == ["not a decision"] * 5
    assert told[5:] == [f"not a verdict: {verdict!r}; allowed: accept, reject" for verdict in (None, "perhaps")]
    assert rig.sink.send(Message(topic="line/event", payload=b"7", qos=1, retain=False), told.append)
    assert told[7:] == [None]


def test_what_waits_is_bounded() -> None:
    rig = Rig(delay_s=1_000.0)
    for _ in range(MOST_PULSES):
        rig.send("reject", at_s=0.0)
    assert not rig.sink.send(decision("reject", BEGAN_NS), lambda _: None)
    rig.send("accept")
    rig.run(5.0)
    assert rig.beats >= 5
    assert rig.alarms == [f"more than {MOST_PULSES} rejects wait for their moment: `delay` is too long"]
    assert rig.sink.missed == 1 + MOST_PULSES


def test_a_fault_leaves_the_line_inactive_and_is_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(pulse_s=1.0)

    def wrong(_why: str | None) -> None:
        raise RuntimeError("a fault of ours")

    rig.clock.at(1.0, lambda: rig.sink.send(decision("reject"), wrong))
    rig.run(5.0)
    assert rig.edges() == [(1.0, True), (1.0, False)]
    assert rig.alarms == ["a fault has ended the output; see the log"]
    assert "a fault of ours" in caplog.text
    assert rig.sink.connection() is None
    assert not rig.sink.send(decision("reject"), lambda _: None)


def test_thousands_of_items_are_pulsed_in_order_each_at_its_moment(seed: int) -> None:
    rng = random.Random(seed)
    rig = Rig(delay_s=1.5, pulse_s=0.02)
    due: list[float] = []
    for number in range(4_000):  # 20 a second, decided up to 0.25 s later, out of order
        at_s = 1.0 + number * 0.05
        verdict = rng.choice(["accept", "reject"])
        if verdict == "reject":
            due.append(round(at_s + 1.5, 6))
        decided_s = at_s + rng.uniform(0.0, 0.25)
        rig.clock.at(decided_s, lambda v=verdict, a=at_s, n=number: rig.send(v, at_s=a, item=str(n)))  # type: ignore[misc]
    rig.run(230.0)
    edges = rig.edges()
    assert [active for _, active in edges] == [True, False] * len(due)
    for (rise_s, _), (fall_s, _), due_s in zip(edges[::2], edges[1::2], due, strict=True):
        assert abs(rise_s - due_s) <= 0.001
        assert abs(fall_s - due_s - 0.02) <= 0.001
    rejected = [int(item) for item, why in rig.answers if why is None]
    assert len(rejected) == 4_000
    assert rig.alarms == []


def test_on_the_real_clock_no_pulse_is_early_and_none_is_lost() -> None:
    lines: list[MemoryOutput] = []

    def opened() -> MemoryOutput:
        lines.append(MemoryOutput())
        return lines[-1]

    clock = SystemClock()
    plan = GpioPlan(name="line", open_output=opened, delay_s=0.1, pulse_s=0.3, alarm=lambda _: None)
    sink = open_gpio(plan, clock=clock)
    wait_until(lambda: sink.connection() == 0, 5.0, "open")
    began_ns = clock.monotonic_ns()
    moments = [began_ns + number * 400 * NS_PER_MS for number in range(5)]
    answered = threading.Semaphore(0)
    for at_ns in moments:
        assert sink.send(decision("reject", at_ns), lambda why: answered.release() if why is None else None)
    for _ in moments:
        assert answered.acquire(timeout=5.0)
    sink.close()
    rises_ns = [at_ns for at_ns, active in lines[0].told if active]
    for rise_ns, at_ns in zip(rises_ns, moments, strict=True):
        assert rise_ns >= at_ns + 100 * NS_PER_MS
    assert not lines[0].active
