from __future__ import annotations

import json
import logging
import random
import threading
from typing import TYPE_CHECKING

import pytest
from servers.made_decisions import SECOND_NS, make_decision

from streamer.core.clock import FakeClock, SystemClock
from streamer.pipeline.decision_lane import DecisionLane
from streamer.publish.base import Message
from streamer.publish.memory import MemorySink

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.decision import Decision


class Rig:
    """A lane over a sink in memory, on a clock of the test's own."""

    def __init__(self, *, answers: bool = True, window: int = 100, capacity: int = 10_000) -> None:
        self.clock = FakeClock()
        self.sink = MemorySink(answers=answers, window=window)
        self.wakes = 0
        self.lane = DecisionLane(self.sink, clock=self.clock, wake=self._woken, capacity=capacity)

    def put(self, number: int, *, camera: str = "belt", lasts_s: float | None = 2.0) -> bytes:
        now_ns = self.clock.monotonic_ns()
        return self.lane.put(make_decision(number, camera=camera, now_ns=now_ns, lasts_s=lasts_s))

    def numbers(self, camera: str = "belt") -> list[int]:
        return numbers(self.sink.sent, camera)

    def reconnect(self) -> None:
        self.sink.lose()
        self.lane.send()
        self.sink.connect()
        self.lane.send()

    def _woken(self) -> None:
        self.wakes += 1


def numbers(messages: list[Message], camera: str = "belt") -> list[int]:
    return [json.loads(m.payload)["number"] for m in messages if m.topic == f"{camera}/decision"]


def test_a_decision_is_sent_at_once_by_whoever_brings_it() -> None:
    rig = Rig()
    payload = rig.put(1)
    (message,) = rig.sink.sent
    assert message == Message(topic="belt/decision", payload=payload, qos=1, retain=False, expiry_s=2, urgent=True)
    assert rig.lane.taken == 1
    assert rig.lane.idle()


@pytest.mark.parametrize(("lasts_s", "expiry_s"), [(0.2, 1), (1.0, 1), (1.999, 1), (5.5, 5), (None, None)])
def test_the_broker_is_told_whole_seconds_that_do_not_last_longer(lasts_s: float | None, expiry_s: int | None) -> None:
    rig = Rig()
    rig.put(1, lasts_s=lasts_s)
    assert rig.sink.sent[0].expiry_s == expiry_s


def test_a_decision_goes_where_nothing_else_has_room_any_more() -> None:
    rig = Rig(answers=False, window=10)
    row = Message(topic="belt/event", payload=b"{}", qos=1, retain=False)
    rows = 0
    while rig.sink.send(row, lambda _: None):
        rows += 1
    assert rows == 8
    rig.put(1)
    rig.put(2)
    rig.put(3)
    assert rig.numbers() == [1, 2]
    rig.sink.answer()  # an answer makes room, and whoever brings it sends
    assert rig.numbers() == [1, 2, 3]


def test_what_waits_for_a_connection_goes_in_order_while_its_time_lasts() -> None:
    rig = Rig()
    rig.sink.lose()
    rig.put(1, lasts_s=1.0)
    rig.put(2, lasts_s=3.0)
    rig.put(3, lasts_s=2.0)
    assert not rig.lane.idle()
    assert rig.lane.left() == 3
    rig.clock.advance(1.0)  # to the very moment: from then on it is of no use
    rig.sink.connect()
    rig.lane.send()
    assert rig.numbers() == [2, 3]
    assert [message.expiry_s for message in rig.sink.sent] == [2, 1]  # what is left of it
    assert rig.lane.dropped == {"expired": 1, "refused": 0, "full": 0}
    assert rig.lane.idle()


def test_what_expires_without_a_connection_is_counted_and_takes_no_memory() -> None:
    rig = Rig()
    rig.sink.lose()
    for number in range(50):
        rig.put(number + 1)
    rig.clock.advance(2.5)
    rig.lane.look_again()
    assert rig.lane.dropped["expired"] == 50
    assert rig.lane.left() == 0
    rig.sink.connect()
    rig.lane.send()
    assert rig.sink.sent == []


def test_what_had_no_answer_is_sent_again_before_the_others_and_only_in_its_time() -> None:
    rig = Rig(answers=False)
    rig.put(1, lasts_s=1.0)
    rig.put(2, lasts_s=5.0)
    rig.put(3, lasts_s=5.0)
    rig.sink.lose()
    rig.put(4, lasts_s=5.0)
    rig.clock.advance(1.5)
    rig.sink.connect()
    rig.lane.send()
    assert rig.numbers() == [1, 2, 3, 2, 3, 4]
    assert rig.sink.answer() == 3
    assert rig.lane.idle()
    assert rig.lane.taken == 3
    assert rig.lane.dropped["expired"] == 1


def test_what_the_broker_has_taken_is_never_sent_again() -> None:
    rig = Rig()
    for number in range(1, 4):
        rig.put(number)
    rig.reconnect()
    assert rig.numbers() == [1, 2, 3]


def test_an_answer_that_comes_behind_the_break_counts() -> None:
    rig = Rig(answers=False)
    late: list[Callable[[str | None], None]] = []
    send = rig.sink.send

    def kept(message: Message, on_done: Callable[[str | None], None]) -> bool:
        late.append(on_done)
        return send(message, on_done)

    rig.sink.send = kept  # type: ignore[method-assign]
    rig.put(1)
    rig.sink.lose()
    rig.lane.send()  # it waits for the next connection
    late[0](None)
    rig.sink.connect()
    rig.lane.send()
    assert rig.numbers() == [1]
    assert rig.lane.taken == 1
    late[0]("twice")
    assert rig.lane.dropped["refused"] == 0


def test_an_answer_behind_its_time_still_counts() -> None:
    rig = Rig(answers=False)
    rig.put(1, lasts_s=1.0)
    rig.clock.advance(5.0)
    rig.lane.look_again()
    assert not rig.lane.idle()  # the broker may still say that it has it
    rig.sink.answer()
    assert rig.lane.taken == 1
    assert rig.lane.dropped["expired"] == 0


def test_a_refused_decision_is_counted_and_named_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.sink.refuse = lambda message: "Not authorized" if message.topic == "belt/decision" else None
    for number in (1, 2, 3):
        rig.put(number)
    rig.put(1, camera="press")
    assert rig.lane.dropped["refused"] == 3
    assert rig.lane.taken == 1
    assert rig.lane.idle()
    assert [r.message for r in caplog.records] == ["the broker refuses decisions on belt/decision: Not authorized"]
    rig.sink.refuse = lambda _message: None
    rig.put(4)
    rig.sink.refuse = lambda _message: "quota exceeded"
    rig.put(5)
    assert len(caplog.records) == 2  # a change, and a change back


def test_too_many_that_wait_cost_the_oldest() -> None:
    rig = Rig(capacity=3)
    rig.sink.lose()
    for number in range(1, 6):
        rig.put(number, lasts_s=None)  # a file's never expire
    rig.clock.advance(1e6)
    rig.sink.connect()
    rig.lane.send()
    assert rig.numbers() == [3, 4, 5]
    assert rig.lane.dropped == {"expired": 0, "refused": 0, "full": 2}


def test_a_topic_at_which_connections_break_is_held_back_ever_longer_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(answers=False)
    rig.put(1, lasts_s=None)
    for held_s in (0, 1, 2, 4):
        rig.sink.lose()
        rig.lane.send()
        broke = rig.lane.take_break()
        assert broke is not None
        assert broke[0] == "belt/decision"
        assert rig.lane.take_break() is None
        rig.lane.blame(broke[0])
        rig.sink.connect()
        before = len(rig.sink.sent)
        rig.put(7, camera="press")
        assert 7 in numbers(rig.sink.sent[before:], "press")
        assert numbers(rig.sink.sent[before:]) == ([] if held_s else [1])
        rig.sink.answer() if held_s else None  # the other camera's is taken
        rig.clock.advance(held_s)
        rig.lane.look_again()
        assert numbers(rig.sink.sent[before:]) == [1]
    assert [r.getMessage() for r in caplog.records] == [
        "the connection broke 2 times just after a decision on belt/decision: held back"
    ]
    rig.sink.answer()
    assert rig.lane.idle()


def test_a_topic_whose_decisions_are_taken_in_between_is_not_held_back() -> None:
    rig = Rig(answers=False)
    for number in range(1, 6):
        rig.put(number)
        rig.sink.lose()
        rig.lane.send()
        broke = rig.lane.take_break()
        assert broke is not None
        rig.lane.blame(broke[0])
        rig.sink.connect()
        rig.lane.send()
        assert rig.sink.answer() == 1
    assert rig.lane.idle()
    assert rig.lane.taken == 5


def test_a_fault_of_the_sink_is_raised_and_does_not_stop_the_lane() -> None:
    rig = Rig()
    send = rig.sink.send

    def broken(_message: Message, _on_done: Callable[[str | None], None]) -> bool:
        raise OSError("out of memory")

    rig.sink.send = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match="memory"):
        rig.put(1)
    rig.sink.send = send  # type: ignore[method-assign]
    rig.put(2)
    assert rig.numbers() == [2]


@pytest.mark.parametrize("draw", range(5))
def test_whatever_the_connection_does_each_is_taken_once_in_order_or_expires(seed: int, draw: int) -> None:
    rng = random.Random(seed * 100 + draw)
    rig = Rig(answers=False, window=10)
    taken: list[int] = []
    on_the_way: list[tuple[int, Callable[[str | None], None]]] = []
    send = rig.sink.send
    lasts = {number: rng.choice([0.5, 1.0, 3.0]) for number in range(1, 601)}
    made_ns: dict[int, int] = {}

    def checked(message: Message, on_done: Callable[[str | None], None]) -> bool:
        number = json.loads(message.payload)["number"]
        assert rig.clock.monotonic_ns() < made_ns[number] + round(lasts[number] * SECOND_NS), "sent after its time"
        written = send(message, on_done)
        if written:
            on_the_way.append((number, on_done))
        return written

    rig.sink.send = checked  # type: ignore[method-assign]
    for number in range(1, 601):
        made_ns[number] = rig.clock.monotonic_ns()
        rig.put(number, lasts_s=lasts[number])
        rig.clock.advance(rng.choice([0.0, 0.02, 0.1, 0.4]))
        if rig.sink.connection() is None:
            if rng.random() < 0.3:
                rig.sink.connect()
        elif rng.random() < 0.1:
            rig.sink.lose()
            on_the_way.clear()
        else:
            count = rng.randint(0, len(on_the_way))
            answered, on_the_way[:count] = on_the_way[:count], []
            for said, on_done in answered:
                taken.append(said)
                with rig.sink._lock:
                    rig.sink._open.pop(0)
                on_done(None)
        rig.lane.send()
    left = rig.lane.left()
    assert taken == sorted(set(taken))  # in order, none twice
    assert len(taken) == rig.lane.taken
    assert len(taken) + rig.lane.dropped["expired"] + left == 600
    assert len(taken) > 100


class _Slow(MemorySink):
    """Answers in a thread of its own, as MQTT does."""

    def __init__(self) -> None:
        super().__init__(answers=False, window=7)
        self._over = threading.Event()
        self._given = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._answering)
        self._thread.start()

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        written = super().send(message, on_done)
        self._given.release()
        return written

    def _answering(self) -> None:
        while not self._over.is_set():
            self._given.acquire(timeout=0.05)
            self.answer()

    def end(self) -> None:
        self._over.set()
        self._thread.join(5.0)


def test_many_threads_at_once_lose_nothing_and_keep_the_order_of_each_camera() -> None:
    sink, clock, idle = _Slow(), SystemClock(), threading.Event()
    lane = DecisionLane(sink, clock=clock, wake=idle.set)
    cameras = [f"belt-{i}" for i in range(4)]

    def made(camera: str, number: int) -> Decision:
        return make_decision(number, camera=camera, now_ns=clock.monotonic_ns(), lasts_s=60.0)

    def decide(camera: str) -> None:
        for number in range(1, 301):
            lane.put(made(camera, number))

    threads = [threading.Thread(target=decide, args=(camera,)) for camera in cameras]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(8.0)
    while not lane.idle():
        assert idle.wait(5.0)
        idle.clear()
    sink.end()
    assert [numbers(sink.sent, camera) for camera in cameras] == [list(range(1, 301))] * 4
    assert lane.taken == 1_200


def test_the_log_says_nothing_of_what_goes_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        rig = Rig()
        rig.put(1)
        rig.reconnect()
    assert caplog.records == []
