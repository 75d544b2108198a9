"""What Home Assistant shows of the payloads that we send, through the templates that we hand it."""

from __future__ import annotations

import json

import pytest
from home_assistant import HomeAssistant
from servers.made_events import encode, make_event

from streamer.core.errors import LostReason
from streamer.events.classes import ClassState, encode_class
from streamer.pipeline.desk import disabled_status
from streamer.publish.discovery import Discovery, device_of
from streamer.publish.entities import DeviceFacts, digested, plain_id, spoken

pytest.importorskip("jinja2")

BY = Discovery(prefix="streamer", discovery_prefix="homeassistant", version="1.2.3")
FACTS = DeviceFacts(
    camera="porch",
    rules=("person", "someone-waits"),
    classes=("dining_table", "person"),
    lines=(("gate", "in"), ("gate", "out")),
    classifications=("weather",),
    alarm=True,
    snapshot=True,
)


@pytest.fixture
def home() -> HomeAssistant:
    """Home Assistant after it was told of the porch, which is online."""
    home = HomeAssistant()
    device = device_of(FACTS, BY)
    home.hear(device.topic.removeprefix("/"), device.config)
    home.hear("streamer/status", b"online")
    home.hear("streamer/porch/status", status("online"))
    return home


def status(state: str, reason: str | None = None) -> bytes:
    return json.dumps({"state": state, "reason": reason, "since": "2026-11-21T10:15:30.123Z"}).encode()


def test_a_rule_is_on_while_an_event_of_it_is_open(home: HomeAssistant) -> None:
    assert home.state("streamer_porch_rule_someone-waits") == "unknown"
    for payload, shown in ((b"0", "OFF"), (b"1", "ON"), (b"12", "ON"), (b"0", "OFF")):
        home.hear("streamer/porch/active/someone-waits", payload)
        assert home.state("streamer_porch_rule_someone-waits") == shown
    assert home.state("streamer_porch_rule_person") == "unknown"


def test_counts_are_numbers_or_unknown(home: HomeAssistant) -> None:
    for payload, shown in ((b"0", "0"), (b"3", "3"), (b"null", "unknown")):
        home.hear("streamer/porch/objects/dining_table", payload)
        assert home.state("streamer_porch_objects_dining_table") == shown
    home.hear("streamer/porch/lines/gate/out", b"17")
    assert home.state("streamer_porch_line_gate_out") == "17"
    assert home.entities["streamer_porch_line_gate_out"]["state_class"] == "total_increasing"


def test_a_classification_shows_its_class_and_the_rest_beside_it(home: HomeAssistant) -> None:
    topic, entity = "streamer/porch/class/weather", "streamer_porch_class_weather"
    home.hear(topic, encode_class(ClassState(class_name="café", class_id=1, score=0.9, since_utc_ns=0)))
    assert home.state(entity) == "café"
    assert home.attributes(entity) == {"class": "café", "score": 0.9, "since": "1970-01-01T00:00:00.000Z"}
    for nothing in (None, ClassState(class_name=None, class_id=None, score=None, since_utc_ns=0)):
        home.hear(topic, encode_class(nothing))
        assert home.state(entity) == "unknown"
        assert isinstance(home.attributes(entity), dict)


@pytest.mark.parametrize(
    ("payload", "shown", "switch", "rule"),
    [
        (status("online"), "online", "ON", "unknown"),
        (status("connecting"), "connecting", "ON", "unavailable"),
        (status("offline", LostReason.LOGIN.value), "offline", "ON", "unavailable"),
        (disabled_status(0), "disabled", "OFF", "unavailable"),
    ],
)
def test_the_cameras_state_shows_also_while_it_is_away_and_can_be_switched_then(
    home: HomeAssistant, payload: bytes, shown: str, switch: str, rule: str
) -> None:
    home.hear("streamer/porch/status", payload)
    assert home.state("streamer_porch_status") == shown
    assert home.attributes("streamer_porch_status")["reason"] == json.loads(payload)["reason"]
    assert home.state("streamer_porch_enabled") == switch
    assert home.state("streamer_porch_rule_person") == rule
    assert home.entities["streamer_porch_enabled"]["command_topic"] == "streamer/porch/set/enabled"


def test_without_the_process_nothing_is_available(home: HomeAssistant) -> None:
    home.hear("streamer/status", b"offline")
    shown = {home.state(name) for name, entity in home.entities.items() if "state_topic" in entity}
    assert shown == {"unavailable"}


def test_an_alarm_is_a_problem_with_a_reason(home: HomeAssistant) -> None:
    entity = "streamer_porch_alarm"
    home.hear("streamer/porch/alarm", b"null")
    assert (home.state(entity), home.attributes(entity)) == ("OFF", {})
    home.hear("streamer/porch/alarm", '{"source":"gpio","reason":"die Säule ist weg"}'.encode())
    assert (home.state(entity), home.attributes(entity)["reason"]) == ("ON", "die Säule ist weg")


def test_each_message_of_an_event_is_an_event_with_all_its_fields(home: HomeAssistant) -> None:
    payload = encode(make_event("0199c3b2-7d1e-7c44-9a31-5f1f0c7b2a10"), 84.2)
    for kind in ("start", "update", "end"):
        said = {**json.loads(payload), "type": kind}
        home.hear("streamer/porch/event", json.dumps(said).encode())
        assert home.events[-1] == {**said, "event_type": kind}
    assert len(home.events) == 3


def test_pictures_are_read_as_they_are(home: HomeAssistant) -> None:
    image = home.entities["streamer_porch_snapshot"]
    assert (image["image_topic"], image["content_type"]) == ("streamer/porch/snapshot", "image/jpeg")
    assert home.entities["streamer_porch_take-snapshot"]["command_topic"] == "streamer/porch/set/snapshot"


def test_what_a_camera_has_not_is_not_announced() -> None:
    facts = DeviceFacts(camera="attic", switch=False, events=False)
    assert device_of(facts, BY).components == {"status": "sensor"}


def test_names_are_written_as_people_do() -> None:
    assert [spoken(name) for name in ("someone-waits", "dining_table", "x", "")] == [
        "Someone waits",
        "Dining table",
        "X",
        "",
    ]


def test_what_home_assistant_takes_in_no_id_becomes_one_and_stays_apart() -> None:
    assert plain_id("dining_table") == "dining_table"
    made = [plain_id(text) for text in ("café", "cafe", "caf\u00e8", "a b", "a-b", "猫", "犬", " ")]
    assert len(set(made)) == len(made)
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for text in made)
    assert digested("猫") == digested("猫")
