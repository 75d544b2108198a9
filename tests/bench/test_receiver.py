"""The receiver against real clients: paho in both versions, each QoS; and against garbage."""

from __future__ import annotations

import json
import socket
import threading
from datetime import datetime, timedelta, timezone

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streamer.bench.receiver import Receiver, parse_publish
from streamer.events.feed import lacking, open_feed_form


def feed(age: timedelta, age_ms: float | None = 1.0) -> bytes:
    captured = datetime.now(timezone.utc) - age
    text = captured.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"captured_at": text, "age_ms": age_ms, "detections": []}).encode()


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_real_client_is_answered_and_its_feed_is_aged(version: MQTTProtocolVersion, qos: int) -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=version)
    properties = None
    if version is MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = 300
    with Receiver() as receiver:
        client.connect("127.0.0.1", receiver.port)
        client.loop_start()
        try:
            topics = ["streamer/porch/detections", "streamer/yard/detections", "streamer/porch/event"]
            payloads = [feed(timedelta(seconds=2)), feed(timedelta(0), None), b"x" * 300]
            sent = [client.publish(t, p, qos, properties=properties) for t, p in zip(topics, payloads, strict=True)]
            sent.append(client.publish("streamer/status", b"online", 1))  # answered when those before it are here
            for info in sent:
                info.wait_for_publish(5.0)
                assert info.is_published()
        finally:
            client.disconnect()
            client.loop_stop()
    assert receiver.topics == {"detections": 2, "event": 1, "status": 1}
    (arrival,) = receiver.arrivals  # a recording's frames have no age
    assert arrival.camera == "porch"
    assert 1_999 <= arrival.age_ms < 3_000


@pytest.mark.parametrize("form", ["json", "cbor"])
def test_a_feed_is_aged_in_either_form(form: str) -> None:
    if missing := lacking(form):
        pytest.skip(missing)
    payload = open_feed_form(form).encode(json.loads(feed(timedelta(seconds=2))))
    topic = b"streamer/porch/detections"
    publish = b"\x30" + bytes([2 + len(topic) + len(payload)]) + bytes([0, len(topic)]) + topic + payload
    with Receiver() as receiver, socket.create_connection(("127.0.0.1", receiver.port), timeout=3) as client:
        client.sendall(b"\x10\x0c\0\x04MQTT\x04\x02\0\x0f\0\0")
        assert client.recv(4, socket.MSG_WAITALL) == b"\x20\x02\0\0"
        client.sendall(publish + b"\xc0\0")
        assert client.recv(2, socket.MSG_WAITALL) == b"\xd0\0"  # what was before it is dealt with
    (arrival,) = receiver.arrivals
    assert 1_999 <= arrival.age_ms < 5_000


def test_garbage_ends_its_own_connection_only() -> None:
    with Receiver() as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=3) as garbage:
            garbage.sendall(b"\x30\x02\xff\xffGET / HTTP/1.1\r\n\r\n")
            garbage.shutdown(socket.SHUT_WR)
            assert garbage.recv(100) == b""
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=3) as client:
            client.sendall(b"\x10\x0c\0\x04MQTT\x04\x02\0\x0f\0\0\xc0\0")
            assert client.recv(4, socket.MSG_WAITALL) == b"\x20\x02\0\0"
            assert client.recv(2, socket.MSG_WAITALL) == b"\xd0\0"


def test_the_end_does_not_wait_for_clients() -> None:
    with Receiver() as receiver:
        client = socket.create_connection(("127.0.0.1", receiver.port), timeout=3)
        client.sendall(b"\x10\x0c\0\x04MQTT\x04\x02\0\x0f\0\0")
        assert client.recv(4, socket.MSG_WAITALL) == b"\x20\x02\0\0"
    assert client.recv(1) == b""
    client.close()
    assert not [t for t in threading.enumerate() if t.name == "streamer-receiver"]


def test_a_publish_is_taken_apart() -> None:
    five = b"\x00\x03a/b" + b"\x00\x07" + b"\x05\x02\0\0\x01\x2c" + b"payload"
    found = parse_publish(0x32, five, 5)
    assert (found.topic, found.payload, found.qos, found.packet_id) == ("a/b", b"payload", 1, b"\x00\x07")
    assert parse_publish(0x30, b"\x00\x01ax", 4).payload == b"x"
