"""What every sink does, shown on each of them."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest
from servers.broker import Mosquitto, mosquitto_program, wait_until
from servers.hook import HookServer

from streamer.core.clock import SystemClock
from streamer.gpio.memory_lines import MemoryOutput
from streamer.publish.base import Message
from streamer.publish.embedded import EmbeddedBroker
from streamer.publish.gpio import GpioPlan, open_gpio
from streamer.publish.memory import MemorySink
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.shell import CommandOptions, open_command
from streamer.publish.url import BrokerAddress
from streamer.publish.webhook import WebhookOptions, open_webhook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamer.publish.base import Sink

SINKS = [
    "memory",
    pytest.param("mosquitto-5", marks=pytest.mark.broker),
    pytest.param("mosquitto-3.1.1", marks=pytest.mark.broker),
    "amqtt",
    "gpio",
    "webhook",
    "command",
]


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    opened: Sink
    if request.param == "memory":
        opened = MemorySink()
        yield opened
        opened.close()
    elif request.param == "gpio":
        plan = GpioPlan(name="porch", open_output=MemoryOutput, delay_s=0.0, pulse_s=0.5, alarm=lambda _: None)
        opened = open_gpio(plan, clock=SystemClock())
        yield opened
        opened.close()
    elif request.param == "webhook":
        with HookServer() as server:
            options = WebhookOptions(name="alarm", url=server.url())
            opened = open_webhook(options, clock=SystemClock(), rng=random.Random(1))
            yield opened
            opened.close()
    elif request.param == "command":
        command = CommandOptions(name="siren", command=("cat",), environ={"PATH": os.defpath})
        opened = open_command(command, clock=SystemClock(), rng=random.Random(1))
        yield opened
        opened.close()
    elif request.param == "amqtt":
        pytest.importorskip("amqtt")
        broker = EmbeddedBroker()
        opened = open_mqtt(MqttOptions(address=broker.start(), version="3.1.1"))
        yield opened
        opened.close()
        broker.stop()
    else:
        if mosquitto_program() is None:
            pytest.skip("needs mosquitto")
        mosquitto = Mosquitto(tmp_path).start()
        address = BrokerAddress(host="127.0.0.1", port=mosquitto.port, tls=False)
        version = request.param.removeprefix("mosquitto-")
        opened = open_mqtt(MqttOptions(address=address, version=version))
        yield opened
        opened.close()
        mosquitto.stop()


class Answers:
    def __init__(self, count: int) -> None:
        self.refusals: list[str | None] = []
        self._count = count
        self._all = threading.Event()

    def __call__(self, refusal: str | None) -> None:
        self.refusals.append(refusal)
        if len(self.refusals) == self._count:
            self._all.set()

    def wait(self) -> bool:
        return self._all.wait(5.0)


def message(number: int, *, qos: int = 1, retain: bool = False) -> Message:
    return Message(topic="porch/event", payload=b"%d" % number, qos=qos, retain=retain)


def decision(number: int) -> Message:
    return Message(topic="porch/decision", payload=b'{"item":"%d","verdict":"reject"}' % number, qos=1, retain=False)


def until_connected(sink: Sink) -> None:
    wait_until(lambda: sink.connection() is not None, 5.0, "connected")


def test_the_first_connection_has_the_number_0(sink: Sink) -> None:
    until_connected(sink)
    assert sink.connection() == 0


@pytest.mark.parametrize("qos", [0, 1])
def test_each_message_is_answered_once(sink: Sink, qos: int) -> None:
    until_connected(sink)
    answers = Answers(50)
    for i in range(50):
        wait_until(lambda i=i: sink.send(message(i, qos=qos), answers), 5.0, "room")  # type: ignore[misc]
    assert answers.wait()
    assert answers.refusals == [None] * 50


def test_each_decision_is_answered_once(sink: Sink) -> None:
    until_connected(sink)
    answers = Answers(50)
    for i in range(50):
        wait_until(lambda i=i: sink.send(decision(i), answers), 5.0, "room")  # type: ignore[misc]
    assert answers.wait()
    assert answers.refusals == [None] * 50


def test_a_retained_and_an_empty_message_are_taken(sink: Sink) -> None:
    until_connected(sink)
    answers = Answers(2)
    empty = Message(topic="porch/event", payload=b"", qos=1, retain=True)
    for given in (message(1, retain=True), empty):
        wait_until(lambda given=given: sink.send(given, answers), 5.0, "room")  # type: ignore[misc]
    assert answers.wait()


def test_after_close_nothing_is_taken_and_close_may_come_twice(sink: Sink) -> None:
    until_connected(sink)
    sink.close()
    assert sink.connection() is None
    assert not sink.send(message(1), Answers(1))
    sink.close()
