"""Commands through real brokers, and through connections that go wrong at the subscription."""

from __future__ import annotations

import json
import logging
import random
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from servers.broker import Mosquitto, Subscriber, mosquitto_program, wait_until

from streamer.core.clock import NS_PER_MS, SystemClock
from streamer.publish.base import Message, Reply
from streamer.publish.birth import Birth
from streamer.publish.commands import Command, command_of
from streamer.publish.embedded import EmbeddedBroker
from streamer.publish.mqtt import MqttOptions, MqttSink, open_mqtt
from streamer.publish.url import BrokerAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Version = Literal["5", "3.1.1"] | None
BROKERS = [
    pytest.param("mosquitto-5", marks=pytest.mark.broker),
    pytest.param("mosquitto-3.1.1", marks=pytest.mark.broker),
    "amqtt-3.1.1",
]


@pytest.fixture(params=BROKERS)
def reached(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[BrokerAddress, Version]]:
    """A broker's address, and the version of MQTT to speak with it."""
    kind, _, version = request.param.partition("-")
    if kind == "amqtt":
        pytest.importorskip("amqtt")
        broker = EmbeddedBroker()
        yield broker.start(), version
        broker.stop()
    else:
        if mosquitto_program() is None:
            pytest.skip("needs mosquitto")
        with Mosquitto(tmp_path) as mosquitto:
            yield at(mosquitto.port), version


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little before another try."""
    monkeypatch.setattr("streamer.publish.mqtt._Backoff.next_s", lambda *_: 0.05)


def at(port: int) -> BrokerAddress:
    return BrokerAddress(host="127.0.0.1", port=port, tls=False)


@contextmanager
def sender(
    address: BrokerAddress, heard: Callable[[MQTTMessage], None] = lambda _: None, topic: str = ""
) -> Iterator[Client]:
    """Another client, of MQTT 3.1.1 as the embedded broker speaks only that."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    client.max_inflight_messages_set(10_000)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: heard(message)
    client.connect(address.host, address.port)
    client.subscribe(topic or "none/of/them", qos=1)
    client.loop_start()
    assert subscribed.wait(5.0)
    yield client
    client.disconnect()
    client.loop_stop()


@contextmanager
def hearing(
    address: BrokerAddress,
    version: Version = None,
    *,
    prefix: str = "streamer",
    number: int = 0,
    birth: Birth | None = None,
) -> Iterator[tuple[MqttSink, list[Command]]]:
    """A connected sink, and what it hears."""
    commands: list[Command] = []
    options = MqttOptions(address=address, version=version, topic_prefix=prefix, client_id="ours")
    sink = open_mqtt(options, on_command=commands.append, birth=birth)
    wait_until(lambda: (sink.connection() or 0) >= number and sink.connection() is not None, 8.0, "connected")
    yield sink, commands
    sink.close()


def test_a_command_is_heard_with_the_moment_of_its_arrival(reached: tuple[BrokerAddress, Version]) -> None:
    address, version = reached
    clock = SystemClock()
    with hearing(address, version, prefix="site/hall-2") as (_, commands), sender(address) as other:
        began_ns = clock.monotonic_ns()
        other.publish("site/hall-2/line/set/trigger", b"A-17", qos=1)
        wait_until(lambda: len(commands) == 1, 5.0, "a command")
        assert began_ns < commands[0].arrived_ns < clock.monotonic_ns()
    assert (commands[0].camera, commands[0].what, commands[0].payload) == ("line", "trigger", b"A-17")
    assert commands[0].reply is None


def test_what_is_retained_is_of_another_time_and_what_is_not_a_command_is_not_heard(
    reached: tuple[BrokerAddress, Version],
) -> None:
    address, version = reached
    with sender(address) as other:
        other.publish("streamer/line/set/trigger", b"old", qos=1, retain=True).wait_for_publish(5.0)
        with hearing(address, version) as (sink, commands):
            answer = Message(topic="line/set/trigger/result", payload=b"{}", qos=1, retain=False)
            assert sink.send(answer, lambda _: None)
            for topic in ("line/set", "line/set/trigger/result", "line/event", "a/b/set/trigger", "line/get/trigger"):
                other.publish(f"streamer/{topic}", b"no", qos=1)
            other.publish("other/line/set/trigger", b"no", qos=1)
            other.publish("streamer/line/set/trigger", b"new", qos=1)
            wait_until(lambda: len(commands) >= 1, 5.0, "a command")
            other.publish("streamer/line/set/trigger", b"last", qos=1)
            wait_until(lambda: len(commands) >= 2, 5.0, "the last")
    assert [command.payload for command in commands] == [b"new", b"last"]


def test_who_waits_for_online_is_heard(reached: tuple[BrokerAddress, Version]) -> None:
    address, version = reached
    online = threading.Event()

    def heard(message: MQTTMessage) -> None:
        if message.payload == b"online":
            online.set()

    with sender(address, heard, "streamer/status") as other, hearing(address, version) as (_, commands):
        assert online.wait(5.0)
        other.publish("streamer/line/set/trigger", b"1", qos=1)
        wait_until(lambda: len(commands) == 1, 5.0, "a command")


def test_a_start_of_home_assistant_is_heard_beside_commands(reached: tuple[BrokerAddress, Version]) -> None:
    address, version = reached
    births = threading.Semaphore(0)
    birth = Birth("ha", births.release, AtOnce())
    with sender(address) as other:
        other.publish("ha/status", b"online", qos=1, retain=True).wait_for_publish(5.0)  # of another time
        with hearing(address, version, birth=birth) as (_, commands):
            other.publish("streamer/line/set/trigger", b"1", qos=1)
            wait_until(lambda: len(commands) == 1, 5.0, "a command")
            assert not births.acquire(blocking=False)
            for topic in ("homeassistant/status", "ha/status"):
                other.publish(topic, b"online", qos=1)
                assert births.acquire(timeout=5.0)
            other.publish("streamer/line/set/trigger", b"2", qos=1)
            wait_until(lambda: len(commands) == 2, 5.0, "another command")


class AtOnce(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return 0.0


def test_a_burst_of_commands_does_not_stall_delivery(reached: tuple[BrokerAddress, Version]) -> None:
    address, version = reached
    count = 1_000
    slowest_ns: list[int] = []
    clock = SystemClock()
    with hearing(address, version) as (sink, commands), sender(address) as other:
        for number in range(count):
            other.publish("streamer/line/set/trigger", b"%d" % number, qos=1)
            if number % 50 == 0:
                sent_ns = clock.monotonic_ns()
                message = Message(topic="line/decision", payload=b"{}", qos=1, retain=False)

                def answered(_: str | None, sent_ns: int = sent_ns) -> None:
                    slowest_ns.append(clock.monotonic_ns() - sent_ns)

                wait_until(lambda: sink.send(message, answered), 5.0, "room")  # noqa: B023  called in this round alone
        wait_until(lambda: len(slowest_ns) == count // 50, 5.0, "answers")
        wait_until(lambda: len(commands) == count, 8.0, "all commands")
    assert [int(command.payload) for command in commands] == list(range(count))  # in order, none lost
    print("slowest answer, ms", max(slowest_ns) / NS_PER_MS)  # noqa: T201  for whoever measures


@pytest.mark.broker
def test_after_the_broker_came_back_commands_are_heard_again(broker: Mosquitto, quick: None) -> None:  # noqa: ARG001
    with hearing(at(broker.port)) as (sink, commands):
        for number in range(1, 4):  # more often than a broker may hang up on the subscription
            broker.kill()
            wait_until(lambda: sink.connection() is None, 5.0, "the loss is seen")
            broker.start()
            wait_until(lambda number=number: sink.connection() == number, 8.0, "connected")  # type: ignore[misc]
            with sender(at(broker.port)) as other:
                other.publish("streamer/line/set/trigger", b"1", qos=1)
                wait_until(lambda number=number: len(commands) == number, 5.0, "a command")  # type: ignore[misc]
    assert [command.payload for command in commands] == [b"1"] * 3


@pytest.mark.broker
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_refused_subscription_is_said_once_and_delivery_goes_on(
    tmp_path: Path,
    version: Version,
    caplog: pytest.LogCaptureFixture,
    quick: None,  # noqa: ARG001
) -> None:
    with refusing_broker(tmp_path) as broker, hearing(at(broker.port), version) as (sink, _):
        delivered(sink)
        broker.kill()
        wait_until(lambda: sink.connection() is None, 5.0, "the loss is seen")
        broker.start()
        wait_until(lambda: sink.connection() == 1, 8.0, "connected again")
        delivered(sink)
    refusals = [text for text in messages(caplog) if "no commands" in text]
    assert len(refusals) == 1
    assert "the broker refuses" in refusals[0]
    assert "streamer/+/set/+" in refusals[0]


@contextmanager
def refusing_broker(folder: Path) -> Iterator[Mosquitto]:
    """A mosquitto whose rules allow all but to subscribe."""
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    plugin = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"
    try:
        with open(plugin, "rb"):  # noqa: PTH123  only looked for
            pass
    except OSError:
        pytest.skip("needs mosquitto's dynamic security plugin")
    allowed = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"defaultACLAccess": allowed, "clients": [], "groups": [], "roles": []}))
    rules.chmod(0o600)
    extra = f"plugin {plugin}\nplugin_opt_config_file {rules}"
    with Mosquitto(folder / "broker", extra=extra) as broker:
        yield broker


def delivered(sink: MqttSink) -> None:
    """Let a message be taken by the broker."""
    answers: list[str | None] = []
    assert sink.send(Message(topic="line/event", payload=b"{}", qos=1, retain=False), answers.append)
    wait_until(lambda: answers == [None], 5.0, "delivered")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.broker
def test_a_broker_that_hangs_up_on_the_subscription_is_done_without_commands(
    broker: Mosquitto,
    caplog: pytest.LogCaptureFixture,
    quick: None,  # noqa: ARG001
) -> None:
    with Relay(broker.port, at_subscribe="hang up") as relay, hearing(at(relay.port)) as (sink, _):
        delivered(sink)
        assert relay.subscriptions == 2
    assert len([text for text in messages(caplog) if "no commands are heard" in text]) == 1


@pytest.mark.broker
def test_commands_that_were_done_without_are_tried_again_on_the_same_connection(
    broker: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    quick: None,  # noqa: ARG001
) -> None:
    monkeypatch.setattr("streamer.publish.subscription._AGAIN_NS", 1)
    caplog.set_level(logging.INFO)
    with Relay(broker.port, at_subscribe="hang up", times=2) as relay, hearing(at(relay.port)) as (sink, commands):
        wait_until(lambda: "commands are heard again" in caplog.text, 5.0, "heard again")
        with sender(at(broker.port)) as other:
            other.publish("streamer/line/set/trigger", b"1", qos=1)
            wait_until(lambda: len(commands) == 1, 5.0, "a command")
        assert relay.subscriptions == 3
        assert sink.connection() == 0  # of those that served


@pytest.mark.broker
def test_a_broker_that_always_hangs_up_is_asked_ever_more_rarely(
    broker: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,  # noqa: ARG001
) -> None:
    monkeypatch.setattr("streamer.publish.subscription._AGAIN_NS", 100 * NS_PER_MS)
    with Relay(broker.port, at_subscribe="hang up") as relay, hearing(at(relay.port), number=2) as (sink, _):
        assert sink._subscriptions[0]._pause_ns >= 800 * NS_PER_MS
        assert relay.subscriptions == 4
        delivered(sink)


@pytest.mark.broker
def test_a_broker_that_never_answers_the_subscription_holds_up_nothing(broker: Mosquitto) -> None:
    with Relay(broker.port, at_subscribe="swallow") as relay, hearing(at(relay.port)) as (sink, _):
        delivered(sink)
        assert relay.subscriptions == 1
        assert sink.connection() == 0


class Relay:
    """Hands bytes on to a broker, but for SUBSCRIBE, which a client of ours writes by itself."""

    def __init__(self, upstream: int, *, at_subscribe: str, times: int = 1_000) -> None:
        self.subscriptions = 0
        self._times = times
        self._upstream = upstream
        self._at_subscribe = at_subscribe
        self._stack = ExitStack()
        self._server = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Relay:  # noqa: PYI034  typing.Self is of Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)
        self._stack.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._upstream)) as upstream:
                back = threading.Thread(target=_copy, args=(upstream, client))
                back.start()
                self._forward(client, upstream)
                for end in (client, upstream):
                    with ExitStack() as quiet:
                        quiet.callback(end.close)
                        end.shutdown(socket.SHUT_RDWR) if end.fileno() >= 0 else None
                back.join(5.0)

    def _forward(self, client: socket.socket, upstream: socket.socket) -> None:
        while data := client.recv(4096):
            if data[0] == 0x82:
                self.subscriptions += 1
            if data[0] == 0x82 and self.subscriptions <= self._times:
                if self._at_subscribe == "hang up":
                    return
                continue
            upstream.sendall(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(4096):
            target.sendall(data)
    except OSError:  # the other side has hung up
        return


@pytest.mark.broker
def test_who_asks_by_mqtt_5_is_answered_where_it_wants_to_be(broker: Mosquitto) -> None:
    answers = Subscriber(broker.port, topic="factory/answers").start()
    asked = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    asked.ResponseTopic = "factory/answers"
    asked.CorrelationData = b"\x00\x17"
    told: list[Any] = []
    answers._client.on_message = lambda _client, _data, message: told.append(
        (message.topic, message.payload, getattr(message.properties, "CorrelationData", None))
    )
    with hearing(at(broker.port)) as (sink, commands):
        answers._client.publish("streamer/line/set/trigger", b"1", qos=1, properties=asked)
        wait_until(lambda: len(commands) == 1, 5.0, "a command")
        reply = commands[0].reply
        assert reply == Reply(topic="factory/answers", correlation=b"\x00\x17")
        assert sink.send(Message(topic="", payload=b"yes", qos=1, retain=False, reply=reply), lambda _: None)
        wait_until(lambda: len(told) == 1, 5.0, "the answer")
    assert told == [("factory/answers", b"yes", b"\x00\x17")]
    answers.stop()


@pytest.mark.broker
def test_a_payload_beyond_all_bounds_is_kept_from_us_by_the_broker(broker: Mosquitto) -> None:
    with hearing(at(broker.port)) as (sink, commands), sender(at(broker.port)) as other:
        other.publish("streamer/line/set/trigger", b"x" * 1_000_000, qos=1).wait_for_publish(5.0)
        other.publish("streamer/line/set/trigger", b"small", qos=1)
        wait_until(lambda: len(commands) >= 1, 5.0, "a command")
        assert sink.connection() == 0
    assert [command.payload for command in commands] == [b"small"]


def heard(topic: bytes, *, retain: bool = False, **said: object) -> MQTTMessage:
    message = MQTTMessage(topic=topic)
    message.payload = b"1"
    message.retain = retain
    message.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in said.items():
        setattr(message.properties, name, value)
    return message


@pytest.mark.parametrize(
    "message",
    [
        heard(b"streamer/line/set/trigger", retain=True),
        heard(b"streamer/\xff/set/trigger"),
        heard(b"streamer/line/set"),
        heard(b"streamer/line/set/trigger/result"),
        heard(b"streamer/line/get/trigger"),
    ],
)
def test_what_is_no_command(message: MQTTMessage) -> None:
    assert command_of(message, prefix="streamer", arrived_ns=1) is None


@pytest.mark.parametrize(
    ("topic", "answered"),
    [
        ("factory/answers", True),
        ("streamer", False),
        ("streamer/line/decision", False),  # nobody speaks in our name
        ("streamer2/answers", True),
        ("$SYS/answers", False),
        ("factory/+", False),
        ("factory/#", False),
        ("factory/\x07", False),
        ("x" * 1_025, False),
    ],
)
def test_an_answer_goes_only_where_it_may(topic: str, answered: bool) -> None:  # noqa: FBT001  a parameter
    command = command_of(heard(b"streamer/line/set/trigger", ResponseTopic=topic), prefix="streamer", arrived_ns=1)
    assert command is not None
    assert (command.reply == Reply(topic=topic, correlation=None)) == answered


def test_correlation_data_beyond_all_bounds_gets_no_answer() -> None:
    message = heard(b"streamer/line/set/trigger", ResponseTopic="a", CorrelationData=b"x" * 1_025)
    command = command_of(message, prefix="streamer", arrived_ns=1)
    assert command is not None
    assert command.reply is None
