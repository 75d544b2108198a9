"""A sink's own thread: what it sends, what it leaves, and that it ends in time, apart from all others."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until
from servers.hook import HookServer, Posted, Says
from servers.made_events import encode, make_event

from streamer.core.clock import FakeClock, SystemClock
from streamer.pipeline.row_delivery import RowDelivery
from streamer.pipeline.worker import Worker
from streamer.publish.memory import MemorySink
from streamer.publish.webhook import WebhookOptions, open_webhook
from streamer.store.store import EventStore, open_store
from streamer.store.wanted import SinkFilter

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.publish.base import Sink

NAMES = ("alarm", "siren")


class Hurried(SystemClock):
    """The machine's clocks, and waits of a hundredth of their time: held rows and pauses are soon over."""

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() * 100

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(max(0.0, timeout_s) / 100)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(tmp_path, encode=encode, clock=FakeClock(), sinks=[SinkFilter(name=name) for name in NAMES])
    yield opened
    opened.close()


class Rig:
    """A delivery that runs."""

    def __init__(self, store: EventStore, sink: Sink, name: str = "alarm", clock: Clock | None = None) -> None:
        self.beats = 0
        self.store = store
        self.delivery = RowDelivery(store.outbox(name), sink, clock=clock or SystemClock())
        self.worker = Worker(f"sink-{name}", lambda: self.delivery.run(self._beat))
        self.worker.start()

    def append(self, *ids: str, camera: str = "porch") -> None:
        self.store.append([make_event(i, camera=camera) for i in ids])
        self.delivery.poke()

    def end(self, timeout_s: float = 5.0) -> int:
        self.delivery.end_within(timeout_s)
        assert self.worker.join(5.0)
        assert self.worker.failure is None
        return self.delivery.undelivered()

    def _beat(self) -> None:
        self.beats += 1


def ids(sink: MemorySink) -> list[str]:
    return [json.loads(message.payload)["id"] for message in sink.sent]


def left(store: EventStore, name: str) -> list[str]:
    outbox = store.outbox(name)
    rows = outbox.pending(0, 1_000)
    outbox.close()
    return [json.loads(row.payload)["id"] for row in rows]


def test_what_was_stored_before_and_during_the_run_goes_out_and_leaves_the_outbox_at_once(store: EventStore) -> None:
    store.append([make_event("before")])
    sink = MemorySink()
    rig = Rig(store, sink)
    rig.append("a", "b")
    wait_until(lambda: ids(sink) == ["before", "a", "b"], 5.0, "sent")
    wait_until(lambda: left(store, "alarm") == [], 5.0, "confirmed")
    assert left(store, "siren") == ["before", "a", "b"]  # another's are untouched
    assert left(store, "") == ["before", "a", "b"]
    assert rig.end() == 0
    assert (rig.delivery.delivered, rig.delivery.refused, rig.delivery.parked) == (3, 0, 0)
    assert rig.beats >= 1


def test_an_end_waits_for_what_is_on_its_way(store: EventStore) -> None:
    sink = MemorySink(answers=False)
    rig = Rig(store, sink)
    rig.append("a")
    wait_until(lambda: ids(sink) == ["a"], 5.0, "sent")
    rig.delivery.end_within(30.0)
    assert not rig.worker.join(0.1)
    sink.answer()
    assert rig.worker.join(5.0)
    assert rig.delivery.undelivered() == 0
    assert left(store, "alarm") == []


def test_an_end_keeps_its_time_and_counts_what_is_left(store: EventStore) -> None:
    rig = Rig(store, MemorySink(answers=False))
    rig.append("a", "b")
    began_ns = SystemClock().monotonic_ns()
    rig.delivery.end_within(60.0)
    assert rig.end(0.2) == 2  # it can be shortened
    assert SystemClock().monotonic_ns() - began_ns < 3_000_000_000
    assert left(store, "alarm") == ["a", "b"]  # the next run sends them first


def test_an_end_with_nothing_left_comes_at_once(store: EventStore) -> None:
    began_ns = SystemClock().monotonic_ns()
    assert Rig(store, MemorySink()).end(60.0) == 0
    assert SystemClock().monotonic_ns() - began_ns < 3_000_000_000


def test_a_new_connection_gets_what_was_not_answered(store: EventStore) -> None:
    sink = MemorySink(answers=False)
    rig = Rig(store, sink)
    rig.append("a", "b")
    wait_until(lambda: ids(sink) == ["a", "b"], 5.0, "sent")
    sink.lose()
    rig.append("c")
    sink.connect()
    wait_until(lambda: ids(sink) == ["a", "b", "a", "b", "c"], 5.0, "sent again")
    sink.answer()
    assert rig.end() == 0


def test_what_is_refused_five_times_is_parked_and_only_its_own_camera_waits_for_it(store: EventStore) -> None:
    sink = MemorySink()
    sink.refuse = lambda message: "no" if json.loads(message.payload)["id"] == "bad" else None
    rig = Rig(store, sink, clock=Hurried())
    rig.append("bad", "behind")
    rig.append("other", camera="yard")
    wait_until(lambda: rig.delivery.parked == 1 and "behind" in ids(sink)[-1:], 8.0, "parked")
    assert rig.end() == 0
    sent = ids(sink)
    assert sent.count("bad") == 5
    assert sent.index("other") < len(sent) - 1 - sent[::-1].index("bad")  # not behind the last refusal
    assert sent[-1] == "behind"
    outbox = store.outbox("alarm")
    assert [(row.event, row.reason) for row in outbox.parked()] == [("bad", "no")]
    outbox.close()


def test_a_sink_that_is_down_holds_nobody_else_up(store: EventStore, seed: int) -> None:
    down, up = MemorySink(), MemorySink()
    down.lose()
    first, second = Rig(store, down), Rig(store, up, "siren")
    store.append([make_event(f"e{i}") for i in range(300)])
    first.delivery.poke()
    second.delivery.poke()
    wait_until(lambda: len(up.sent) == 300, 5.0, f"all is sent ({seed})")
    assert second.end() == 0
    assert first.end(0.1) == 300
    assert ids(up) == [f"e{i}" for i in range(300)]


def test_a_fault_in_the_loop_reaches_the_supervisor(store: EventStore) -> None:
    sink = MemorySink()

    def broken(*_: object) -> bool:
        raise RuntimeError("a fault of ours")

    sink.send = broken  # type: ignore[assignment, method-assign]
    store.append([make_event("a")])
    delivery = RowDelivery(store.outbox("alarm"), sink, clock=SystemClock())
    worker = Worker("sink-alarm", lambda: delivery.run(lambda: None))
    worker.start()
    assert worker.join(5.0)
    assert isinstance(worker.failure, RuntimeError)


def test_over_http_every_event_arrives_in_the_order_of_its_camera_through_errors_refusals_and_a_restart(
    tmp_path: Path, seed: int
) -> None:
    """Whatever the receiver does, each event arrives, those of a camera in order, up to repeats under the same key."""
    rng = random.Random(seed)
    taken: list[Posted] = []

    def moody(posted: Posted) -> Says:
        mood = rng.random()
        if mood < 0.5:
            taken.append(posted)
            return Says(hangs_up=mood < 0.1)  # it has it, and does not say so
        return Says(status=500) if mood < 0.9 else Says(hangs_up=True)

    wanted = [(f"e{i}", ("porch", "yard")[i % 2]) for i in range(24)]
    with HookServer(answer=moody) as server:
        options = WebhookOptions(name="alarm", url=server.url())
        for half in (wanted[:12], wanted[12:]):  # two runs over one folder
            store = open_store(tmp_path, encode=encode, clock=FakeClock(), sinks=[SinkFilter(name="alarm")])
            clock = Hurried()
            sink = open_webhook(options, clock=clock, rng=random.Random(seed))
            rig = Rig(store, sink, clock=clock)
            for name, camera in half:
                rig.append(name, camera=camera)
            if half[0] == wanted[0]:
                server.until(6)
                rig.end(0.0)  # in the middle
            else:
                wait_until(lambda rig=rig: rig.delivery.undelivered() == 0, 8.0, "all is sent")  # type: ignore[misc]
                assert rig.end() == 0
            sink.close()
            store.close()
    for camera in ("porch", "yard"):
        names = [name for name, its in wanted if its == camera]
        came = [posted.name() for posted in taken if posted.name() in names]
        assert list(dict.fromkeys(came)) == names
        assert came == sorted(came, key=names.index)  # a repeat comes before the next, never behind it
    assert {posted.headers["idempotency-key"] for posted in taken} == {f"{name}-0" for name, _ in wanted}
