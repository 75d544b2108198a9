"""What Home Assistant's MQTT integration does with what it is sent, as far as its documentation says.

The rules of `check_device` are those that it publishes for the device form of MQTT discovery, but for unknown keys: it
passes over them in silence, and here they are a mistake. Templates need Jinja2, which it renders them with.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DISCOVERY_TOPIC = re.compile(r"device/(?P<object_id>[a-zA-Z0-9_-]+)/config")
COMPONENT_ID = re.compile(r"[a-zA-Z0-9_-]+")
MOST_STATE = 255  # characters


def text(value: object) -> bool:
    return isinstance(value, str)


def texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, str) and row for row in value)


def publish_topic(value: object) -> bool:
    return subscribe_topic(value) and not set(str(value)) & {"+", "#"}


def subscribe_topic(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= 65_535 or not value.isprintable():
        return False
    levels = value.split("/")
    alone = all(level in {"+", "#"} or not set(level) & {"+", "#"} for level in levels)
    return alone and "#" not in levels[:-1]


def template(value: object) -> bool:
    """Whether it is a template; that it renders is seen where it is used."""
    return isinstance(value, str) and value.count("{{") == value.count("}}") == 1


def one_of(*allowed: object) -> Callable[[object], bool]:
    return lambda value: value in allowed


AVAILABILITY: Mapping[str, Callable[[object], bool]] = {
    "topic": subscribe_topic,
    "payload_available": text,
    "payload_not_available": text,
    "value_template": template,
}
DEVICE: Mapping[str, Callable[[object], bool]] = {
    "identifiers": texts,
    "name": text,
    "manufacturer": text,
    "model": text,
    "sw_version": text,
    "suggested_area": text,
}
ORIGIN: Mapping[str, Callable[[object], bool]] = {"name": text, "sw_version": text}
COMMON: Mapping[str, Callable[[object], bool]] = {
    "platform": text,
    "unique_id": text,
    "name": lambda value: value is None or text(value),
    "qos": one_of(0, 1, 2),
    "availability": lambda value: isinstance(value, list),
    "availability_mode": one_of("all", "any", "latest"),
    "entity_category": one_of("config", "diagnostic"),
    "enabled_by_default": one_of(True, False),
    "icon": lambda value: isinstance(value, str) and value.startswith("mdi:"),
    "json_attributes_topic": subscribe_topic,
    "json_attributes_template": template,
    "default_entity_id": text,
}
READS: Mapping[str, Callable[[object], bool]] = {"state_topic": subscribe_topic, "value_template": template}
OWN: Mapping[str, Mapping[str, Callable[[object], bool]]] = {
    "binary_sensor": {
        **READS,
        "device_class": one_of("motion", "occupancy", "presence", "problem", "connectivity", "safety", None),
        "payload_on": text,
        "payload_off": text,
    },
    "sensor": {
        **READS,
        "device_class": one_of("enum", "timestamp", "duration", None),
        "state_class": one_of("measurement", "total", "total_increasing"),
        "options": texts,
        "unit_of_measurement": text,
    },
    "switch": {
        **READS,
        "command_topic": publish_topic,
        "device_class": one_of("outlet", "switch", None),
        "payload_on": text,
        "payload_off": text,
        "state_on": text,
        "state_off": text,
        "retain": one_of(True, False),
    },
    "event": {**READS, "event_types": texts, "device_class": one_of("button", "doorbell", "motion", None)},
    "image": {"image_topic": subscribe_topic, "content_type": text, "url_topic": subscribe_topic},
    "button": {
        "command_topic": publish_topic,
        "payload_press": text,
        "device_class": one_of("identify", "restart", "update", None),
    },
}
REQUIRED = {
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "switch": {"command_topic"},
    "event": {"state_topic", "event_types"},
    "image": set(),
    "button": {"command_topic"},
}


def check_device(topic: str, payload: bytes, *, prefix: str = "homeassistant") -> dict[str, Any]:
    """Return the device that a discovery message announces.

    Raises:
        ValueError: Home Assistant would not take it, or not all of it.
    """
    if not DISCOVERY_TOPIC.fullmatch(topic.removeprefix(f"{prefix}/")) or not topic.startswith(f"{prefix}/"):
        raise ValueError(f"no topic for the discovery of a device: {topic}")
    device: dict[str, Any] = json.loads(payload)
    allowed = {"device", "origin", "availability", "availability_mode", "components"}
    if not {"device", "origin", "components"} <= device.keys() <= allowed:
        raise ValueError(f"{sorted(device)} is not what a device consists of")
    _check(device["device"], DEVICE, {"identifiers"})
    _check(device["origin"], ORIGIN, {"name"})
    _check_availability(device)
    if device.get("availability_mode", "latest") not in {"all", "any", "latest"}:
        raise ValueError(f"no mode: {device['availability_mode']}")
    for name, component in device["components"].items():
        if not COMPONENT_ID.fullmatch(name):
            raise ValueError(f"no id of a component: {name}")
        _check_component(component)
    ids = [component["unique_id"] for component in device["components"].values() if len(component) > 1]
    if len(ids) != len(set(ids)):
        raise ValueError("two entities have one unique_id")
    return device


def _check_component(component: dict[str, Any]) -> None:
    platform = str(component.get("platform"))
    if platform not in OWN:
        raise ValueError(f"no platform: {platform}")
    if len(component) == 1:
        return  # a removal
    _check(component, {**COMMON, **OWN[platform]}, {"unique_id", *REQUIRED[platform]})
    _check_availability(component)
    if platform == "image" and ("image_topic" in component) == ("url_topic" in component):
        raise ValueError("an image has either image_topic or url_topic")
    if platform in {"sensor", "binary_sensor"} and component.get("entity_category") == "config":
        raise ValueError(f"a {platform} is nothing to configure")
    if platform == "sensor":
        is_enum = component.get("device_class") == "enum"
        if ("options" in component) != is_enum or (
            is_enum and component.keys() & {"state_class", "unit_of_measurement"}
        ):
            raise ValueError("`options` and `enum` belong together, without a state class and without a unit")


def _check_availability(component: dict[str, Any]) -> None:
    for row in component.get("availability", []):
        _check(row, AVAILABILITY, {"topic"})


def _check(rows: object, allowed: Mapping[str, Callable[[object], bool]], required: set[str]) -> None:
    if not isinstance(rows, dict) or not required <= rows.keys():
        raise ValueError(f"{sorted(required)} are needed in {rows}")
    for key, value in rows.items():
        if key not in allowed or not allowed[key](value):
            raise ValueError(f"{key}: {value!r} is not taken in {rows}")


def render(source: str, payload: bytes) -> str:
    """Return what Home Assistant makes of a payload with a template."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415  tests that need it are skipped without

    environment = ImmutableSandboxedEnvironment()
    environment.filters["to_json"] = lambda value: json.dumps(value, ensure_ascii=False)
    known: dict[str, object] = {"value": payload.decode()}
    with suppress(ValueError):
        known["value_json"] = json.loads(payload)
    return environment.from_string(source).render(known).strip()


class HomeAssistant:
    """Discovers devices, and shows their entities by what it hears."""

    def __init__(self, prefix: str = "homeassistant") -> None:
        self._prefix = prefix
        self._heard: dict[str, bytes] = {}  # newest payload of each topic
        self.entities: dict[str, dict[str, Any]] = {}  # unique_id -> configuration
        self._of: dict[tuple[str, str], str] = {}  # object id and component id -> unique_id
        self.announced: list[str] = []  # object ids, each time
        self.events: list[dict[str, Any]] = []

    def hear(self, topic: str, payload: bytes) -> None:
        """Take in a message of whatever topic."""
        if topic.startswith(f"{self._prefix}/"):
            self._discover(topic, payload)
            return
        self._heard[topic] = payload
        for entity in self.entities.values():
            if entity["platform"] == "event" and entity["state_topic"] == topic:
                self._fire(entity, payload)

    def state(self, unique_id: str) -> str:
        """Return what an entity shows."""
        entity = self.entities[unique_id]
        if not self._available(entity):
            return "unavailable"
        payload = self._heard.get(entity["state_topic"])
        if payload is None:
            return "unknown"
        return self._checked(entity, render(entity["value_template"], payload))

    def states(self, part: str) -> list[str]:
        """Return what the entities show whose unique_id has this part. Any thread."""
        return [self.state(unique_id) for unique_id in list(self.entities) if part in unique_id]

    def attributes(self, unique_id: str) -> dict[str, Any]:
        """Return what else it shows."""
        entity = self.entities[unique_id]
        payload = self._heard[entity["json_attributes_topic"]]
        said = render(entity.get("json_attributes_template", "{{ value }}"), payload)
        attributes = json.loads(said)
        assert isinstance(attributes, dict), "anything else is a warning in its log"
        return attributes

    def of(self, object_id: str) -> set[str]:
        """Return the ids of a device's components."""
        return {component for owner, component in list(self._of) if owner == object_id}

    def _discover(self, topic: str, payload: bytes) -> None:
        match = DISCOVERY_TOPIC.fullmatch(topic.removeprefix(f"{self._prefix}/"))
        if match is None:
            return
        object_id = match["object_id"]
        self.announced.append(object_id)
        if not payload:
            for component in self.of(object_id):
                self._remove(object_id, component)
            return
        device = check_device(topic, payload, prefix=self._prefix)
        for component, config in device["components"].items():
            if len(config) == 1:
                self._remove(object_id, component)
                continue
            shared = {key: device[key] for key in ("availability", "availability_mode") if key in device}
            entity = {**shared, **config}
            self._of[object_id, component] = entity["unique_id"]
            self.entities[entity["unique_id"]] = entity

    def _remove(self, object_id: str, component: str) -> None:
        unique_id = self._of.pop((object_id, component), None)
        if unique_id is not None:
            del self.entities[unique_id]

    def _available(self, entity: dict[str, Any]) -> bool:
        assert entity["availability_mode"] == "all"
        return all(self._there(row) for row in entity["availability"])

    def _there(self, row: dict[str, str]) -> bool:
        payload = self._heard.get(row["topic"])
        if payload is None:
            return False
        return render(row.get("value_template", "{{ value }}"), payload) == row.get("payload_available", "online")

    def _checked(self, entity: dict[str, Any], state: str) -> str:
        if state == "None":
            return "unknown"
        assert state, "a template that gives nothing"
        assert len(state) <= MOST_STATE
        if entity["platform"] in {"binary_sensor", "switch"}:
            assert state in {entity.get("payload_on", "ON"), entity.get("payload_off", "OFF")}
        if "options" in entity:
            assert state in entity["options"]
        if "state_class" in entity:
            float(state)
        return state

    def _fire(self, entity: dict[str, Any], payload: bytes) -> None:
        event = json.loads(render(entity["value_template"], payload))
        assert event["event_type"] in entity["event_types"]
        self.events.append(event)
