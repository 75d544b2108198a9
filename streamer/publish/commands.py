"""Commands in over MQTT: what others publish on `<prefix>/<camera>/set/<what>`."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .base import Reply

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from paho.mqtt.client import MQTTMessage

    from .session import Session

_log = logging.getLogger(__name__)

_ANSWER_NS = NS_PER_S  # for the broker's answer to SUBSCRIBE, before we say that we are online
_POLL_S = 0.1
_SUSPECT_AFTER = 2  # connections in turn that broke before that answer: the broker may hang up on the subscription
_AGAIN_NS = 30 * NS_PER_S  # before another attempt on a connection that goes on without commands; doubles each time
_LONGEST_NS = 3_600 * NS_PER_S
_REPLY_CHARACTERS = 1024  # of the topic to which an answer is wanted
_CORRELATION_BYTES = 1024
_LOST_RIGHT = "check that its rules let us subscribe; all else goes on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What somebody wants done, as it came: nothing of it has been checked."""

    camera: str
    what: str
    payload: bytes
    arrived_ns: int  # monotonic: when it was read from the broker's connection
    reply: Reply | None = None  # MQTT 5: where the answer is wanted too


class Commands:
    """Keeps the commands of one sink subscribed, one connection after the other. The sink's thread only."""

    def __init__(self, prefix: str, on_command: Callable[[Command], None]) -> None:
        """Store the parts.

        Args:
            prefix: of our topics, without a slash at its end.
            on_command: told each command, in the sink's thread; must not wait.
        """
        self._prefix = prefix
        self._filter = f"{prefix}/+/set/+"
        self._on_command = on_command
        self._breaks = 0  # connections in turn that have ended without an answer to SUBSCRIBE
        self._open = False  # whether an answer is waited for
        self._trouble: str | None = None
        self._pause_ns = _AGAIN_NS  # before it is tried again
        self._again_ns: int | None = None  # when that is; None: commands are heard, or their answer is waited for

    def subscribe(self, session: Session, stopping: threading.Event) -> None:
        """Subscribe on a new connection and wait for the answer, so that whoever sees `online` is heard.

        A refusal is logged, once; so is a broker that hangs up on it twice in turn: the next connection goes on
        without commands, and they are tried again later.

        Raises:
            BrokerError: the connection has ended.
        """
        if self._breaks >= _SUSPECT_AFTER:
            if self._again_ns is None:  # it broke at the last attempt; else that attempt is still to come
                self._complain("the connection broke twice while we subscribed to")
            return
        self._ask(session)
        deadline_ns = time.monotonic_ns() + _ANSWER_NS
        while self._open and not stopping.is_set() and time.monotonic_ns() < deadline_ns:
            session.serve(_POLL_S)

    def tend(self, session: Session) -> None:
        """Subscribe again once it is time, where that has failed. Call it about once a second."""
        if self._again_ns is not None and time.monotonic_ns() >= self._again_ns:
            self._ask(session)

    def _ask(self, session: Session) -> None:
        self._breaks += 1  # until it is answered
        self._open = True
        self._again_ns = None
        session.subscribe(self._filter, self._hear, self._on_answer)

    def _on_answer(self, refusal: str | None) -> None:
        self._breaks = 0
        self._open = False
        if refusal is not None:
            self._complain(f"the broker refuses ({refusal})")
            return
        if self._trouble is not None:
            _log.info("mqtt: commands are heard again")
        self._trouble = None
        self._pause_ns = _AGAIN_NS

    def _complain(self, why: str) -> None:
        self._again_ns = time.monotonic_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_NS)
        if why != self._trouble:
            self._trouble = why
            _log.warning("mqtt: no commands are heard: %s %s; %s", why, self._filter, _LOST_RIGHT)

    def _hear(self, message: MQTTMessage, arrived_ns: int) -> None:
        command = command_of(message, prefix=self._prefix, arrived_ns=arrived_ns)
        if command is not None:
            self._on_command(command)


def command_of(message: MQTTMessage, *, prefix: str, arrived_ns: int) -> Command | None:
    """Return a message as a command; None for one that is retained (it is of another time), or of another topic."""
    if message.retain:
        return None
    try:
        levels = message.topic.removeprefix(f"{prefix}/").split("/")
    except UnicodeDecodeError:
        return None
    if len(levels) != 3 or levels[1] != "set":
        return None
    return Command(
        camera=levels[0],
        what=levels[2],
        payload=bytes(message.payload),
        arrived_ns=arrived_ns,
        reply=_reply(message, prefix),
    )


def _reply(message: MQTTMessage, prefix: str) -> Reply | None:
    """Return where the answer is wanted, None if nowhere, or where we do not answer.

    An answer never goes to a topic of our own: whoever may send commands could speak in our name there.
    """
    topic: str | None = getattr(message.properties, "ResponseTopic", None)
    correlation: bytes | None = getattr(message.properties, "CorrelationData", None)
    if not topic or len(topic) > _REPLY_CHARACTERS or not topic.isprintable():
        return None
    if "+" in topic or "#" in topic or topic.startswith(("$", f"{prefix}/")) or topic == prefix:
        return None
    if correlation is not None and len(correlation) > _CORRELATION_BYTES:
        return None
    return Reply(topic=topic, correlation=correlation)
