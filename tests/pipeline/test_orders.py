from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pipeline.orders import Orders
from streamer.publish.base import Reply
from streamer.publish.commands import Command

if TYPE_CHECKING:
    from streamer.publish.base import Message


class Desk:
    """A camera `line` that takes triggers, and what became of the commands."""

    def __init__(self) -> None:
        self.items: list[tuple[str, int]] = []
        self.sent: list[Message] = []
        self.counts: Counter[str] = Counter()
        self.turned: list[tuple[str, bool]] = []
        self.asked: list[str] = []
        cameras = ("line", "belt")
        self.orders = Orders(
            dict.fromkeys(cameras, self.trigger),
            self.sent.append,
            self.count,
            switches={name: partial(self.turn, name) for name in cameras},
            snapshots={name: partial(self.ask, name) for name in cameras},
            disabled=["attic"],
        )

    def turn(self, camera: str, on: bool) -> None:  # noqa: FBT001  as the command gives it
        self.turned.append((camera, on))

    def ask(self, camera: str) -> None:
        if ("line", False) in self.turned:
            raise ValueError("line is switched off; allowed: a camera that is on")
        self.asked.append(camera)

    def trigger(self, name: str, at_ns: int) -> None:
        if name in {item for item, _ in self.items}:
            raise ValueError(f"item {name} is open already")
        self.items.append((name, at_ns))

    def count(self, counter: str, n: int) -> None:
        self.counts[counter] += n

    def take(self, payload: bytes, camera: str = "line", what: str = "trigger", reply: Reply | None = None) -> None:
        self.orders.take(Command(camera=camera, what=what, payload=payload, arrived_ns=7, reply=reply))

    def said(self) -> Any:  # noqa: ANN401  JSON
        return json.loads(self.sent[-1].payload)


def test_a_trigger_begins_an_item_at_the_moment_of_its_arrival_and_is_answered() -> None:
    desk = Desk()
    desk.take("Löt-17".encode())
    assert desk.items == [("Löt-17", 7)]
    (answer,) = desk.sent
    assert (answer.topic, answer.qos, answer.retain) == ("line/set/trigger/result", 1, False)
    assert answer.payload.decode() == '{"ok":true,"error":null,"item":"Löt-17"}'
    assert desk.counts == {"commands": 1}


def test_an_item_that_stands_open_is_refused_with_the_reason_of_the_line() -> None:
    desk = Desk()
    desk.take(b"1")
    desk.take(b"1")
    assert desk.said() == {"ok": False, "error": "item 1 is open already", "item": "1"}
    assert desk.counts == {"commands": 1, "commands_refused": 1}


ALLOWED = "allowed: 1 to 128 printable characters in UTF-8"


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", f"an item id is missing; {ALLOWED}"),
        (b"\xff", f"an item id must be UTF-8; {ALLOWED}"),
        (b"x" * 129, f"an item id of 129 characters is too long; {ALLOWED}"),
        (b"x" * 100_000, f"an item id of 100000 bytes is too long; {ALLOWED}"),
        (b"a\nb", f"an item id holds a control character, or nothing but spaces; {ALLOWED}"),
        (b"a\x00", f"an item id holds a control character, or nothing but spaces; {ALLOWED}"),
        (b"   ", f"an item id holds a control character, or nothing but spaces; {ALLOWED}"),
        ("\u202e17".encode(), f"an item id holds a control character, or nothing but spaces; {ALLOWED}"),
    ],
)
def test_a_malformed_id_is_refused_in_one_sentence(payload: bytes, error: str) -> None:
    desk = Desk()
    desk.take(payload)
    assert desk.said() == {"ok": False, "error": error}
    assert desk.items == []
    assert desk.counts == {"commands_refused": 1}


def test_the_longest_id_is_taken() -> None:
    desk = Desk()
    desk.take("漢".encode() * 128)
    assert desk.said()["ok"]


@pytest.mark.parametrize(
    ("camera", "what", "error"),
    [
        ("line", "explode", "there is no command 'explode'; allowed: enabled, snapshot, trigger"),
        ("yard", "enabled", "'yard' is no camera that can be switched; allowed: belt, line"),
        ("yard", "snapshot", "'yard' is no camera that takes a snapshot; allowed: belt, line"),
        ("porch", "trigger", "'porch' is no camera that takes a trigger; allowed: belt, line"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(camera: str, what: str, error: str) -> None:
    desk = Desk()
    desk.take(b"1", camera, what)
    assert desk.sent[0].topic == f"{camera}/set/{what}/result"
    assert desk.said() == {"ok": False, "error": error}
    assert desk.counts == {"commands_refused": 1}


def test_a_switch_takes_on_and_off() -> None:
    desk = Desk()
    desk.take(b"OFF", what="enabled")
    desk.take(b"ON", "belt", what="enabled")
    assert desk.turned == [("line", False), ("belt", True)]
    assert desk.sent[0].topic == "line/set/enabled/result"
    assert [message.payload for message in desk.sent] == [b'{"ok":true,"error":null}'] * 2
    assert desk.counts == {"commands": 2}


@pytest.mark.parametrize(
    ("payload", "shown"), [(b"", "''"), (b"on", "'on'"), (b"1", "'1'"), (b"ON ", "'ON '"), (b"\xff", "'\ufffd'")]
)
def test_a_switch_takes_nothing_else(payload: bytes, shown: str) -> None:
    desk = Desk()
    desk.take(payload, what="enabled")
    assert desk.said() == {"ok": False, "error": f"{shown} is no position of a switch; allowed: ON, OFF"}
    assert desk.turned == []
    assert desk.counts == {"commands_refused": 1}


@pytest.mark.parametrize("payload", [b"", b"PRESS", b"\xff" * 1_000])
def test_a_snapshot_is_asked_for_whatever_the_payload(payload: bytes) -> None:
    desk = Desk()
    desk.take(payload, what="snapshot")
    assert desk.asked == ["line"]
    assert desk.said() == {"ok": True, "error": None}


def test_why_there_is_no_snapshot_is_answered() -> None:
    desk = Desk()
    desk.take(b"OFF", what="enabled")
    desk.take(b"", what="snapshot")
    assert desk.said() == {"ok": False, "error": "line is switched off; allowed: a camera that is on"}


@pytest.mark.parametrize("what", ["enabled", "snapshot", "trigger"])
def test_a_camera_that_the_configuration_disables_is_told_from_one_that_is_not_there(what: str) -> None:
    desk = Desk()
    desk.take(b"ON", "attic", what)
    assert not desk.said()["ok"]
    assert "attic is disabled in the configuration" in desk.said()["error"]
    assert "enabled: true" in desk.said()["error"]
    assert (desk.items, desk.turned, desk.asked) == ([], [], [])


def test_where_no_camera_takes_a_trigger_the_key_that_is_missing_is_named() -> None:
    sent: list[Message] = []
    Orders({}, sent.append, lambda _counter, _n: None).take(
        Command(camera="line", what="trigger", payload=b"1", arrived_ns=1)
    )
    assert "decide: {trigger: command}" in json.loads(sent[0].payload)["error"]


@pytest.mark.parametrize("level", ["", "x" * 129, "a\x07", "\udcff", "a+", "#"])
def test_a_topic_that_can_not_be_repeated_is_counted_and_not_answered(level: str) -> None:
    desk = Desk()
    desk.take(b"1", camera=level)
    desk.take(b"1", what=level)
    assert desk.sent == []
    assert desk.counts == {"commands_refused": 2}


def test_who_asked_by_mqtt_5_is_answered_there_too() -> None:
    desk = Desk()
    reply = Reply(topic="plc/answers", correlation=b"\x01")
    desk.take(b"1", reply=reply)
    public, private = desk.sent
    assert (public.topic, public.reply) == ("line/set/trigger/result", None)
    assert private.reply == reply
    assert private.payload == public.payload


@given(st.binary(max_size=600))
def test_whatever_comes_is_an_id_or_a_sentence(payload: bytes) -> None:
    desk = Desk()
    desk.take(payload)
    if desk.items:
        ((item, _),) = desk.items
        assert desk.said() == {"ok": True, "error": None, "item": item}
        assert item.encode() == payload
        assert 1 <= len(item) <= 128
        assert item.isprintable()
    else:
        assert ALLOWED in desk.said()["error"]
