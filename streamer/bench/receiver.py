"""In the place of the broker while measuring: takes every message, answers as a broker does, and notes when it came.

It runs in the process of the bench, so that the pipeline under test sends over a real connection, with its real client,
and none of the receiving is counted as its work. It hands nothing on and keeps no payload.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from streamer.events.feed import decode_feed

if TYPE_CHECKING:
    import socket

_CONNECT, _PUBLISH, _PUBREL, _SUBSCRIBE, _PING, _GOODBYE = 1, 3, 6, 8, 12, 14
_MQTT_5 = 5


class Arrival(NamedTuple):
    """One message about a live frame."""

    camera: str
    at_ns: int  # monotonic: when it was here
    age_ms: float  # from the capture that it tells to now


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH packet, taken apart."""

    topic: str
    payload: bytes
    qos: int
    packet_id: bytes  # as it stands in the packet; empty for QoS 0


class Receiver:
    """Listens on 127.0.0.1 on a free port, from `with` to its end."""

    def __init__(self) -> None:
        self.port = 0
        self.arrivals: list[Arrival] = []  # appended by the connections' threads
        self.topics: Counter[str] = Counter()  # messages by the last part of their topic; one writer at a time
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards the set and the counter

    def __enter__(self) -> Receiver:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="streamer-receiver")
        self._thread.daemon = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(2)
        self._server.shutdown()
        self._server.server_close()  # waits for the connections' threads
        self._thread.join(timeout=5.0)

    def serve(self, connection: socket.socket) -> None:
        """Answer one client until it leaves.

        Thread: one of the listener's.  Ends: the client leaves, or the `with` block ends.
        Blocks on: the socket (both).
        """
        with self._lock:
            self._connections.add(connection)
        try:
            with contextlib.suppress(OSError, ValueError, IndexError), connection.makefile("rb") as stream:
                version = 4
                while (packet := read_packet(stream)) is not None:
                    first, body = packet
                    kind = first >> 4
                    if kind == _CONNECT:
                        version = body[6]
                    elif kind == _GOODBYE:
                        return
                    if reply := self._reply(kind, first, body, version):
                        connection.sendall(reply)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _reply(self, kind: int, first: int, body: bytes, version: int) -> bytes:
        """Take in one packet and return the answer to it; empty where it needs none."""
        five = version == _MQTT_5
        if kind == _CONNECT:
            return b"\x20\x03\0\0\0" if five else b"\x20\x02\0\0"
        if kind == _PUBLISH:
            publish = parse_publish(first, body, version)
            self._take(publish)
            # 0x40 is PUBACK, 0x50 PUBREC; without a reason both mean success.
            return bytes([0x40 if publish.qos == 1 else 0x50, 2]) + publish.packet_id if publish.qos else b""
        if kind == _PUBREL:
            return b"\x70\x02" + body[:2]
        if kind == _SUBSCRIBE:
            return b"\x90\x04" + body[:2] + b"\0\0" if five else b"\x90\x03" + body[:2] + b"\0"
        return b"\xd0\0" if kind == _PING else b""

    def _take(self, publish: Publish) -> None:
        at_ns, utc_s = time.monotonic_ns(), time.time()
        above, _, name = publish.topic.rpartition("/")
        with self._lock:
            self.topics[name] += 1
        if name == "detections":
            message = decode_feed(publish.payload)
            if message["age_ms"] is not None:  # a recording's frames have no age
                captured = datetime.fromisoformat(message["captured_at"].replace("Z", "+00:00"))
                camera = above.rpartition("/")[2]
                self.arrivals.append(Arrival(camera, at_ns, (utc_s - captured.timestamp()) * 1e3))


def read_packet(stream: BinaryIO) -> tuple[int, bytes] | None:
    """Return the first byte and the body of the next packet, or None when there is no more.

    Raises:
        ValueError: it is cut short.
    """
    first = stream.read(1)
    if not first:
        return None
    length, shift = 0, 0
    while True:
        (digit,) = stream.read(1)
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return first[0], stream.read(length)


def parse_publish(first: int, body: bytes, version: int) -> Publish:
    """Take a PUBLISH packet apart.

    Args:
        first: its first byte, which holds the QoS.
        body: all behind its length.
        version: 4 is MQTT 3.1.1, 5 is MQTT 5.

    Raises:
        IndexError: it is cut short.
    """
    qos = first >> 1 & 3
    at = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:at].decode("utf-8", "replace")
    packet_id = body[at : at + 2] if qos else b""
    at += len(packet_id)
    if version == _MQTT_5:
        size, shift = 0, 0
        while True:
            digit, at = body[at], at + 1
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
        at += size
    return Publish(topic, body[at:], qos, packet_id)


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    owner: Receiver


class _Handler(socketserver.StreamRequestHandler):
    server: _Listener
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.server.owner.serve(self.connection)
