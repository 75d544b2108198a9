"""Events out over MQTT: a connection that keeps itself alive."""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from streamer.core.errors import ConfigError

from .base import Message, whole_topic
from .client import make_client
from .commands import hear_commands
from .reasons import BrokerError, LostKind
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .birth import Birth
    from .commands import Command
    from .subscription import Subscription
    from .url import BrokerAddress

log = logging.getLogger(__name__)

WINDOW = 100  # messages without an answer; the broker may ask for fewer
_CONNECT_S = 5.0  # for the connection, the TLS handshake and the answer to CONNECT together at most twice this
_GOODBYE_S = 1.0  # for the answer to the last `offline`
_CLOSE_S = 2.0
_LEAVE_S = 0.2  # of this for a thread in a connect: it is left to the limit of the connect, and then ends by itself
_LASTED_NS = 2_000_000_000  # a connection that held this long was a good one: the back-off begins anew
_AFTER_SHORT = 2  # failures that count after one that broke sooner: at most 4 s, since the broker does take us


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """Which broker, and who we are there."""

    address: BrokerAddress
    topic_prefix: str = "streamer"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_id: str | None = None  # streamer-<hostname>
    version: Literal["5", "3.1.1"] | None = None  # None: 5, or 3.1.1 if the broker does not speak it


class _Backoff:
    """Equal jitter between half of the step and the whole: 1 s doubling to 30 s, and 30 s to 5 min."""

    _STEPS_S = {LostKind.SLOWLY: (30.0, 300.0)}  # noqa: RUF012  a constant

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0

    def next_s(self, kind: LostKind) -> float:
        first_s, longest_s = self._STEPS_S.get(kind, (1.0, 30.0))
        step_s = min(longest_s, first_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return step_s * self._rng.uniform(0.5, 1.0)

    def connected(self, lasted_ns: int) -> None:
        """Take into account that there was a connection."""
        self._failures = 0 if lasted_ns >= _LASTED_NS else min(self._failures, _AFTER_SHORT)


class MqttSink:
    """A `Sink`. `status` is `online` while it is connected, `offline` afterwards, by the broker if need be."""

    def __init__(
        self,
        options: MqttOptions,
        *,
        tls: ssl.SSLContext | None,
        rng: random.Random,
        on_command: Callable[[Command], None] | None = None,
        birth: Birth | None = None,
    ) -> None:
        self._options = options
        self._tls = tls
        self._birth = birth
        self._subscriptions: list[Subscription] = [] if birth is None else birth.subscriptions()
        if on_command is not None:
            self._subscriptions.insert(0, hear_commands(options.topic_prefix, on_command))
        self._backoff = _Backoff(rng)
        self._older = False  # the broker has said that it does not speak MQTT 5
        self._try_older = False  # it has said nothing: the next attempt, and only that, is with 3.1.1
        self._stopping = threading.Event()
        self._session: Session | None = None  # while connected; replaced as a whole
        self._connecting = False  # as long as the thread may be in native code that nothing wakes
        self._number: int | None = None
        self._connections = 0
        self._trouble: str | None = None
        # A daemon: a thread stuck in a name look-up must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="streamer-mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        """Write a message to the socket; False without a connection or with too many unanswered."""
        session = self._session
        if session is None:
            return False
        reply = message.reply
        topic = whole_topic(message.topic, self._options.topic_prefix) if reply is None else reply.topic
        return session.publish(message, topic, on_done)

    def connection(self) -> int | None:
        """Return the number of the present connection, None while there is none."""
        return self._number

    def trouble(self) -> str | None:
        """Return why there is no connection, None while there is one or none was tried yet."""
        return self._trouble

    def close(self) -> None:
        """Publish `offline`, say goodbye, end the thread; a connect in progress is not waited for. Idempotent."""
        self._stopping.set()
        session = self._session
        if session is not None:
            session.wake()
        if self._thread.ident is None:
            return
        self._thread.join(_LEAVE_S)
        if not self._connecting:
            self._thread.join(_CLOSE_S - _LEAVE_S)

    def _run(self) -> None:
        """Connect, serve, and connect anew.

        Thread: streamer-mqtt.  Ends: `close`.
        Blocks on: connect (its limit), the socket (1 s, `wake`), the back-off (`close`).
        """
        while not self._stopping.is_set():
            self._attempt()

    def _attempt(self) -> None:
        try:
            self._connect_and_serve()
        except BrokerError as lost:
            self._recover(lost)
        except Exception:
            # A fault in paho or in an answer's callback: the messages in flight are sent again on the next connection.
            log.exception("mqtt: a fault ended the connection")
            self._stopping.wait(self._backoff.next_s(LostKind.SOON))

    def _connect_and_serve(self) -> None:
        options = self._options
        login = None if options.username is None else (options.username, options.password)
        client = make_client(
            v5=self._v5(),
            client_id=options.client_id or f"streamer-{socket.gethostname()}",
            login=login,
            tls=self._tls,
            will_topic=self._status_topic(),
        )
        session = Session(client, options.address, window=WINDOW)
        try:
            self._connecting = True
            try:
                session.open(_CONNECT_S, self._stopping)
            finally:
                self._connecting = False
            connected_ns = time.monotonic_ns()
            try:
                self._serve(session)
            finally:
                self._backoff.connected(time.monotonic_ns() - connected_ns)
        finally:
            self._number = None
            self._session = None
            session.end(goodbye=self._stopping.is_set())

    def _serve(self, session: Session) -> None:
        if self._stopping.is_set():
            return
        for subscription in self._subscriptions:  # first: whoever waits for `online` is heard
            subscription.subscribe(session, self._stopping)
        self._announce(session, b"online")
        self._session = session
        self._number = self._connections
        self._connections += 1
        self._trouble = None
        log.info("mqtt: connected to %s (MQTT %s)", self._options.address, "5" if session.is_v5 else "3.1.1")
        while not self._stopping.is_set():
            session.serve(1.0)
            self._tend(session)
        self._number = None
        self._session = None
        answered = threading.Event()
        self._announce(session, b"offline", answered)
        deadline_ns = time.monotonic_ns() + round(_GOODBYE_S * 1e9)
        while not answered.is_set() and time.monotonic_ns() < deadline_ns:
            session.serve(0.1)

    def _announce(self, session: Session, state: bytes, answered: threading.Event | None = None) -> None:
        def on_done(refusal: str | None) -> None:
            if refusal is not None:
                log.warning("mqtt: %s refuses %s: %s", self._options.address, self._status_topic(), refusal)
            if answered is not None:
                answered.set()

        message = Message(topic="status", payload=state, qos=1, retain=True)
        session.publish(message, self._status_topic(), on_done)

    def _tend(self, session: Session) -> None:
        """Do what is due, about once a second."""
        for subscription in self._subscriptions:
            subscription.tend(session)
        if self._birth is not None:
            self._birth.tend(time.monotonic_ns())

    def _status_topic(self) -> str:
        return whole_topic("status", self._options.topic_prefix)

    def _v5(self) -> bool:
        if self._options.version is not None:
            return self._options.version == "5"
        return not (self._older or self._try_older)

    def _recover(self, lost: BrokerError) -> None:
        """Log a change of state, choose the version of the next attempt, wait."""
        with_v5 = self._v5()
        self._older |= lost.kind is LostKind.OLDER_VERSION and with_v5
        # An old broker may just close, and so does one that dies: 3.1.1 is tried once, and then 5 again.
        self._try_older = lost.kind is LostKind.SILENT and with_v5
        another_at_once = with_v5 and not self._v5()
        if another_at_once or self._stopping.is_set():
            return
        delay_s = self._backoff.next_s(lost.kind)
        if str(lost) != self._trouble:
            self._trouble = str(lost)
            log.warning("mqtt: %s; trying again in %.0f s", lost, delay_s)
        self._stopping.wait(delay_s)


def open_mqtt(
    options: MqttOptions,
    *,
    rng: random.Random | None = None,
    on_command: Callable[[Command], None] | None = None,
    birth: Birth | None = None,
) -> MqttSink:
    """Begin to connect to a broker; whether it is there is seen later.

    Args:
        options: which broker, and who we are there.
        rng: for the jitter.
        on_command: told each command, in the sink's thread, where it must not wait; None: commands are not heard.
        birth: told when Home Assistant has started; None: nobody wants to know.

    Raises:
        ConfigError: `ca_file` can't be read.
    """
    tls = _tls(options.ca_file) if options.address.tls else None
    rng = rng or random.Random()  # noqa: S311  jitter is no secret
    sink = MqttSink(options, tls=tls, rng=rng, on_command=on_command, birth=birth)
    sink.start()
    return sink


class _Context(ssl.SSLContext):
    """Shakes hands at once: then a socket whose handshake fails is closed, which paho leaves to the collector."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: ANN401  as ssl has it
        return super().wrap_socket(sock, *args, **{**kwargs, "do_handshake_on_connect": True})


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"mqtt.ca_file: {ca_file} can't be read as certificates: {exc}") from exc
    return context
