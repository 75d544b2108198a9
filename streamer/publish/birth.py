"""Home Assistant's birth message: it has just started, and is told anew what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .subscription import Subscription

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from paho.mqtt.client import MQTTMessage

_USUAL_TOPIC = "homeassistant/status"  # whatever its discovery prefix is
_SOONEST_S, _LATEST_S = 1.0, 5.0  # all that it knows hear it at once: not all answer at once


class Birth:
    """Hears of it, and calls once a little later. The sink's thread only."""

    def __init__(self, discovery_prefix: str, on_birth: Callable[[], object], rng: random.Random) -> None:
        """Store the parts.

        Args:
            discovery_prefix: of Home Assistant's discovery topics: some set the topic of its birth along with it.
            on_birth: called in the sink's thread; must not wait.
            rng: for the jitter.
        """
        self._topics = sorted({_USUAL_TOPIC, f"{discovery_prefix}/status"})
        self._on_birth = on_birth
        self._rng = rng
        self._due_ns: int | None = None

    def subscriptions(self) -> list[Subscription]:
        """Return what is to be heard."""
        return [Subscription(topic, self.hear, what="starts of Home Assistant") for topic in self._topics]

    def hear(self, message: MQTTMessage, arrived_ns: int) -> None:
        """Take in a message. One that is retained tells of a start before our connection, which has sent all anew."""
        if message.retain or bytes(message.payload) != b"online" or self._due_ns is not None:
            return
        self._due_ns = arrived_ns + round(self._rng.uniform(_SOONEST_S, _LATEST_S) * NS_PER_S)

    def tend(self, now_ns: int) -> None:
        """Call back once it is time (monotonic, ns). Call it about once a second."""
        if self._due_ns is not None and now_ns >= self._due_ns:
            self._due_ns = None
            self._on_birth()
