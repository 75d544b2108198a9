from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from servers.made_decisions import make_decision
from servers.made_events import encode, make_event

from streamer.core.clock import SystemClock
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.base import Message
from streamer.publish.memory import MemorySink
from streamer.publish.states import StateBoard
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamer.store.rows import OutboxRow


KEPT_NS = 400_000_000  # as the 5 s, only shorter


class Rig:
    """A running delivery over a real store and a sink in memory."""

    def __init__(self, data_dir: Path, sink: MemorySink) -> None:
        self.sink = sink
        self.board = StateBoard()
        self.store: EventStore = open_store(data_dir, encode=encode, clock=SystemClock())
        self.delivery = Delivery(self.store.outbox(), sink, self.board, clock=SystemClock())
        self.beats = 0
        self._arrived = threading.Condition()
        send = sink.send

        def seen(message: Message, on_done: Callable[[str | None], None]) -> bool:
            taken = send(message, on_done)
            with self._arrived:
                self._arrived.notify_all()
            return taken

        sink.send = seen  # type: ignore[method-assign]
        self.worker = Worker("publish", lambda: self.delivery.run(self._beat))
        self.worker.start()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._arrived:
            assert self._arrived.wait_for(condition, 5.0)

    def ids(self) -> list[str]:
        return [json.loads(m.payload)["id"] for m in self.sink.sent if m.topic.endswith("/event")]

    def store_events(self, *ids: str) -> None:
        self.store.append([make_event(i) for i in ids])
        self.delivery.poke()

    def decide(self, number: int, lasts_s: float | None = 60.0) -> bytes:
        return self.delivery.decide(make_decision(number, now_ns=SystemClock().monotonic_ns(), lasts_s=lasts_s))

    def decided(self) -> list[int]:
        return [json.loads(m.payload)["number"] for m in self.sink.sent if m.topic.endswith("/decision")]

    def end(self, timeout_s: float = 5.0) -> int:
        left = self.delivery.finish(timeout_s)
        assert self.worker.join(5.0)
        assert self.worker.failure is None
        self.store.close()
        return left

    def _beat(self) -> None:
        self.beats += 1


@pytest.fixture(autouse=True)
def _soon_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.pipeline.lanes.KEPT_NS", KEPT_NS)


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Callable[[MemorySink], Rig]]:
    made: list[Rig] = []

    def make(sink: MemorySink) -> Rig:
        made.append(Rig(tmp_path, sink))
        return made[-1]

    yield make
    for rig in made:
        rig.end(0.0)


def test_events_states_and_the_feed_go_out_and_nothing_is_left(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink())
    rig.board.set("porch/status", b"online")
    rig.store_events("a", "b")
    rig.until(lambda: rig.ids() == ["a", "b"] and any(m.retain for m in rig.sink.sent))
    assert rig.delivery.feed(Message(topic="porch/detections", payload=b"{}", qos=0, retain=False))
    rig.until(lambda: rig.sink.sent[-1].topic == "porch/detections")
    assert rig.end() == 0
    assert rig.delivery.delivered == 2
    assert rig.delivery.feed_sent == 1
    assert rig.beats >= 1


def test_an_end_without_a_connection_counts_what_is_left_no_more_than_it_must(
    rigs: Callable[[MemorySink], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemorySink()
    sink.lose()
    rig = rigs(sink)
    rig.store_events("a", "b")
    counted: list[int | None] = []
    count = rig.delivery._outbox.undelivered

    def counting() -> int | None:
        counted.append(count())
        return counted[-1]

    monkeypatch.setattr(rig.delivery._outbox, "undelivered", counting)
    assert rig.end(0.6) == 2
    assert len(counted) <= 3  # once for the end, once a second, and at the very end


def test_an_end_with_time_waits_until_what_was_taken_is_safe(rigs: Callable[[MemorySink], Rig]) -> None:
    first = rigs(MemorySink())
    first.store_events("a")
    first.until(lambda: first.ids() == ["a"])
    began_ns = SystemClock().monotonic_ns()
    assert first.end() == 0
    assert SystemClock().monotonic_ns() - began_ns > KEPT_NS // 2
    second = rigs(MemorySink())
    second.store_events("b")
    second.until(lambda: second.ids() != [])
    assert second.ids() == ["b"]


def test_an_end_in_a_hurry_leaves_what_was_just_taken_to_the_next_run(
    rigs: Callable[[MemorySink], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.pipeline.lanes.KEPT_NS", 5_000_000_000)
    first = rigs(MemorySink())
    first.store_events("a")
    first.until(lambda: first.ids() == ["a"])
    began_ns = SystemClock().monotonic_ns()
    assert first.end(3.0) == 0  # the broker has said that it has it
    assert SystemClock().monotonic_ns() - began_ns < 1_500_000_000  # not for nothing: it can't become safe in time
    second = rigs(MemorySink())
    second.store_events("b")
    second.until(lambda: len(second.ids()) == 2)
    assert second.ids() == ["a", "b"]


def test_what_a_broker_forgets_that_dies_while_the_end_waits_is_sent_again(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink())
    rig.store_events("a")
    rig.until(lambda: rig.ids() == ["a"])
    left: list[int] = []
    finishing = threading.Thread(target=lambda: left.append(rig.delivery.finish(5.0)))
    finishing.start()
    rig.sink.lose()
    rig.sink.connect()
    finishing.join(5.0)
    assert left == [0]
    assert rig.ids() == ["a", "a"]


def test_a_finish_under_way_can_be_hurried(rigs: Callable[[MemorySink], Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.pipeline.lanes.KEPT_NS", 5_000_000_000)
    rig = rigs(MemorySink())
    rig.store_events("a")
    rig.until(lambda: rig.ids() == ["a"])
    left: list[int] = []
    finishing = threading.Thread(target=lambda: left.append(rig.delivery.finish(30.0)))
    finishing.start()
    finishing.join(0.3)
    assert finishing.is_alive()  # until what was taken is safe
    rig.delivery.end_within(2.5)
    finishing.join(1.0)
    assert left == [0]


def test_a_hurried_finish_returns_also_when_the_publish_thread_does_not_end(
    rigs: Callable[[MemorySink], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs(MemorySink())
    stuck, go_on = threading.Event(), threading.Event()

    def step() -> None:
        stuck.set()
        go_on.wait(5.0)

    monkeypatch.setattr(rig.delivery, "_step", step)
    finishing = threading.Thread(target=lambda: rig.delivery.finish(30.0))
    finishing.start()
    assert stuck.wait(5.0)
    rig.delivery.end_within(0.1)
    finishing.join(2.0)
    assert not finishing.is_alive()
    go_on.set()


def test_a_feed_message_that_became_too_old_while_the_broker_was_stuck_is_not_sent(
    rigs: Callable[[MemorySink], Rig],
) -> None:
    rig = rigs(MemorySink(window=1, answers=False))
    rig.store_events("fills the window")
    rig.until(lambda: len(rig.sink.sent) == 1)
    soon_ns = SystemClock().monotonic_ns() + 50_000_000
    assert rig.delivery.feed(Message(topic="porch/detections", payload=b"1", qos=0, retain=False), soon_ns)
    threading.Event().wait(0.1)
    rig.sink.answer()
    assert rig.end() == 0
    assert [m.topic for m in rig.sink.sent] == ["porch/event"]
    assert rig.delivery.feed_dropped["too_old"] == 1
    assert [m.topic for m in rig.sink.sent] == ["porch/event"]


def test_what_a_run_could_not_deliver_is_counted_and_the_next_run_sends_it_first(
    rigs: Callable[[MemorySink], Rig],
) -> None:
    away = MemorySink()
    away.lose()
    first = rigs(away)
    first.store_events("a", "b")
    assert not first.delivery.feed(Message(topic="porch/detections", payload=b"{}", qos=0, retain=False))
    assert first.delivery.feed_dropped["disconnected"] == 1
    assert first.end(0.2) == 2
    second = rigs(MemorySink())
    second.store_events("c")
    second.until(lambda: len(second.ids()) == 3)
    assert second.ids() == ["a", "b", "c"]


def test_finish_waits_for_the_answers(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False))
    rig.store_events("a")
    rig.until(lambda: rig.ids() == ["a"])
    left: list[int] = []
    finishing = threading.Thread(target=lambda: left.append(rig.delivery.finish(5.0)))
    finishing.start()
    rig.sink.answer()
    finishing.join(5.0)
    assert left == [0]


def test_finish_keeps_its_deadline_when_nobody_answers(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False))
    rig.store_events("a")
    rig.until(lambda: rig.ids() == ["a"])
    assert rig.end(0.3) == 1


def test_without_a_broker_and_without_events_nothing_is_waited_for(rigs: Callable[[MemorySink], Rig]) -> None:
    sink = MemorySink()
    sink.lose()
    rig = rigs(sink)
    rig.board.set("porch/status", b"online")
    began_ns = SystemClock().monotonic_ns()
    assert rig.end(5.0) == 0
    assert SystemClock().monotonic_ns() - began_ns < 2_000_000_000


def test_a_new_connection_gets_everything_that_is_not_safe_yet(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink())
    rig.board.set("porch/status", b"online")
    rig.store_events("a")
    rig.until(lambda: len(rig.sink.sent) == 2)
    rig.sink.lose()
    rig.store_events("b")
    rig.sink.connect()
    rig.until(lambda: len(rig.sink.sent) >= 5)
    assert rig.ids() == ["a", "a", "b"]
    assert [m.topic for m in rig.sink.sent].count("porch/status") == 2


def test_a_fault_in_the_loop_reaches_the_supervisor_and_finish_does_not_hang(tmp_path: Path) -> None:
    sink = MemorySink()

    def broken(*_: object) -> bool:
        raise RuntimeError("a fault of ours")

    sink.send = broken  # type: ignore[assignment, method-assign]
    store = open_store(tmp_path, encode=encode, clock=SystemClock())
    store.append([make_event("a")])
    delivery = Delivery(store.outbox(), sink, StateBoard(), clock=SystemClock())
    worker = Worker("publish", lambda: delivery.run(lambda: None))
    worker.start()
    assert worker.join(5.0)
    assert isinstance(worker.failure, RuntimeError)
    delivery.finish(5.0)
    store.close()


def test_a_decision_waits_neither_for_the_disk_nor_for_the_publish_thread(
    rigs: Callable[[MemorySink], Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs(MemorySink(answers=False, window=20))
    at_disk, go_on = threading.Event(), threading.Event()
    pending = rig.delivery._outbox.pending

    def slow(after_id: int, limit: int) -> list[OutboxRow]:
        at_disk.set()
        go_on.wait(5.0)
        return pending(after_id, limit)

    monkeypatch.setattr(rig.delivery._outbox, "pending", slow)
    rig.store_events("a")
    assert at_disk.wait(5.0)
    payload = rig.decide(1)
    assert [m.payload for m in rig.sink.sent] == [payload]  # it is out before `decide` returns
    for number in range(2, 31):
        rig.decide(number)
    assert rig.decided() == list(range(1, 21))  # all places of the window
    rig.sink.answer()
    assert rig.decided() == list(range(1, 31))  # an answer sends what waits
    assert rig.ids() == []
    go_on.set()
    rig.until(lambda: rig.ids() == ["a"])
    rig.sink.answer()
    assert rig.end() == 0
    assert rig.delivery.decisions_sent == 30


def test_a_decision_passes_an_outbox_that_is_being_emptied(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False, window=50))
    rig.store_events(*(f"e{i}" for i in range(1_000)))
    rig.until(lambda: len(rig.sink.sent) == 40)
    rig.decide(1)
    assert [m.topic for m in rig.sink.sent[40:]] == ["belt/decision"]
    rig.sink.answer()
    rig.until(lambda: len(rig.sink.sent) == 81)
    assert rig.ids() == [f"e{i}" for i in range(80)]


def test_decisions_are_sent_anew_on_a_new_connection_without_being_asked_to(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False))
    rig.decide(1)
    rig.sink.lose()
    rig.decide(2)
    rig.sink.connect()
    rig.until(lambda: rig.decided() == [1, 1, 2])
    rig.sink.answer()
    assert rig.end() == 0
    assert rig.delivery.decisions_sent == 2
    assert rig.delivery.decisions_left == 0


def test_the_end_waits_for_decisions_as_long_as_they_are_of_use(rigs: Callable[[MemorySink], Rig]) -> None:
    away = MemorySink()
    away.lose()
    rig = rigs(away)
    rig.decide(1, lasts_s=0.2)
    began_ns = SystemClock().monotonic_ns()
    assert rig.end(5.0) == 0
    assert 150_000_000 < SystemClock().monotonic_ns() - began_ns < 2_000_000_000
    assert rig.delivery.decisions_dropped == {"expired": 1, "refused": 0, "full": 0}


def test_the_end_waits_for_the_answer_to_a_decision(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False))
    rig.decide(1)
    finishing = threading.Thread(target=lambda: rig.delivery.finish(5.0))
    finishing.start()
    finishing.join(0.3)
    assert finishing.is_alive()
    rig.sink.answer()
    finishing.join(5.0)
    assert not finishing.is_alive()
    assert rig.delivery.decisions_sent == 1


def test_the_end_has_no_more_time_for_decisions_than_it_is_given(rigs: Callable[[MemorySink], Rig]) -> None:
    rig = rigs(MemorySink(answers=False))
    rig.decide(1, lasts_s=None)
    assert rig.end(0.2) == 0  # no row of the outbox: the next run would come too late with it
    assert rig.delivery.decisions_left == 1
