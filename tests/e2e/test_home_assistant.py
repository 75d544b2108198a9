"""What Home Assistant has of a run, through a real broker: found, found again after its restart, and taken back."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from home_assistant import HomeAssistant
from servers.broker import Mosquitto, Subscriber, wait_until
from servers.made_events import encode

from streamer.core.clock import SystemClock
from streamer.pipeline.announcer import Announcer, AnnouncerPlan
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.orders import Orders
from streamer.pipeline.worker import Worker
from streamer.publish.birth import Birth
from streamer.publish.discovery import Discovery
from streamer.publish.entities import DeviceFacts
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.states import StateBoard
from streamer.publish.url import BrokerAddress
from streamer.store.announced import AnnouncedFile
from streamer.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamer.publish.base import Message

pytest.importorskip("jinja2")
pytestmark = pytest.mark.broker

ONLINE = json.dumps({"state": "online", "reason": None, "since": "2026-11-21T10:15:30.123Z"}).encode()


class AtOnce(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return 0.0


@contextmanager
def running(folder: Path, port: int, cameras: str, *rules: str) -> Iterator[list[tuple[str, bool]]]:
    """Stand in for a run with these cameras, each with these rules; yields how they are switched."""
    clock, board, switched = SystemClock(), StateBoard(), list[tuple[str, bool]]()
    store = open_store(folder, encode=encode, clock=clock)
    plan = AnnouncerPlan(
        board=board,
        file=AnnouncedFile(folder),
        by=Discovery(prefix="streamer", discovery_prefix="homeassistant", version="1"),
        cameras=[DeviceFacts(camera=name) for name in cameras.split()],
    )
    announcer = Announcer(plan, clock=clock)

    def turned(camera: str) -> Callable[[bool], None]:
        return lambda on: switched.append((camera, on))

    def answer(message: Message) -> object:
        return delivery.feed(message)

    orders = Orders(
        {},
        answer,
        lambda _counter, _n: None,
        switches={name: turned(name) for name in cameras.split()},
    )
    sink = open_mqtt(
        MqttOptions(address=BrokerAddress(host="127.0.0.1", port=port, tls=False), client_id="ours"),
        on_command=orders.take,
        birth=Birth("homeassistant", announcer.renew, AtOnce()),
    )
    delivery = Delivery(store.outbox(), sink, board, clock=clock)
    board.expect(["status"])
    for name in cameras.split():
        announcer.set(f"{name}/status", ONLINE)
        for rule in rules:
            announcer.set(f"{name}/active/{rule}", b"0")
    announcer.begin()
    worker = Worker("publish", lambda: delivery.run(lambda: None))
    worker.start()
    try:
        wait_until(lambda: sink.connection() is not None, 5.0, "connected")
        yield switched
    finally:
        delivery.finish(2.0)
        assert worker.join(5.0)
        sink.close()
        store.close()


def listening(port: int, home: HomeAssistant, name: str) -> Subscriber:
    return Subscriber(port, topic="#", client_id=name, on_arrival=home.hear).start()


def test_cameras_are_found_shown_switched_and_taken_back(broker: Mosquitto, tmp_path: Path) -> None:
    home = HomeAssistant()
    with running(tmp_path, broker.port, "porch yard", "cat", "dog") as switched:
        # Home Assistant comes later than the run, and gets what is retained.
        subscriber = listening(broker.port, home, "first")
        wait_until(lambda: {"rule_cat", "rule_dog"} <= home.of("streamer_yard"), 5.0, "the yard")
        wait_until(lambda: home.state("streamer_porch_rule_dog") == "OFF", 5.0, "the rule is shown")
        command = home.entities["streamer_porch_enabled"]["command_topic"]
        subscriber._client.publish(command, b"OFF", qos=1)
        wait_until(lambda: switched == [("porch", False)], 5.0, "it is switched")
        (answer,) = subscriber.wait_for(1, "/porch/set/enabled/result")
        assert answer == b'{"ok":true,"error":null}'
    wait_until(lambda: home.state("streamer_porch_rule_dog") == "unavailable", 5.0, "the run is gone")
    with running(tmp_path, broker.port, "porch", "dog"):
        wait_until(lambda: not home.of("streamer_yard"), 5.0, "the yard is taken back")
        wait_until(lambda: home.of("streamer_porch") == {"status", "enabled", "events", "rule_dog"}, 5.0, "no cat")
        wait_until(lambda: home.state("streamer_porch_rule_dog") == "OFF", 5.0, "the rule is shown again")
    subscriber.stop()


def test_after_a_restart_of_home_assistant_all_is_announced_again(broker: Mosquitto, tmp_path: Path) -> None:
    home = HomeAssistant()
    subscriber = listening(broker.port, home, "home")
    with running(tmp_path, broker.port, "porch yard", "dog"):
        wait_until(lambda: len(home.announced) == 2, 5.0, "found")
        subscriber._client.publish("homeassistant/status", b"offline", qos=1)
        subscriber._client.publish("homeassistant/status", b"online", qos=1)
        wait_until(lambda: len(home.announced) == 4, 5.0, "announced again")
        assert home.announced == ["streamer_porch", "streamer_yard"] * 2
        assert subscriber.on("/active/dog") == [b"0", b"0"]  # the rest is retained: it comes from the broker
    subscriber.stop()
