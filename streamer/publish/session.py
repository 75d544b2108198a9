"""One connection to an MQTT broker: a paho client that is used once, so that no old queue comes back to life."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, cast

from paho.mqtt.client import topic_matches_sub
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from . import reasons
from .base import places
from .client import connect_properties, publish_properties, subscribe_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from .base import Message
    from .reasons import BrokerError
    from .url import BrokerAddress

_KEEPALIVE_S = 15  # a dead peer is noticed after one to two of these
_MISC_NS = 1_000_000_000  # how often paho looks whether a ping is due
_HEADER_BYTES = 64  # more than the fixed header and the properties we send


class Session:
    """paho without its own thread: messages are written by whoever sends them, answers are read by `serve`.

    One hop less for each message than `loop_start`, and a thread that can't die of an exception in a callback unseen.
    """

    def __init__(self, client: Client, address: BrokerAddress, *, window: int) -> None:
        """Store the parts.

        Args:
            client: never connected before; `Session` sets its callbacks.
            address: of the broker.
            window: how many messages may wait for an answer.
        """
        # Guards the client and all below. It is held across socket calls: they never wait, the socket is non-blocking.
        self._io = threading.Lock()
        self._client = client
        self._address = address
        self._window = window
        self._connected = False
        self._lost: BrokerError | None = None
        self._waiting: dict[int, Callable[[str | None], None]] = {}
        self._answered: list[tuple[int, str | None]] = []
        self._arrived: list[tuple[MQTTMessage, int]] = []
        self._hears: dict[str, Callable[[MQTTMessage, int], None]] = {}  # topic filter -> who is told
        self._most_qos = 2
        self._most_bytes = 1 << 28
        self._next_misc_ns = 0
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = socket.socketpair()
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5 is spoken."""
        return bool(self._client.protocol == MQTTProtocolVersion.MQTTv5)

    def open(self, limit_s: float, stopping: threading.Event) -> None:
        """Connect and wait for the broker's answer.

        Raises:
            BrokerError: there is no connection.
        """
        deadline_ns = time.monotonic_ns() + round(limit_s * 1e9)
        try:
            self._client.connect_timeout = limit_s
            said = connect_properties(v5=self.is_v5)
            self._client.connect(self._address.host, self._address.port, _KEEPALIVE_S, properties=said)
        except (OSError, ValueError) as exc:
            raise reasons.unreachable(self._address, exc) from exc
        sock = self._socket()
        if sock is None:
            raise reasons.silent(self._address, tls=self._address.tls)
        # Small messages leave at once, not when the one before has been acknowledged by the peer's kernel.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._wake_r, selectors.EVENT_READ)
        while not self._connected and not stopping.is_set():
            if time.monotonic_ns() > deadline_ns:
                raise reasons.silent(self._address, tls=self._address.tls)
            self.serve(0.1)

    def publish(self, message: Message, topic: str, on_done: Callable[[str | None], None]) -> bool:
        """Write a message; False if there is no connection or too many messages wait. Any thread.

        QoS 0 has no answers to wait for: it is bounded by what the socket takes. So is what is urgent: behind a socket
        that takes nothing nobody could call it back when its time is over.
        """
        with self._io:
            if not self._connected or self._lost is not None:
                return False
            if self._is_full_locked(message):
                return False
            refusal = self._why_not(message, topic)
            written = refusal is not None or self._publish_locked(message, topic, on_done)
            calls = self._take_answers_locked()
            blocked = self._client.want_write() or self._lost is not None
        if blocked:
            self.wake()
        if refusal is not None:
            on_done(refusal)
        _call(calls)
        return written

    def _is_full_locked(self, message: Message) -> bool:
        if (message.qos == 0 or message.urgent) and self._client.want_write():
            return True
        return message.qos > 0 and len(self._waiting) >= places(message, self._window)

    def _why_not(self, message: Message, topic: str) -> str | None:
        if len(message.payload) + len(topic) + _HEADER_BYTES > self._most_bytes:
            return f"larger than the {self._most_bytes} bytes that the broker takes"
        if "+" in topic or "#" in topic:
            return "a topic to publish to holds no + and no #"
        return None

    def _publish_locked(self, message: Message, topic: str, on_done: Callable[[str | None], None]) -> bool:
        qos = min(message.qos, self._most_qos)
        said = publish_properties(message) if self.is_v5 else None
        info = self._client.publish(topic, message.payload, qos, message.retain, said)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._waiting[info.mid] = on_done
        return True

    def subscribe(
        self, topic_filter: str, hear: Callable[[MQTTMessage, int], None], on_done: Callable[[str | None], None]
    ) -> None:
        """Ask for messages.

        Args:
            topic_filter: of their topics.
            hear: told each, and when it was read (monotonic, ns), in the thread that serves.
            on_done: told the broker's answer: None or its refusal. Never if the connection breaks first.
        """
        with self._io:
            self._hears[topic_filter] = hear
            self._client.on_message = self._on_message
            self._client.on_subscribe = self._on_subscribe
            if self.is_v5:
                result, number = self._client.subscribe(topic_filter, options=subscribe_options())
            else:
                result, number = self._client.subscribe(topic_filter, qos=1)
            if result == MQTTErrorCode.MQTT_ERR_SUCCESS and number is not None:
                self._waiting[number] = on_done

    def serve(self, timeout_s: float) -> None:
        """Wait for the broker or `wake`, read and write what there is, pass answers and messages on.

        Raises:
            BrokerError: the connection has ended.
        """
        self._wait(timeout_s)
        with self._io:
            self._client.loop_read()
            if self._client.want_write():
                self._client.loop_write()
            now_ns = time.monotonic_ns()
            if now_ns >= self._next_misc_ns:
                self._next_misc_ns = now_ns + _MISC_NS
                self._client.loop_misc()
            calls = self._take_answers_locked()
            arrived, self._arrived = self._arrived, []
            hears, lost = list(self._hears.items()), self._lost
        _call(calls)
        for message, arrived_ns in arrived:
            _tell(hears, message, arrived_ns)
        if lost is not None:
            raise lost

    def wake(self) -> None:
        """Let a waiting `serve` go on. Any thread."""
        try:
            self._wake_w.send(b"\0")
        except OSError:  # full: it will wake anyway; or closed
            return

    def waiting(self) -> int:
        """Return how many messages wait for an answer."""
        return len(self._waiting)

    def end(self, *, goodbye: bool) -> None:
        """Close.

        Args:
            goodbye: say that this is a clean end; else the broker publishes our last will.
        """
        with self._io:
            self._connected = False
            sock = self._socket()
            if goodbye:
                self._client.disconnect()
            if sock is not None:
                sock.close()
        self._selector.close()
        self._wake_r.close()
        self._wake_w.close()

    def _socket(self) -> socket.socket | None:
        return cast("socket.socket | None", self._client.socket())

    def _wait(self, timeout_s: float) -> None:
        with self._io:
            sock = self._socket()
            if sock is None:
                return
            if isinstance(sock, ssl.SSLSocket) and sock.pending():  # decrypted already: no selector sees it
                return
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
            if self._selector.get_key(sock).events != events:
                self._selector.modify(sock, events)
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._wake_r:
                self._wake_r.recv(4096)

    def _take_answers_locked(self) -> list[tuple[Callable[[str | None], None], str | None]]:
        calls, self._answered = [(self._waiting.pop(mid, None), why) for mid, why in self._answered], []
        return [(on_done, why) for on_done, why in calls if on_done is not None]

    # paho calls these from within publish, loop_read, loop_write, loop_misc and disconnect: the lock is held.

    def _on_connect(
        self, _client: Client, _userdata: object, _flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._lost = reasons.refused(self._address, code.value, str(code))
            return
        self._most_qos = getattr(properties, "MaximumQoS", 2)
        self._most_bytes = getattr(properties, "MaximumPacketSize", self._most_bytes)
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
        self._connected = True

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._answered.append((mid, str(code) if code.is_failure else None))

    def _on_subscribe(
        self, _client: Client, _userdata: object, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refusals = [str(code) for code in codes if code.is_failure]
        self._answered.append((mid, refusals[0] if refusals else None))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._arrived.append((message, time.monotonic_ns()))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._lost = reasons.disconnected(self._address, code.value, str(code))
        elif self._connected:
            self._lost = reasons.broken(self._address)
        else:
            self._lost = reasons.silent(self._address, tls=self._address.tls)


def _call(calls: list[tuple[Callable[[str | None], None], str | None]]) -> None:
    for on_done, why in calls:
        on_done(why)


def _tell(hears: list[tuple[str, Callable[[MQTTMessage, int], None]]], message: MQTTMessage, arrived_ns: int) -> None:
    """Hand a message to whoever has subscribed to its topic."""
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return  # no topic of ours, and none that MQTT allows
    for topic_filter, hear in hears:
        if topic_matches_sub(topic_filter, topic):
            hear(message, arrived_ns)
