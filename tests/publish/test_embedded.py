from __future__ import annotations

import gc
import importlib.util
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from servers.broker import wait_until

from streamer.core.errors import ConfigError, SinkError
from streamer.publish.embedded import EmbeddedBroker
from streamer.publish.mqtt import MqttOptions, MqttSink, open_mqtt

if TYPE_CHECKING:
    from streamer.publish.url import BrokerAddress


def connected_sink(address: BrokerAddress) -> MqttSink:
    sink = open_mqtt(MqttOptions(address=address, version="3.1.1"))
    wait_until(lambda: sink.connection() is not None, 5.0, "connected")
    return sink


def test_it_listens_on_this_machine_only_and_ends() -> None:
    pytest.importorskip("amqtt")
    broker = EmbeddedBroker()
    address = broker.start()
    assert address.host == "127.0.0.1"
    connected_sink(address).close()
    broker.stop()
    broker.stop()
    assert "streamer-broker" not in [thread.name for thread in threading.enumerate()]


def test_it_ends_while_clients_are_there_still() -> None:
    pytest.importorskip("amqtt")
    broker = EmbeddedBroker()
    address = broker.start()
    sink = connected_sink(address)
    with socket.create_connection((address.host, address.port), timeout=2.0):
        broker.stop()
    sink.close()
    assert "streamer-broker" not in [thread.name for thread in threading.enumerate()]
    gc.collect()  # a socket that nobody has closed is reported now, not in another test


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    pytest.importorskip("amqtt")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=f"can't listen at 127.0.0.1:{port}"):
            EmbeddedBroker(port).start()


def test_without_amqtt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r'pip install "streamer\[demo\]"'):
        EmbeddedBroker().start()
