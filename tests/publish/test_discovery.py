from __future__ import annotations

import json
from dataclasses import replace

import pytest
from home_assistant import check_device
from hypothesis import given
from hypothesis import strategies as st

from streamer.publish.discovery import Discovery, device_id, device_of, with_topic
from streamer.publish.entities import DeviceFacts

BY = Discovery(prefix="streamer", discovery_prefix="homeassistant", version="1.2.3")
PORCH = DeviceFacts(camera="porch")


def test_a_camera_is_one_device_in_the_form_that_home_assistant_documents() -> None:
    device = device_of(replace(PORCH, rules=("person",)), BY)
    assert device.topic == "/homeassistant/device/streamer_porch/config"
    said = check_device(device.topic.removeprefix("/"), device.config)
    assert said["device"] == {
        "identifiers": ["streamer_porch"],
        "name": "Porch",
        "manufacturer": "Streamer",
        "model": "Camera",
        "sw_version": "1.2.3",
    }
    assert said["origin"] == {"name": "Streamer", "sw_version": "1.2.3"}
    assert said["availability_mode"] == "all"
    assert [row["topic"] for row in said["availability"]] == ["streamer/status", "streamer/porch/status"]
    assert device.components == {
        "status": "sensor",
        "enabled": "switch",
        "events": "event",
        "rule_person": "binary_sensor",
    }
    assert said["components"].keys() == device.components.keys()


def test_every_topic_stands_under_the_prefix_and_the_announcement_under_the_other() -> None:
    by = Discovery(prefix="site/hall-2", discovery_prefix="ha", version="1")
    device = device_of(DeviceFacts(camera="belt", rules=("short",), snapshot=True, alarm=True), by)
    said = check_device(device.topic.removeprefix("/"), device.config, prefix="ha")
    topics = [value for it in said["components"].values() for key, value in it.items() if key.endswith("topic")]
    assert len(topics) > 5
    assert all(topic.startswith("site/hall-2/belt/") for topic in topics)


def test_components_that_are_no_more_are_named_with_their_platform_only() -> None:
    gone = {"rule_cat": "binary_sensor", "status": "switch"}  # the second one is there again
    said = check_device("homeassistant/device/streamer_porch/config", device_of(PORCH, BY, gone=gone).config)
    assert said["components"]["rule_cat"] == {"platform": "binary_sensor"}
    assert said["components"]["status"]["platform"] == "sensor"
    assert device_of(PORCH, BY, gone=gone).components == device_of(PORCH, BY).components


def test_two_prefixes_never_give_one_device() -> None:
    pairs = [("a", "b_c"), ("a_b", "c"), ("a/b", "c"), ("a-b", "c"), ("a.b", "c"), ("A", "c"), ("ä", "c"), ("ö", "c")]
    ids = [device_id(prefix, camera) for prefix, camera in pairs]
    assert len(set(ids)) == len(ids)
    assert device_id("streamer", "porch") == "streamer_porch"


@pytest.mark.parametrize(
    ("topic", "field", "value"),
    [
        ("porch/active/someone-waits", "rules", ("someone-waits",)),
        ("porch/objects/dining_table", "classes", ("dining_table",)),
        ("porch/class/weather", "classifications", ("weather",)),
        ("porch/lines/gate/in", "lines", (("gate", "in"),)),
        ("porch/alarm", "alarm", True),
    ],
)
def test_a_retained_topic_brings_its_entity_once(topic: str, field: str, value: object) -> None:
    facts = with_topic(PORCH, topic)
    assert facts == replace(PORCH, **{field: value})  # type: ignore[arg-type]
    assert with_topic(facts, topic) is facts


@pytest.mark.parametrize("topic", ["porch/status", "porch/snapshot", "yard/active/x", "status", "porch/a/b/c", "porch"])
def test_other_topics_bring_none(topic: str) -> None:
    assert with_topic(PORCH, topic) is PORCH


def test_the_order_in_which_topics_come_changes_nothing() -> None:
    topics = ["porch/objects/dog", "porch/objects/cat", "porch/active/dog", "porch/lines/b/in", "porch/lines/a/out"]
    there = back = PORCH
    for topic in topics:
        there = with_topic(there, topic)
    for topic in reversed(topics):
        back = with_topic(back, topic)
    assert device_of(there, BY) == device_of(back, BY)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
LEVELS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp", "Cf"]), min_size=1, max_size=20
).filter(lambda text: text.isprintable() and not set(text) & set("/+#"))


@given(
    camera=NAMES,
    rules=st.lists(LEVELS, max_size=4, unique=True),
    classes=st.lists(LEVELS, max_size=4, unique=True),
    lines=st.lists(NAMES, max_size=3, unique=True),
    names=st.lists(NAMES, max_size=3, unique=True),
    flags=st.tuples(*[st.booleans()] * 4),
    prefix=LEVELS.map(lambda text: f"x{text}/hall"),
)
def test_whatever_is_configured_home_assistant_takes_it(
    camera: str,
    rules: list[str],
    classes: list[str],
    lines: list[str],
    names: list[str],
    flags: tuple[bool, ...],
    prefix: str,
) -> None:
    alarm, events, snapshot, switch = flags
    facts = DeviceFacts(
        camera=camera,
        rules=tuple(rules),
        classes=tuple(classes),
        lines=tuple((line, direction) for line in lines for direction in ("in", "out")),
        classifications=tuple(names),
        alarm=alarm,
        events=events,
        snapshot=snapshot,
        switch=switch,
    )
    device = device_of(facts, replace(BY, prefix=prefix), gone={"rule_x": "binary_sensor"})
    said = check_device(device.topic.removeprefix("/"), device.config)
    expected = 1 + switch + events + 2 * snapshot + alarm + len(rules) + len(classes) + 2 * len(lines) + len(names)
    assert len(device.components) == expected
    assert json.loads(device.config) == said


def test_the_rules_of_home_assistant_are_looked_at_closely() -> None:
    topic = "homeassistant/device/streamer_porch/config"
    good = json.loads(device_of(replace(PORCH, rules=("person",), classes=("dog",), snapshot=True), BY).config)

    def broken(path: str, value: object) -> bytes:
        said = json.loads(json.dumps(good))
        *where, last = path.split(".")
        inner = said
        for key in where:
            inner = inner[key]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
        return json.dumps(said).encode()

    wrong = [
        broken("device.identifiers", []),
        broken("origin", {}),
        broken("origin.name", None),
        broken("components.rule_person.platform", "motion_sensor"),
        broken("components.rule_person.unique_id", None),
        broken("components.rule_person.unique_id", "streamer_porch_status"),
        broken("components.rule_person.state_topic", "streamer/#/x"),
        broken("components.rule_person.state_topik", "x"),
        broken("components.status.options", None),
        broken("components.status.entity_category", "config"),
        broken("components.objects_dog.state_class", "sum"),
        broken("components.enabled.command_topic", "streamer/+/set"),
        broken("components.events.event_types", []),
        broken("components.snapshot.image_topic", None),
        broken("availability_mode", "most"),
        broken("components.a b", {"platform": "sensor"}),
    ]
    for payload in wrong:
        with pytest.raises(ValueError):  # noqa: PT011  each has a sentence of its own
            check_device(topic, payload)
    with pytest.raises(ValueError, match="no topic"):
        check_device("homeassistant/device/streamer/porch/config", json.dumps(good).encode())
