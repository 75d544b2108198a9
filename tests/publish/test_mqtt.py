"""The MQTT sink against real brokers, and against peers that are none."""

from __future__ import annotations

import logging
import random
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from servers.broker import Mosquitto, Subscriber, free_port, mosquitto_program, wait_until

from streamer.core.errors import ConfigError
from streamer.publish.base import Message
from streamer.publish.mqtt import MqttOptions, MqttSink, open_mqtt
from streamer.publish.url import BrokerAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_mosquitto = [
    pytest.mark.broker,
    pytest.mark.skipif(mosquitto_program() is None, reason="needs mosquitto"),
]


def at(port: int, *, tls: bool = False) -> BrokerAddress:
    return BrokerAddress(host="127.0.0.1", port=port, tls=tls)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little before another try."""
    monkeypatch.setattr("streamer.publish.mqtt._Backoff.next_s", lambda *_: 0.05)


def until_connected(sink: MqttSink, number: int = 0) -> None:
    wait_until(
        lambda: (sink.connection() or 0) >= number and sink.connection() is not None, 8.0, f"connection {number}"
    )


def until_trouble(sink: MqttSink, text: str) -> None:
    wait_until(lambda: text in (sink.trouble() or ""), 8.0, f"trouble: {text}, not {sink.trouble()}")


@pytest.mark.broker
def test_status_is_online_then_offline_at_a_clean_end(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port).start()
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port), topic_prefix="site/a"))
    other = Subscriber(mosquitto.port, topic="site/a/status", client_id="other").start()
    until_connected(sink)
    assert other.wait_for(1, "status") == [b"online"]
    sink.close()
    assert other.wait_for(2, "status") == [b"online", b"offline"]
    assert other.messages[1] == ("site/a/status", b"offline", True)
    assert subscriber.messages == []  # the prefix is the one that was asked for
    subscriber.stop()
    other.stop()


@pytest.mark.broker
def test_a_topic_that_begins_with_a_slash_is_whole_behind_it(mosquitto: Mosquitto) -> None:
    heard = Subscriber(mosquitto.port, topic="#").start()
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port), topic_prefix="site/a"))
    until_connected(sink)
    for topic in ("porch/event", "/homeassistant/device/x/config"):
        assert sink.send(Message(topic=topic, payload=b"1", qos=1, retain=False), lambda _: None)
    wait_until(lambda: len(heard.messages) == 3, 5.0, "both and the status")
    assert {topic for topic, _, _ in heard.messages} == {
        "site/a/status",
        "site/a/porch/event",
        "homeassistant/device/x/config",
    }
    sink.close()
    heard.stop()


@pytest.mark.broker
def test_the_last_will_says_offline_for_a_run_that_dies(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port).start()
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port)))
    until_connected(sink)
    assert sink._session is not None
    sock = sink._session._socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)
    assert subscriber.wait_for(3, "status")[:3] == [b"online", b"offline", b"online"]
    until_connected(sink, 1)
    sink.close()
    subscriber.stop()


@pytest.mark.broker
def test_a_killed_broker_means_a_new_connection(mosquitto: Mosquitto, quick: None) -> None:  # noqa: ARG001
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port)))
    until_connected(sink)
    mosquitto.kill()
    wait_until(lambda: sink.connection() is None, 5.0, "the loss is seen")
    assert not sink.send(Message(topic="a", payload=b"1", qos=1, retain=False), lambda _: None)
    until_trouble(sink, "nothing listens at")
    mosquitto.start()
    until_connected(sink, 1)
    assert sink.trouble() is None
    sink.close()


@pytest.mark.broker
def test_a_wrong_password_is_said_once_without_it_and_tried_slowly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if mosquitto_program() is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("needs mosquitto and mosquitto_passwd")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "me", "right-one"], check=True, capture_output=True)
    broker = Mosquitto(tmp_path / "broker", extra=f"password_file {passwords}", anonymous=False).start()
    with caplog.at_level(logging.INFO):
        sink = open_mqtt(MqttOptions(address=at(broker.port), username="me", password="wrong-one"))  # noqa: S106
        until_trouble(sink, f"login refused by 127.0.0.1:{broker.port}")
        sink.close()
    text = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(text) == 1
    assert "trying again in" in text[0]
    assert 15 <= int(text[0].split(" in ")[1].split()[0]) <= 30
    assert "wrong-one" not in caplog.text
    assert "wrong-one" not in repr(sink._options)
    good = open_mqtt(MqttOptions(address=at(broker.port), username="me", password="right-one"))  # noqa: S106
    until_connected(good)
    good.close()
    broker.stop()


@pytest.mark.broker
def test_a_denied_topic_is_refused_by_mqtt_5(tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite streamer/status\ntopic readwrite streamer/porch/#\n")
    acl.chmod(0o700)
    broker = Mosquitto(tmp_path / "broker", extra=f"acl_file {acl}").start()
    sink = open_mqtt(MqttOptions(address=at(broker.port)))
    until_connected(sink)
    answers: dict[str, str | None] = {}
    both = threading.Barrier(2, timeout=5.0)
    for camera in ("porch", "yard"):

        def on_done(refusal: str | None, camera: str = camera) -> None:
            answers[camera] = refusal
            if len(answers) == 2:
                both.wait()

        assert sink.send(Message(topic=f"{camera}/event", payload=b"{}", qos=1, retain=False), on_done)
    both.wait()
    assert answers == {"porch": None, "yard": "Not authorized"}
    sink.close()
    broker.stop()


@pytest.mark.broker
def test_a_broker_that_says_it_speaks_only_3_1_1_gets_it(tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    broker = Mosquitto(tmp_path / "broker", extra="max_packet_size 100000").start()
    relay = VersionRefuser(broker.port)
    sink = open_mqtt(MqttOptions(address=at(relay.port)))
    until_connected(sink)
    assert sink._session is not None
    assert not sink._session.is_v5
    assert relay.refused == 1
    sink.close()
    relay.close()
    broker.stop()


class VersionRefuser:
    """Answers an MQTT 5 CONNECT as an old broker does, and lets 3.1.1 through to a real one."""

    def __init__(self, upstream: int) -> None:
        self.refused = 0
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5.0)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            hello = client.recv(4096)
            if hello[8] == 5:  # protocol level, behind the fixed header and "MQTT"
                self.refused += 1
                client.sendall(bytes([0x20, 2, 0, 1]))
                client.close()
                continue
            upstream = socket.create_connection(("127.0.0.1", self._upstream))
            upstream.sendall(hello)
            back = threading.Thread(target=_copy, args=(upstream, client))
            back.start()
            _copy(client, upstream)
            back.join(5.0)
            client.close()
            upstream.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(4096):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def test_a_peer_that_is_no_broker_is_named(quick: None) -> None:  # noqa: ARG001
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stop = threading.Event()

        def close_at_once() -> None:
            while not stop.is_set():
                server.accept()[0].close()

        thread = threading.Thread(target=close_at_once)
        thread.start()
        sink = open_mqtt(MqttOptions(address=at(port)))
        until_trouble(sink, f"127.0.0.1:{port} did not answer as a broker; is it a port for mqtts:// ?")
        sink.close()
        stop.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join(5.0)


def test_a_broker_that_is_not_there_at_the_start_is_said_once(
    quick: None,  # noqa: ARG001
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried = threading.Semaphore(0)
    sink = open_mqtt(MqttOptions(address=at(free_port())), rng=random.Random(1))
    original = sink._recover

    def counted(lost: object) -> None:
        original(lost)  # type: ignore[arg-type]
        tried.release()

    sink._recover = counted  # type: ignore[method-assign]
    for _ in range(4):
        assert tried.acquire(timeout=5.0)
    sink.close()
    assert len([record for record in caplog.records if "nothing listens" in record.message]) == 1


def test_an_unreadable_ca_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        open_mqtt(MqttOptions(address=at(1, tls=True), ca_file=tmp_path / "none.pem"))


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    run = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    run += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.mark.broker
def test_tls_with_the_right_authority_with_a_wrong_one_and_without(certificates: Path, quick: None) -> None:  # noqa: ARG001
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    extra = f"certfile {certificates}/cert.pem\nkeyfile {certificates}/key.pem"
    broker = Mosquitto(certificates / "broker", extra=extra).start()
    trusted = open_mqtt(MqttOptions(address=at(broker.port, tls=True), ca_file=certificates / "cert.pem"))
    until_connected(trusted)
    answered = threading.Event()
    big = Message(topic="a", payload=b"x" * 300_000, qos=1, retain=False)  # more than a socket takes at once
    assert trusted.send(big, lambda _: answered.set())
    assert answered.wait(5.0)
    trusted.close()
    untrusted = open_mqtt(MqttOptions(address=at(broker.port, tls=True), client_id="other"))
    until_trouble(untrusted, "is not trusted")
    untrusted.close()
    plain = open_mqtt(MqttOptions(address=at(broker.port), client_id="plain"))
    until_trouble(plain, "is it a port for mqtts://")
    plain.close()
    broker.stop()


@pytest.mark.broker
def test_the_window_is_bounded_and_a_stuck_broker_blocks_nobody(mosquitto: Mosquitto) -> None:
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port)))
    until_connected(sink)
    mosquitto.freeze()
    done: list[str | None] = []
    message = Message(topic="a", payload=b"x" * 50_000, qos=1, retain=False)
    taken = 0
    while sink.send(message, done.append):
        taken += 1
        assert taken <= 100
    feed = Message(topic="b", payload=b"x" * 50_000, qos=0, retain=False)
    while sink.send(feed, lambda _: None):  # until the socket is full
        taken += 1
        assert taken < 1_000
    mosquitto.thaw()
    wait_until(lambda: sink.send(message, done.append), 5.0, "room again")
    wait_until(lambda: len(done) > 1, 5.0, "answers")
    sink.close()


@pytest.mark.broker
def test_a_stuck_broker_does_not_hold_up_the_end(mosquitto: Mosquitto) -> None:
    sink = open_mqtt(MqttOptions(address=at(mosquitto.port)))
    until_connected(sink)
    mosquitto.freeze()
    began_s = time.monotonic()
    sink.close()
    assert time.monotonic() - began_s < 2.0
    mosquitto.thaw()


def test_a_connect_that_nobody_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.publish.mqtt._CONNECT_S", 1.5)
    with black_hole() as port:
        sink = open_mqtt(MqttOptions(address=at(port)))
        wait_until(lambda: sink._connecting, 5.0, "the thread is in its connect")
        began_s = time.monotonic()
        sink.close()
        assert time.monotonic() - began_s < 0.5
        sink._thread.join(5.0)
        assert not sink._thread.is_alive()  # it ended by itself


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers no connect: its queue is full, so that the system drops what comes."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.broker
def test_a_message_larger_than_the_broker_takes_is_refused_not_sent(tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    broker = Mosquitto(tmp_path / "broker", extra="max_packet_size 1000").start()
    sink = open_mqtt(MqttOptions(address=at(broker.port)))
    until_connected(sink)
    answers: list[str | None] = []
    assert sink.send(Message(topic="a", payload=b"x" * 5_000, qos=1, retain=False), answers.append)
    assert answers == ["larger than the 1000 bytes that the broker takes"]
    assert sink.connection() == 0
    sink.close()
    broker.stop()
