"""Hear what the broker hands out: a subscriber, for the demo and for probes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from .url import BrokerAddress

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_LAST_LOOKS = 5
_LAST_LOOK_S = 0.1


class Listener:
    """Subscribed to one topic filter, in a thread of its own."""

    def __init__(self, address: BrokerAddress, topic_filter: str, heard: Callable[[str, bytes], None]) -> None:
        """Store the parts; `start` connects.

        Args:
            address: of the broker.
            topic_filter: what to subscribe to.
            heard: told (topic, payload) of each message, in the listener's thread.
        """
        self._address = address
        self._filter = topic_filter
        self._heard = heard
        self._stop = threading.Event()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._thread = threading.Thread(target=self._run, name="streamer-listener", daemon=True)

    def start(self, timeout_s: float = 5.0) -> bool:
        """Connect and subscribe; False if the broker has not confirmed that in time."""
        self._client.connect(self._address.host, self._address.port)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.subscribe(self._filter, qos=1)
        self._thread.start()
        return self._subscribed.wait(timeout_s)

    def close(self) -> None:
        """Leave the broker and end the thread. Idempotent."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_POLL_S + 1.0)
        self._client.disconnect()

    def _run(self) -> None:
        """Read what comes.

        Thread: streamer-listener.  Ends: `close`, or the broker has gone.
        Blocks on: the socket (0.1 s; at the end 0.5 s).
        """
        while not self._stop.is_set():
            if self._client.loop(_POLL_S) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        for _ in range(_LAST_LOOKS):  # what the broker has taken already is still on its way
            self._client.loop(_LAST_LOOK_S)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            self._heard(message.topic, bytes(message.payload))
        except Exception:  # noqa: BLE001  paho would end its loop without a word
            _log.exception("a message on %s could not be dealt with", message.topic)
