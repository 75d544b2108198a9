from __future__ import annotations

import random

import pytest
from paho.mqtt.client import MQTTMessage

from streamer.core.clock import NS_PER_S
from streamer.publish.birth import Birth


class Told:
    """A `Birth`, and how often it has called."""

    def __init__(self, seed: int = 0, prefix: str = "homeassistant") -> None:
        self.calls = 0
        self.birth = Birth(prefix, self._call, random.Random(seed))

    def hear(self, payload: bytes, at_ns: int = 0, *, retain: bool = False) -> None:
        message = MQTTMessage(topic=b"homeassistant/status")
        message.payload, message.retain = payload, retain
        self.birth.hear(message, at_ns)

    def _call(self) -> None:
        self.calls += 1


def test_a_start_is_answered_once_after_one_to_five_seconds(seed: int) -> None:
    told = Told(seed)
    told.hear(b"online")
    told.birth.tend(round(0.99 * NS_PER_S))
    assert told.calls == 0
    told.birth.tend(5 * NS_PER_S)
    told.birth.tend(6 * NS_PER_S)
    assert told.calls == 1


def test_several_starts_at_once_are_answered_together_and_a_later_one_again() -> None:
    told = Told()
    for _ in range(3):
        told.hear(b"online")
    told.birth.tend(5 * NS_PER_S)
    assert told.calls == 1
    told.hear(b"online", 60 * NS_PER_S)
    told.birth.tend(65 * NS_PER_S)
    assert told.calls == 2


@pytest.mark.parametrize(
    ("payload", "retain"), [(b"offline", False), (b"", False), (b"\xff", False), (b"online", True)]
)
def test_an_end_and_a_start_of_another_time_are_no_start(payload: bytes, retain: bool) -> None:  # noqa: FBT001
    told = Told()
    told.hear(payload, retain=retain)
    told.birth.tend(60 * NS_PER_S)
    assert told.calls == 0


def test_not_all_answer_at_the_same_moment() -> None:
    moments = set()
    for seed in range(20):
        told = Told(seed)
        told.hear(b"online")
        moments.add(told.birth._due_ns)
    assert len(moments) == 20
    assert all(moment is not None and NS_PER_S <= moment <= 5 * NS_PER_S for moment in moments)


@pytest.mark.parametrize(("prefix", "filters"), [("homeassistant", 1), ("ha", 2)])
def test_the_usual_topic_is_heard_and_that_of_another_prefix_too(prefix: str, filters: int) -> None:
    subscribed = Told(prefix=prefix).birth.subscriptions()
    assert {one._filter for one in subscribed} == {"homeassistant/status", f"{prefix}/status"}
    assert len(subscribed) == filters
