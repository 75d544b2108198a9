"""Decisions and a real broker: at once while it is there; in their time, in order and once when it comes back."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Literal

import pytest
from servers.broker import Mosquitto, Subscriber, mosquitto_program, wait_until
from servers.made_decisions import make_decision
from servers.made_events import encode, make_event

from streamer.core.clock import NS_PER_S, SystemClock
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(60),
    pytest.mark.skipif(mosquitto_program() is None, reason="needs mosquitto"),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little before another try."""
    monkeypatch.setattr("streamer.publish.mqtt._Backoff.next_s", lambda *_: 0.05)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


class Line:
    """A delivery to a real broker, over a store of its own."""

    def __init__(self, folder: Path, port: int, version: Literal["5", "3.1.1"] = "5") -> None:
        self.store = open_store(folder / "data", encode=encode, clock=SystemClock())
        address = BrokerAddress(host="127.0.0.1", port=port, tls=False)
        self.sink = open_mqtt(MqttOptions(address=address, version=version))
        self.delivery = Delivery(self.store.outbox(), self.sink, StateBoard(), clock=SystemClock())
        self._worker = Worker("publish", lambda: self.delivery.run(lambda: None))
        self._worker.start()
        wait_until(lambda: self.sink.connection() is not None, 5.0, "connected")

    def decide(self, *numbers: int, lasts_s: float | None = 30.0) -> None:
        for number in numbers:
            self.delivery.decide(make_decision(number, now_ns=time.monotonic_ns(), lasts_s=lasts_s))

    def end(self) -> None:
        self.delivery.finish(5.0)
        assert self._worker.join(5.0)
        assert self._worker.failure is None
        self.sink.close()
        self.store.close()


def arrived(subscriber: Subscriber) -> list[int]:
    return [json.loads(payload)["number"] for payload in subscriber.on("/decision")]


def over(seconds: float) -> None:
    """Let the broker's own time pass."""
    until_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until_s, seconds + 5.0, "time passes")


def saved(broker: Mosquitto) -> bool:
    """Whether the broker has saved the subscriber's session: before, its death ends the session too."""
    memory = broker.folder / "mosquitto.db"
    return memory.exists() and b"harness" in memory.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_what_expired_while_the_broker_was_away_never_comes_and_the_rest_comes_once_in_order(
    tmp_path: Path, broker: Mosquitto, version: Literal["5", "3.1.1"]
) -> None:
    subscriber = Subscriber(broker.port).start()
    wait_until(lambda: saved(broker), 5.0, "the session is saved")
    line = Line(tmp_path, broker.port, version)
    line.decide(*range(1, 21))
    wait_until(lambda: len(arrived(subscriber)) == 20, 5.0, "the first twenty")
    broker.kill()
    wait_until(lambda: line.sink.connection() is None, 5.0, "the loss is seen")
    line.decide(*range(21, 41), lasts_s=0.3)
    line.decide(*range(41, 61))
    line.decide(*range(61, 81), lasts_s=0.3)
    over(0.4)
    line.decide(*range(81, 101))
    broker.start()
    line.decide(*range(101, 121))
    wait_until(lambda: 120 in arrived(subscriber), 10.0, "the last one")
    line.end()
    subscriber.stop()
    assert arrived(subscriber) == [*range(1, 21), *range(41, 61), *range(81, 121)]
    assert line.delivery.decisions_sent == 80
    assert line.delivery.decisions_dropped == {"expired": 40, "refused": 0, "full": 0}


@pytest.mark.slow
def test_a_broker_that_dies_again_and_again_gets_each_in_time_and_in_order(tmp_path: Path, broker: Mosquitto) -> None:
    subscriber = Subscriber(broker.port).start()
    wait_until(lambda: saved(broker), 5.0, "the session is saved")
    line = Line(tmp_path, broker.port)
    number = 0
    for _ in range(4):
        wait_until(lambda: line.sink.connection() is not None, 5.0, "connected")
        for _ in range(50):
            number += 1
            line.decide(number, lasts_s=60.0)
        broker.kill()  # in the middle of it
        wait_until(lambda: line.sink.connection() is None, 5.0, "the loss is seen")
        broker.start()
    number += 1
    line.decide(number)
    wait_until(lambda: number in arrived(subscriber), 20.0, "the last one")
    line.end()
    subscriber.stop()
    first_times = list(dict.fromkeys(arrived(subscriber)))
    assert first_times == sorted(first_times)
    # A broker that is killed forgets what it acknowledged in its last second: such a decision is not sent again.
    assert line.delivery.decisions_sent == number
    assert line.delivery.decisions_dropped["expired"] == 0


@pytest.mark.slow
def test_the_broker_forgets_in_time_what_a_subscriber_that_is_away_would_get_too_late(
    tmp_path: Path, broker: Mosquitto
) -> None:
    subscriber = Subscriber(broker.port).start()
    subscriber.stop()  # its session lasts
    line = Line(tmp_path, broker.port)
    line.decide(1, 2, lasts_s=1.0)
    line.decide(3, 4, lasts_s=60.0)
    wait_until(lambda: line.delivery.decisions_sent == 4, 5.0, "the broker has them")
    over(2.5)
    subscriber.start()
    line.decide(5)
    wait_until(lambda: 5 in arrived(subscriber), 5.0, "the last one")
    line.end()
    subscriber.stop()
    assert arrived(subscriber) == [3, 4, 5]


def test_decisions_pass_an_outbox_that_is_being_emptied(tmp_path: Path, broker: Mosquitto) -> None:
    watching = Subscriber(broker.port, topic="streamer/+/decision").start()
    line = Line(tmp_path, broker.port)
    line.store.append([make_event(f"e{i}", "end") for i in range(10_000)])
    line.delivery.poke()
    wait_until(lambda: line.delivery.delivered > 200, 5.0, "the outbox is being emptied")
    decided_ns, late = 0, list[float]()
    watching.on_arrival = lambda _topic, _payload: late.append((time.monotonic_ns() - decided_ns) / NS_PER_S)
    for number in range(1, 21):
        decided_ns = time.monotonic_ns()
        line.decide(number)
        wait_until(lambda n=number: len(late) == n, 5.0, "it arrives")  # type: ignore[misc]
    assert line.delivery.delivered < 10_000  # the whole time
    assert sorted(late)[10] < 0.1  # s; some ms on a machine that is not busy with others
    watching.stop()
    line.end()


def test_a_broker_that_stalls_has_places_left_for_decisions_and_gets_none_too_late_but_those(
    tmp_path: Path, broker: Mosquitto
) -> None:
    watching = Subscriber(broker.port, topic="streamer/+/decision").start()
    line = Line(tmp_path, broker.port)
    session = line.sink._session
    assert session is not None
    kept_free = session._window // 5
    broker.freeze()
    line.store.append([make_event(f"e{i}", "end") for i in range(500)])
    line.delivery.poke()
    rows = session._window - kept_free
    wait_until(lambda: session.waiting() == rows, 5.0, "the rows take their places")
    line.decide(*range(1, kept_free + 1), lasts_s=0.3)
    assert session.waiting() == session._window  # on the network, from where nobody can call them back
    line.decide(*range(kept_free + 1, 31), lasts_s=0.3)
    over(0.4)
    broker.thaw()
    line.decide(31)
    wait_until(lambda: 31 in arrived(watching), 5.0, "the last one")
    watching.stop()
    line.end()
    assert arrived(watching) == [*range(1, kept_free + 1), 31]
    assert line.delivery.decisions_dropped["expired"] == 30 - kept_free
