"""Real MQTT brokers for tests: mosquitto, to be killed and started again, and a subscriber that misses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def mosquitto_program() -> str | None:
    """Return where mosquitto is, None if it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look often until something holds, for conditions of other processes that tell nobody."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        pause.wait(0.01)


class Mosquitto:
    """A broker on a port of its own, with its memory on disk."""

    def __init__(self, folder: Path, *, extra: str = "", anonymous: bool = True, queued: int = 1_000_000) -> None:
        self.folder = folder
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if anonymous else 'false'}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",  # what is acknowledged is on disk a second later, not half an hour
            # The default of 1000 silently drops what a subscriber has not taken. With 0 (no bound) 2.0.11 also hangs up
            # on whoever sends a message that it refuses.
            f"max_queued_messages {queued}",
            "set_tcp_nodelay true",  # else a small message may wait 40 ms for the acknowledgement of the one before
            "log_dest none",
            extra,
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it gives up root and can't write here
        self._config.write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Mosquitto:  # noqa: PYI034  typing.Self is of Python 3.11
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Mosquitto:
        program = mosquitto_program()
        assert program is not None
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._listens, 5.0, "mosquitto listens")
        return self

    def kill(self) -> None:
        """SIGKILL: it forgets what it has not saved."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(5.0)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Subscriber:
    """Keeps everything that arrives, across the broker's deaths: a lasting session, each message acknowledged."""

    port: int
    topic: str = "streamer/#"
    client_id: str = "harness"
    login: tuple[str, str] | None = None
    messages: list[tuple[str, bytes, bool]] = field(default_factory=list)  # topic, payload, retained
    on_arrival: Callable[[str, bytes], None] | None = None
    _subscribed: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Subscriber:
        self._client = Client(CallbackAPIVersion.VERSION2, self.client_id, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.reconnect_delay_set(1, 1)
        if self.login is not None:
            self._client.username_pw_set(*self.login)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3_600
        # clean_start=False also the first time: else mosquitto 2.0.11 forgets the session when it is killed.
        self._client.connect("127.0.0.1", self.port, keepalive=10, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(5.0)
        return self

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def on(self, suffix: str) -> list[bytes]:
        """Return the payloads that came under topics with this end, in order."""
        return [payload for topic, payload, _ in list(self.messages) if topic.endswith(suffix)]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.on("/event")]

    def wait_for(self, count: int, suffix: str, timeout_s: float = 5.0) -> list[bytes]:
        wait_until(lambda: len(self.on(suffix)) >= count, timeout_s, f"{count} messages on {suffix}")
        return self.on(suffix)

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe(self.topic, options=SubscribeOptions(qos=1, retainAsPublished=True))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload), message.retain))
        if self.on_arrival is not None:
            self.on_arrival(message.topic, bytes(message.payload))
