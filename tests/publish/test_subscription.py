"""Subscriptions that are refused, or never answered; through real brokers in test_commands.py."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

from streamer.core.clock import NS_PER_S, SystemClock
from streamer.publish.reasons import BrokerError, LostKind
from streamer.publish.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable


class Asked:
    """A session that counts what is asked of it, and answers when told to."""

    def __init__(self, *refused: str) -> None:
        self.asked = 0
        self.breaks = False
        self._refused = refused

    def subscribe(self, topic_filter: str, _hear: object, on_done: Callable[[str | None], None]) -> None:
        self.asked += 1
        if not self.breaks:
            on_done("Not authorized" if topic_filter in self._refused else None)

    def serve(self, _timeout_s: float) -> None:
        raise BrokerError(LostKind.SOON, "broken")


def subscription(topic_filter: str = "streamer/+/set/+", what: str = "commands") -> Subscription:
    return Subscription(topic_filter, lambda _message, _at_ns: None, what=what)


def test_connections_that_break_for_another_reason_put_off_the_next_attempt_no_further() -> None:
    commands = subscription()
    session = Asked()
    session.breaks = True
    stopping = threading.Event()
    for _ in range(2):
        with pytest.raises(BrokerError):
            commands.subscribe(session, stopping)  # type: ignore[arg-type]
    for _ in range(20):  # each of these connections breaks before the next attempt is due
        commands.subscribe(session, stopping)  # type: ignore[arg-type]
        commands.tend(session)  # type: ignore[arg-type]
    assert session.asked == 2
    assert commands._again_ns is not None
    assert commands._again_ns - SystemClock().monotonic_ns() <= 30 * NS_PER_S
    commands._again_ns = SystemClock().monotonic_ns()
    session.breaks = False
    commands.tend(session)  # type: ignore[arg-type]
    assert session.asked == 3
    commands.subscribe(session, stopping)  # type: ignore[arg-type]
    assert session.asked == 4


def test_one_that_is_refused_is_named_once_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session = Asked("homeassistant/status")
    commands, births = subscription(), subscription("homeassistant/status", "starts of Home Assistant")
    for _ in range(3):  # connections
        for one in (commands, births):
            one.subscribe(session, threading.Event())  # type: ignore[arg-type]
    (said,) = caplog.messages
    assert said.startswith("mqtt: no starts of Home Assistant are heard: the broker refuses (Not authorized) home")
    assert commands._again_ns is None
    session._refused = ()
    births.subscribe(session, threading.Event())  # type: ignore[arg-type]
    assert caplog.messages[-1] == "mqtt: starts of Home Assistant are heard again"
