"""Commands in over MQTT: what others publish on `<prefix>/<camera>/set/<what>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Reply
from .subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import MQTTMessage

_REPLY_CHARACTERS = 1024  # of the topic to which an answer is wanted
_CORRELATION_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What somebody wants done, as it came: nothing of it has been checked."""

    camera: str
    what: str
    payload: bytes
    arrived_ns: int  # monotonic: when it was read from the broker's connection
    reply: Reply | None = None  # MQTT 5: where the answer is wanted too


def hear_commands(prefix: str, on_command: Callable[[Command], None]) -> Subscription:
    """Return the subscription to every command.

    Args:
        prefix: of our topics, without a slash at its end.
        on_command: told each command, in the sink's thread; must not wait.
    """

    def hear(message: MQTTMessage, arrived_ns: int) -> None:
        command = command_of(message, prefix=prefix, arrived_ns=arrived_ns)
        if command is not None:
            on_command(command)

    return Subscription(f"{prefix}/+/set/+", hear, what="commands")


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
