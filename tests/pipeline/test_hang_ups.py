"""A broker that refuses by hanging up, and brokers that go away by themselves: only the first parks a row."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from servers.made_decisions import make_decision
from servers.made_events import encode, make_event

from streamer.core.clock import FakeClock
from streamer.pipeline.deliver import Delivery
from streamer.publish.memory import MemorySink
from streamer.publish.states import StateBoard
from streamer.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.publish.base import Message

STEP_S = 0.25


class Broker(MemorySink):
    """Hangs up on some messages, forgets the answers it has not sent yet, and takes us back a second later."""

    def __init__(self, clock: FakeClock, hangs_up: Callable[[Message], bool] = lambda _message: False) -> None:
        super().__init__(answers=False)
        self.hangs_up = hangs_up
        self.loses_answers = False  # what it had taken just before it hung up
        self.mute = False
        self._clock = clock
        self._back_ns = 0
        self._hung_up = False
        self.taken: list[Message] = []
        self._unanswered: list[Message] = []

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        if self._hung_up or not super().send(message, on_done):
            return False
        self._hung_up = self.hangs_up(message)
        if not self._hung_up:
            self._unanswered.append(message)
        return True

    def turn(self) -> None:
        """Do what a broker does in between."""
        if self.connection() is None:
            if self._clock.monotonic_ns() >= self._back_ns:
                self.connect()
        elif self._hung_up:
            if not self.loses_answers:
                self._answer()
            self.die()
        elif not self.mute:
            self._answer()

    def die(self, away_s: float = 1.0) -> None:
        self.lose()
        self._hung_up = False
        self._unanswered.clear()
        self._back_ns = self._clock.monotonic_ns() + round(away_s * 1e9)

    def _answer(self) -> None:
        taken, self._unanswered = self._unanswered, []
        self.taken += taken
        with self._lock:
            waiting, self._open = self._open[: len(taken)], []
        for on_done in waiting:
            on_done(None)


class Rig:
    def __init__(self, data_dir: Path) -> None:
        self.clock = FakeClock()
        self.store = open_store(data_dir, encode=encode, clock=self.clock, max_age_s=1e10)
        self.outbox = self.store.outbox()
        self.board = StateBoard()
        self.broker = Broker(self.clock)
        self.delivery = Delivery(self.outbox, self.broker, self.board, clock=self.clock)

    def store_events(self, *ids: str, camera: str = "porch") -> None:
        self.store.append([make_event(i, camera=camera) for i in ids])
        self.delivery.poke()

    def turns(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.turn()

    def turn(self) -> None:
        self.delivery._step()
        self.delivery._keep_house(lambda: None)
        self.broker.turn()
        self.clock.advance(STEP_S)

    def taken(self) -> list[str]:
        """Return the ids that the broker has taken, each once, in order."""
        ids = [json.loads(m.payload)["id"] for m in self.broker.taken if m.topic.endswith("/event")]
        return list(dict.fromkeys(ids))

    def decide(self, number: int, camera: str) -> None:
        self.delivery.decide(make_decision(number, camera=camera, now_ns=self.clock.monotonic_ns()))

    def decided(self, camera: str) -> list[int]:
        taken = [json.loads(m.payload)["number"] for m in self.broker.taken if m.topic == f"{camera}/decision"]
        return list(dict.fromkeys(taken))

    def close(self) -> None:
        self.outbox.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def is_event(*ids: str) -> Callable[[Message], bool]:
    return lambda message: message.topic.endswith("/event") and json.loads(message.payload)["id"] in ids


@pytest.mark.parametrize("loses_answers", [False, True])
def test_a_row_that_breaks_every_connection_is_parked_and_the_others_go_on(rig: Rig, loses_answers: bool) -> None:  # noqa: FBT001  a parameter
    rig.broker.hangs_up = is_event("bad")
    rig.broker.loses_answers = loses_answers
    rig.board.set("porch/status", b"online")
    rig.store_events("before", "bad", "behind")
    rig.store_events("other", camera="yard")
    rig.turns(15)
    assert "other" in rig.taken()  # long before it is parked
    rig.turns(105)
    assert [row.event for row in rig.outbox.parked()] == ["bad"]
    assert [row.reason for row in rig.outbox.parked()] == ["the broker hangs up on it"]
    assert rig.delivery.parked == 1
    assert set(rig.taken()) == {"before", "other", "behind"}
    assert rig.outbox.undelivered() == 0
    rig.close()


def test_two_topics_that_are_denied_by_hanging_up_and_new_rows_all_the_time(rig: Rig) -> None:
    rig.broker.hangs_up = lambda message: message.topic in {"yard/event", "gate/event"}
    rig.board.set("porch/status", b"online")
    rig.store_events("bad yard", camera="yard")
    rig.store_events("bad gate", camera="gate")
    for i in range(300):
        rig.store_events(f"e{i}")
        rig.turns(1)
    assert {row.event for row in rig.outbox.parked()} == {"bad yard", "bad gate"}
    rig.turns(10)
    assert rig.taken() == [f"e{i}" for i in range(300)]
    rig.close()


@pytest.mark.parametrize("loses_answers", [False, True])
def test_a_state_that_breaks_every_connection_does_not_block_rows_and_other_states(
    rig: Rig,
    loses_answers: bool,  # noqa: FBT001  a parameter
) -> None:
    rig.broker.hangs_up = lambda message: message.topic == "yard/status"
    rig.broker.loses_answers = loses_answers
    for camera in ("alley", "yard", "porch"):
        rig.board.set(f"{camera}/status", b"online")
    for i in range(120):
        rig.store_events(f"e{i}")
        rig.turns(1)
    assert rig.taken()[:60] == [f"e{i}" for i in range(60)]
    assert {m.topic for m in rig.broker.taken if m.retain} == {"alley/status", "porch/status"}
    assert rig.outbox.parked() == []
    before = len(rig.broker.sent)
    rig.turns(60)
    assert sum(m.topic == "yard/status" for m in rig.broker.sent[before:]) <= 2  # ever later
    rig.broker.hangs_up = lambda _message: False
    rig.turns(300)
    assert "yard/status" in {m.topic for m in rig.broker.taken}
    rig.close()


def test_a_broker_that_dies_of_every_message_parks_nothing(rig: Rig) -> None:
    rig.broker.hangs_up = lambda _message: True
    rig.board.set("porch/status", b"online")
    rig.store_events("a", "b")
    rig.store_events("c", camera="yard")
    rig.turns(600)
    assert rig.delivery.refused == 0
    rig.broker.hangs_up = lambda _message: False
    rig.turns(400)
    assert rig.taken() == ["a", "b", "c"] or rig.taken() == ["c", "a", "b"]
    rig.close()


def test_a_broker_that_takes_nothing_and_dies_every_few_seconds_parks_nothing(rig: Rig) -> None:
    rig.broker.mute = True
    rig.store_events("a", "b")
    for _ in range(200):
        rig.turns(2.75)
        rig.broker.die()
    assert rig.delivery.refused == 0
    rig.broker.mute = False
    rig.turns(60)
    assert rig.taken() == ["a", "b"]
    rig.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_broker_that_dies_at_any_moment_parks_nothing_and_gets_everything_in_order(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    rig.board.set("porch/status", b"online")
    stored: dict[str, list[str]] = {"porch": [], "yard": []}
    life_s = rng.choice([0.5, 1.0, 2.0, 5.0])
    for i in range(1_500):
        camera = rng.choice(["porch", "yard"])
        if rng.random() < 0.3:
            stored[camera].append(f"{camera}-{i}")
            rig.store_events(stored[camera][-1], camera=camera)
        rig.broker.mute = rng.random() < 0.5
        if rng.random() < STEP_S / life_s and rig.broker.connection() is not None:
            rig.broker.die(rng.choice([0.0, 0.3, 3.0]))
        rig.turn()
    assert rig.delivery.parked == 0
    assert rig.delivery.refused <= 2  # by chance; five in turn park a row
    rig.broker.mute = False
    rig.turns(60)
    assert rig.outbox.undelivered() == 0
    for camera, ids in stored.items():
        assert [i for i in rig.taken() if i.startswith(camera)] == ids
    rig.close()


@pytest.mark.parametrize("loses_answers", [False, True])
def test_decisions_that_break_every_connection_are_held_back_and_the_rest_goes_on(
    rig: Rig,
    loses_answers: bool,  # noqa: FBT001  a parameter
) -> None:
    rig.broker.hangs_up = lambda message: message.topic == "press/decision"
    rig.broker.loses_answers = loses_answers
    rig.board.set("porch/status", b"online")
    for i in range(300):
        rig.decide(i + 1, "press")
        rig.decide(i + 1, "belt")
        rig.store_events(f"e{i}")
        rig.turns(1)
    assert rig.delivery.parked == 0
    assert rig.delivery.refused == 0
    assert rig.taken()[:250] == [f"e{i}" for i in range(250)]
    assert len(rig.decided("belt")) > 270  # the others were made just as a connection broke
    assert rig.decided("belt") == sorted(rig.decided("belt"))
    sent = [m for m in rig.broker.sent if m.topic == "press/decision"]
    assert len(sent) < 20  # ever later
    rig.turns(10)
    assert rig.delivery.decisions_dropped["expired"] + rig.delivery.decisions_sent == 600
    rig.broker.hangs_up = lambda _message: False
    rig.turns(300)
    rig.decide(301, "press")
    rig.turns(1)
    assert rig.decided("press") == [301]
    rig.close()


def test_a_row_that_breaks_connections_is_parked_and_the_decisions_bear_no_blame(rig: Rig) -> None:
    rig.broker.hangs_up = is_event("bad")
    rig.store_events("before", "bad", "behind")
    for i in range(200):
        rig.decide(i + 1, "belt")
        rig.turns(1)
    assert [row.event for row in rig.outbox.parked()] == ["bad"]
    assert rig.taken() == ["before", "behind"]
    assert len(rig.decided("belt")) >= 195
    rig.close()


def test_decisions_that_are_taken_prove_that_it_is_the_row(rig: Rig) -> None:
    rig.broker.hangs_up = is_event("bad")
    rig.store_events("bad")
    for i in range(200):
        rig.decide(i + 1, "belt")
        rig.turns(1)
    assert [row.event for row in rig.outbox.parked()] == ["bad"]
    rig.close()


def test_a_new_connection_is_looked_for_more_often_while_a_decision_has_no_answer(rig: Rig) -> None:
    rig.turns(1)
    assert rig.delivery._pause_s() == 1.0
    rig.decide(1, "belt")
    assert rig.delivery._pause_s() <= 0.05
    rig.turns(1)
    assert rig.delivery._pause_s() == 1.0
    rig.close()
