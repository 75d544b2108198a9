"""What the pipeline asks of a receiver of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_KEPT_FREE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Who asked by MQTT 5, and wants the answer sent there."""

    topic: str  # whole: no prefix is put before it
    correlation: bytes | None  # given back as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Bytes for a topic. `topic` is relative: the sink puts its prefix before it, unless it begins with a slash."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None = None  # MQTT 5 message expiry
    content_type: str | None = None  # MQTT 5 content type: the media type of the payload
    at_ns: int | None = None  # monotonic: the moment that it tells of; a GPIO output counts its delay from there
    reply: Reply | None = None  # MQTT 5: goes to this topic in place of `topic`
    urgent: bool = False  # may take the places that a sink keeps free


def whole_topic(topic: str, prefix: str) -> str:
    """Return the topic as the broker knows it.

    Args:
        topic: relative to the prefix; one that begins with a slash is whole behind it.
        prefix: of our topics, without a slash at its end.
    """
    return topic[1:] if topic.startswith("/") else f"{prefix}/{topic}"


def places(message: Message, window: int) -> int:
    """Return how many of the `window` messages that may wait for an answer there may be for this one to join them.

    A fifth, 20 at most, is kept free for what is urgent: it never stands behind an outbox that is being emptied.
    """
    return window if message.urgent else window - min(_MOST_KEPT_FREE, window // 5)


class Sink(Protocol):
    """One connection to a receiver, kept alive by itself. Any thread may call `send`, and finds its order kept."""

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        """Hand a message over without waiting.

        Args:
            message: what to send.
            on_done: called once, from any thread, when the receiver has answered: None for taken, else its refusal.
                Never called if the connection breaks first: a new connection means "send again".

        Returns:
            False when there is no connection now, or it can take no more yet; nothing was sent then.
        """

    def connection(self) -> int | None:
        """Return the number of the present connection, counting up from 0, or None while there is none."""

    def close(self) -> None:
        """Say goodbye (a clean end) and release everything. Idempotent."""
