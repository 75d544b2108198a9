"""What only MQTT 5 can say of a message, as another client hears it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from servers.broker import Mosquitto, mosquitto_program, wait_until

from streamer.publish.base import Message
from streamer.publish.mqtt import MqttOptions, open_mqtt
from streamer.publish.url import BrokerAddress

if TYPE_CHECKING:
    from pathlib import Path

Said = tuple["str | None", "int | None"]  # content type and expiry

# Topic -> what is said of its message.
KINDS: dict[str, Said] = {
    "a": ("application/cbor", None),
    "b": ("application/json", None),
    "c": ("application/cbor", 40),
    "d": (None, None),
    "e": (None, 50),
    "f": ("application/cbor", None),
}


class Listener:
    """A client with MQTT 5 that keeps what is said of each message."""

    def __init__(self, port: int) -> None:
        self.heard: dict[str, Said] = {}
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "listener", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_connect = lambda client, *_: client.subscribe("streamer/porch/#", qos=0)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(5.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        said = message.properties
        kind = getattr(said, "ContentType", None), getattr(said, "MessageExpiryInterval", None)
        self.heard[message.topic.rpartition("/")[2]] = kind


@pytest.mark.broker
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_kind_of_a_payload_is_told_where_mqtt_can(tmp_path: Path, version: Literal["5", "3.1.1"]) -> None:
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    with Mosquitto(tmp_path) as broker:
        listener = Listener(broker.port)
        address = BrokerAddress(host="127.0.0.1", port=broker.port, tls=False)
        sink = open_mqtt(MqttOptions(address=address, version=version))
        wait_until(lambda: sink.connection() is not None, 5.0, "connected")
        for topic, (content_type, expiry_s) in KINDS.items():
            message = Message(
                topic=f"porch/{topic}", payload=b"x", qos=1, retain=False, content_type=content_type, expiry_s=expiry_s
            )
            assert sink.send(message, lambda _: None)
        wait_until(lambda: len(listener.heard) == len(KINDS), 5.0, "all messages")
        sink.close()
        listener.close()
    assert listener.heard == (KINDS if version == "5" else dict.fromkeys(KINDS, (None, None)))
