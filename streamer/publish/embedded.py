"""A broker inside the process, for `mqtt.url: embedded`: a demo needs nothing else."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
import weakref
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError, SinkError

from .url import BrokerAddress

if TYPE_CHECKING:
    from amqtt.broker import Broker

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_START_S = 10.0
_STOP_S = 3.0
_SHUTDOWN_S = 1.0
_LAST_TURNS = 5


class EmbeddedBroker:
    """amqtt in a thread with an event loop of its own. MQTT 3.1.1, this machine only, no login."""

    def __init__(self, port: int = 0) -> None:
        """Store the port; `start` starts.

        Args:
            port: to listen at; 0 takes a free one.
        """
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="streamer-broker", daemon=True)

    def start(self) -> BrokerAddress:
        """Start and wait until it listens.

        Returns:
            Where it listens. Connect with `version="3.1.1"`: to an MQTT 5 client with a last will it never answers.

        Raises:
            ConfigError: amqtt is not installed.
            SinkError: it can't listen.
        """
        if importlib.util.find_spec("amqtt") is None:
            raise ConfigError('mqtt.url: embedded needs amqtt: pip install "streamer[demo]"')
        for name in ("amqtt", "transitions"):  # every client's coming and going, as warnings
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise SinkError(f"the embedded broker did not start within {_START_S:.0f} s")
        if self._failure is not None:
            raise SinkError(f"the embedded broker can't listen at {_HOST}:{self._port}: {self._failure}")
        return BrokerAddress(host=_HOST, port=self._port, tls=False)

    def stop(self) -> None:
        """End the broker and its thread. Idempotent."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        """Run the broker.

        Thread: streamer-broker.  Ends: `stop`.  Blocks on: its event loop.
        """
        try:
            asyncio.run(self._serve())
        except Exception as exc:  # noqa: BLE001  `start` raises it, in one sentence
            self._failure = exc
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        broker = _make_broker(self._port)
        writers = _collect_writers(broker)
        await broker.start()
        self._port = int(_server(broker).sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        await _end(broker, writers)


async def _end(broker: Broker, writers: weakref.WeakSet[asyncio.StreamWriter]) -> None:
    """End the broker, and then what it leaves open: it waits for clients that do not answer."""
    try:
        await asyncio.wait_for(broker.shutdown(), _SHUTDOWN_S)
    except asyncio.TimeoutError:
        log.debug("the embedded broker did not end by itself")
    _server(broker).close()
    for _ in range(_LAST_TURNS):  # also those that were just being accepted; each closes in the turn after
        for writer in list(writers):
            writer.close()
        await asyncio.sleep(0.005)


def _make_broker(port: int) -> Broker:
    from amqtt.broker import Broker  # noqa: PLC0415  an extra, and slow to import

    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    return Broker({"listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{port}"}}, "plugins": anonymous})


def _collect_writers(broker: Broker) -> weakref.WeakSet[asyncio.StreamWriter]:
    """Return a set that always has the writers of the connections that live."""
    writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
    connected = broker.stream_connected

    async def collecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        writers.add(writer)
        await connected(reader, writer, listener_name)

    broker.stream_connected = collecting
    return writers


def _server(broker: Broker) -> asyncio.Server:
    # amqtt tells nowhere else which port it was given for 0, and keeps listening when its shutdown is cut short.
    server: asyncio.Server = broker._servers["default"].instance  # noqa: SLF001
    return server
