from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter, deque
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from factory_line import CAMERA, OPEN, SHORT, EventClock, found, frame, info, plan

from streamer.core.clock import NS_PER_MS, NS_PER_S, FakeClock, SystemClock
from streamer.core.decision import Decision, Doubt, Verdict
from streamer.decide.items import Items
from streamer.pipeline.decide_loop import DecidePlan, Deciding
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Detections

PERIOD_NS = NS_PER_S // 20
DEADLINE_NS = NS_PER_S // 5
LATE_NS = 20 * NS_PER_MS  # what the contract of the line allows behind a deadline


class Told:
    """What the decide thread handed out, and when."""

    def __init__(self, clock: FakeClock | SystemClock) -> None:
        self._clock = clock
        self.rows: list[tuple[Decision, int]] = []
        self.enough = threading.Event()
        self.wanted = -1

    def __call__(self, decision: Decision) -> None:
        self.rows.append((decision, self._clock.monotonic_ns()))
        if len(self.rows) == self.wanted:
            self.enough.set()

    def decisions(self) -> list[Decision]:
        return [decision for decision, _ in self.rows]


def test_decisions_of_each_camera_leave_in_order_when_they_are_made_and_at_the_latest_at_the_deadline() -> None:
    clock = EventClock()
    start_ns = clock.monotonic_ns()
    belts = {name: Items(plan(), clock=clock) for name in "ab"}
    told = Told(clock)
    deciding = Deciding(DecidePlan(items=belts, decided=told), clock=clock, beat=lambda: None)

    def at(ms: int) -> int:
        return start_ns + ms * NS_PER_MS

    for ms, name in ((0, "a"), (10, "b"), (50, "a")):
        clock.at(at(ms), partial(belts[name].captured, frame(ms, at(ms))))
    clock.at(at(70), lambda: belts["b"].result(info(10, 0), found((SHORT, 0.9))))
    clock.at(at(90), lambda: belts["a"].result(info(50, 0), found()))
    clock.at(at(900), deciding.stop)
    deciding.loop()

    assert [(d.number, d.reason, (now - start_ns) // NS_PER_MS) for d, now in told.rows] == [
        (1, "short", 70),
        (1, "late", 200),
        (2, None, 200),
    ]


def test_a_stop_hands_out_what_is_open_before_the_thread_ends() -> None:
    items = Items(plan(each_frame=False), clock=SystemClock())
    told = Told(SystemClock())
    deciding = Deciding(DecidePlan(items={CAMERA: items}, decided=told), clock=SystemClock(), beat=lambda: None)
    worker = Worker("decide", deciding.loop)
    worker.start()
    items.trigger("a", time.monotonic_ns())
    items.trigger("b", time.monotonic_ns())
    deciding.stop()

    assert worker.join(5)
    assert worker.failure is None
    assert [(d.item, d.verdict, d.reason) for d in told.decisions()] == [
        ("a", Verdict.REJECT, "failed"),
        ("b", Verdict.REJECT, "failed"),
    ]
    with pytest.raises(ValueError, match="the run ends"):
        items.trigger("c", time.monotonic_ns())


def test_the_loop_ends_with_the_last_recording() -> None:
    clock = EventClock()
    belts = {name: Items(plan(live=False), clock=clock) for name in "ab"}
    told = Told(clock)
    deciding = Deciding(DecidePlan(items=belts, decided=told), clock=clock, beat=lambda: None)
    start_ns = clock.monotonic_ns()
    belts["a"].captured(frame(0, 0, live=False))
    belts["b"].captured(frame(0, 0, live=False))
    clock.at(start_ns + NS_PER_S, belts["a"].end)
    clock.at(start_ns + 90 * NS_PER_S, lambda: belts["b"].result(info(0, 0, live=False), found()))
    clock.at(start_ns + 91 * NS_PER_S, belts["b"].end)
    deciding.loop()

    assert [(d.reason, d.late) for d in told.decisions()] == [("failed", False), (None, False)]
    assert clock.monotonic_ns() - start_ns == 91 * NS_PER_S


def test_the_loop_beats_while_nothing_is_due() -> None:
    clock = FakeClock()
    beats: list[int] = []

    def beat() -> None:
        beats.append(clock.monotonic_ns())
        if len(beats) == 10:
            deciding.stop()

    belt = DecidePlan(items={CAMERA: Items(plan(), clock=clock)}, decided=lambda _: None)
    deciding = Deciding(belt, clock=clock, beat=beat)
    deciding.loop()

    assert all(later - earlier <= NS_PER_S // 2 for earlier, later in pairwise(beats))


def test_a_receiver_that_fails_ends_the_thread_with_its_failure() -> None:
    def refuse(_: Decision) -> None:
        raise RuntimeError("no room")

    clock = SystemClock()
    items = Items(plan(each_frame=False, deadline_s=0.01), clock=clock)
    deciding = Deciding(DecidePlan(items={CAMERA: items}, decided=refuse), clock=clock, beat=lambda: None)
    worker = Worker("decide", deciding.loop)
    items.trigger("a", clock.monotonic_ns())
    worker.start()

    assert worker.join(5)
    assert isinstance(worker.failure, RuntimeError)


# --- the drill: 10,000 items at 20 a second, on a clock of the test's own


class DrilledLine:
    """A belt, a camera and one model that hangs, fails and is slow at random; all within the clock's events.

    Frames wait in order for the model, for 2 s at most, as in a lane of the frame queue.
    """

    def __init__(self, seed: int, *, items: int, otherwise: Verdict) -> None:
        self._random = random.Random(seed)
        self.clock = EventClock()
        self._start_ns = self.clock.monotonic_ns()
        self.items = Items(plan(otherwise=otherwise), clock=self.clock)
        self._left = items
        self._seq = 0
        self._waiting: deque[FrameInfo] = deque()
        self._busy = False
        self.saw: dict[int, tuple[int, bool]] = {}  # item -> when it was judged, and whether it was good
        self.hangs: list[tuple[int, int]] = []  # from when to when
        self.fates: Counter[str] = Counter()
        self.clock.at(self._start_ns, self._capture)

    def _capture(self) -> None:
        captured_ns = self._start_ns + self._seq * PERIOD_NS
        shot = frame(self._seq, captured_ns)
        self._seq += 1
        self._left -= 1
        if self._left:
            self.clock.at(self._start_ns + self._seq * PERIOD_NS, self._capture)
        assert self.items.captured(shot)
        if self._waiting and captured_ns - self._waiting[0].captured_ns > 2 * NS_PER_S:
            self.fates["overrun"] += 1
            self.items.lost(shot.info, Doubt.OVERRUN)
            return
        self._waiting.append(shot.info)
        self._infer()

    def _infer(self) -> None:
        """Let the model take the next frame that somebody still wants."""
        while not self._busy and self._waiting:
            about = self._waiting.popleft()
            if self.items.due_ns(about) == 0:
                self.fates["passed over"] += 1
                continue
            self._busy = True
            now_ns = self.clock.monotonic_ns()
            fate = self._random.choices(["usual", "slow", "failed", "hung"], [0.955, 0.03, 0.01, 0.005])[0]
            seconds = {"usual": (0.01, 0.06), "slow": (0.1, 0.5), "failed": (0.01, 0.3), "hung": (2.0, 9.0)}[fate]
            end_ns = now_ns + round(self._random.uniform(*seconds) * NS_PER_S)
            self.fates[fate] += 1
            if fate == "hung":
                self.hangs.append((now_ns, end_ns))
            self.clock.at(end_ns, partial(self._answer, about, fate))

    def _answer(self, about: FrameInfo, fate: str) -> None:
        self._busy = False
        if fate == "failed":
            self.items.lost(about, Doubt.FAILED)
        else:
            self.saw.setdefault(about.seq + 1, (self.clock.monotonic_ns(), self._is_good(about.seq)))
            self.items.result(about, self._shown(about.seq))
        self._infer()

    def _shown(self, seq: int) -> Detections:
        return {0: found((SHORT, 0.8)), 1: found((OPEN, 0.5)), 2: found((OPEN, 0.2))}.get(seq % 10, found())

    def _is_good(self, seq: int) -> bool:
        return seq % 10 > 1


@pytest.mark.timeout(60)
@pytest.mark.slow
@pytest.mark.parametrize("otherwise", list(Verdict))
def test_ten_thousand_items_have_one_decision_each_in_order_and_on_time_while_inference_hangs(
    seed: int, otherwise: Verdict
) -> None:
    line = DrilledLine(seed, items=10_000, otherwise=otherwise)
    told = Told(line.clock)
    awake = random.Random(seed + 1)

    def beat() -> None:
        line.clock.advance(awake.uniform(0, 0.004))  # a thread does not run in the very moment in which it may
        if line.clock.idle() and len(told.rows) == 10_000:
            deciding.stop()

    deciding = Deciding(DecidePlan(items={CAMERA: line.items}, decided=told), clock=line.clock, beat=beat)
    deciding.loop()

    decisions = told.decisions()
    assert [d.number for d in decisions] == list(range(1, 10_001))
    hung = [row for row in told.rows if any(start <= row[1] < end for start, end in line.hangs)]
    for rows in (told.rows, hung):
        on_time = sum(now_ns <= d.began_ns + DEADLINE_NS + LATE_NS for d, now_ns in rows)
        assert on_time >= 0.999 * len(rows)
    print(line.fates, line.items.counts(), f"{len(hung)} decided while inference hung")  # noqa: T201  shown if it fails

    for decision in decisions:
        judged_ns, good = line.saw.get(decision.number, (None, False))
        in_time = judged_ns is not None and judged_ns < decision.began_ns + DEADLINE_NS
        if decision.verdict is Verdict.ACCEPT and decision.reason is None:
            assert (in_time, good) == (True, True), decision
        elif decision.reason == "short":
            assert (in_time, good, decision.verdict) == (True, False, Verdict.REJECT), decision
        else:
            assert decision.reason in set(Doubt), decision
            assert decision.verdict is otherwise, decision
        assert decision.late == (decision.reason == Doubt.LATE), decision
    assert len(hung) > 500
    assert {"late", "failed", "overrun", "unsure", "short", None} >= {d.reason for d in decisions} >= {"late", "failed"}
    assert sum(d.reason is None for d in decisions) > 4000


# --- the same in real time, with real threads


class Hanging:
    """A model's thread that now and then does not come back for a while, as a driver that hangs."""

    def __init__(self, items: Items, seed: int) -> None:
        self._items = items
        self._random = random.Random(seed)
        self._frames: queue.SimpleQueue[FrameInfo | None] = queue.SimpleQueue()
        self._never = threading.Event()
        self.judged: dict[int, int] = {}
        self.offer = self._frames.put

    def loop(self) -> None:
        asked = 0
        while (about := self._frames.get()) is not None:
            if self._items.due_ns(about) == 0:
                continue
            asked += 1
            self._never.wait(1.5 if asked % 50 == 0 else self._random.uniform(0.005, 0.04))
            self.judged.setdefault(about.seq + 1, time.monotonic_ns())
            self._items.result(about, found((SHORT, 0.9)) if about.seq % 10 == 0 else found())


class Witness:
    """How long this machine lets a thread wait that is due. With more work than cores that is no fault of ours."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self.worst_ms = 0.0
        self.end = self._stop.set

    def loop(self) -> None:
        while not self._stop.is_set():
            due_ns = self._clock.monotonic_ns() + 2 * NS_PER_MS
            self._clock.wait(self._stop, 0.002)
            self.worst_ms = max(self.worst_ms, (self._clock.monotonic_ns() - due_ns) / NS_PER_MS)


@pytest.mark.timeout(40)
@pytest.mark.slow
def test_two_hundred_items_in_real_time_are_decided_on_time_while_inference_hangs(seed: int) -> None:
    clock = SystemClock()
    items = Items(plan(), clock=clock)
    told = Told(clock)
    told.wanted = 200
    deciding = Deciding(DecidePlan(items={CAMERA: items}, decided=told), clock=clock, beat=lambda: None)
    model = Hanging(items, seed)
    witness = Witness(clock)
    workers = [Worker("decide", deciding.loop), Worker("infer", model.loop), Worker("witness", witness.loop)]
    for worker in workers:
        worker.start()
    never = threading.Event()
    start_ns = clock.monotonic_ns()
    for seq in range(200):  # the belt's own pace
        due_ns = start_ns + seq * PERIOD_NS
        never.wait(max(0, due_ns - clock.monotonic_ns()) / NS_PER_S)
        shot = frame(seq, clock.monotonic_ns())
        assert items.captured(shot)
        model.offer(shot.info)
    assert told.enough.wait(5)
    deciding.stop()
    model.offer(None)
    witness.end()
    assert all(worker.join(5) for worker in workers)

    assert [d.number for d in told.decisions()] == list(range(1, 201))
    behind_ms = sorted((now_ns - d.began_ns - DEADLINE_NS) / NS_PER_MS for d, now_ns in told.rows)
    print(f"latest {behind_ms[-3:]} ms behind the deadline, a witness {witness.worst_ms}")  # noqa: T201  shown if it fails
    assert behind_ms[-1] <= LATE_NS / NS_PER_MS + witness.worst_ms
    for decision in told.decisions():
        in_time = model.judged.get(decision.number, 2**63) < decision.began_ns + DEADLINE_NS
        assert in_time or decision.reason == "late", decision
    assert sum(d.late for d in told.decisions()) > 20
    assert sum(d.verdict is Verdict.ACCEPT for d in told.decisions()) > 80
