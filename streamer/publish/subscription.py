"""One topic filter, kept subscribed one connection after the other, by a broker that may refuse it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from paho.mqtt.client import MQTTMessage

    from .session import Session

_log = logging.getLogger(__name__)

_ANSWER_NS = NS_PER_S  # for the broker's answer to SUBSCRIBE, before we say that we are online
_POLL_S = 0.1
_SUSPECT_AFTER = 2  # connections in turn that broke before that answer: the broker may hang up on the subscription
_AGAIN_NS = 30 * NS_PER_S  # before another attempt on a connection that goes on without it; doubles each time
_LONGEST_NS = 3_600 * NS_PER_S
_LOST_RIGHT = "check that its rules let us subscribe; all else goes on"


class Subscription:
    """What one sink listens to under one filter. The sink's thread only."""

    def __init__(self, topic_filter: str, hear: Callable[[MQTTMessage, int], None], *, what: str) -> None:
        """Store the parts.

        Args:
            topic_filter: of the topics.
            hear: told each message, and when it was read (monotonic, ns), in the sink's thread; must not wait.
            what: what is heard there, for the log, in the plural.
        """
        self._filter = topic_filter
        self._hear = hear
        self._what = what
        self._breaks = 0  # connections in turn that have ended without an answer to SUBSCRIBE
        self._open = False  # whether an answer is waited for
        self._trouble: str | None = None
        self._pause_ns = _AGAIN_NS  # before it is tried again
        self._again_ns: int | None = None  # when that is; None: it is subscribed, or the answer is waited for

    def subscribe(self, session: Session, stopping: threading.Event) -> None:
        """Subscribe on a new connection and wait for the answer, so that whoever sees `online` is heard.

        A refusal is logged, once; so is a broker that hangs up on it twice in turn: the next connection goes on
        without it, and it is tried again later.

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
            _log.info("mqtt: %s are heard again", self._what)
        self._trouble = None
        self._pause_ns = _AGAIN_NS

    def _complain(self, why: str) -> None:
        self._again_ns = time.monotonic_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_NS)
        if why != self._trouble:
            self._trouble = why
            _log.warning("mqtt: no %s are heard: %s %s; %s", self._what, why, self._filter, _LOST_RIGHT)
