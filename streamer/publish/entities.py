"""A camera's entities in Home Assistant: each with the topic it reads and how it reads it.

Templates are Jinja, rendered by Home Assistant: `value` is the payload as text, `value_json` as JSON.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

ONLINE = "{{ 'online' if value_json.state == 'online' else 'offline' }}"  # of `<camera>/status`
_IS_OPEN = "{{ 'ON' if value | int(0) > 0 else 'OFF' }}"
_IS_ALARM = "{{ 'OFF' if value == 'null' else 'ON' }}"
_IS_WANTED = "{{ 'OFF' if value_json.state == 'disabled' else 'ON' }}"
_NUMBER = "{{ value_json }}"  # `null` becomes None, which Home Assistant shows as unknown
_CLASS = "{{ value_json['class'] if value_json else None }}"
_AS_ATTRIBUTES = "{{ value_json | to_json if value_json else '{}' }}"  # of what may be `null`
_EVENT = "{{ dict(value_json, event_type=value_json.type) | to_json }}"

_STATES = ("online", "connecting", "offline", "disabled")
_MESSAGES = ("start", "update", "end")
_PLAIN = re.compile(r"[a-zA-Z0-9_-]+")

Entity = tuple[str, dict[str, object]]  # the component's id within the device, and its configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What of a camera Home Assistant is to know: for each entity the last levels of its topics."""

    camera: str
    rules: tuple[str, ...] = ()  # active/<rule>
    classes: tuple[str, ...] = ()  # objects/<class>
    lines: tuple[tuple[str, str], ...] = ()  # lines/<line>/<direction>
    classifications: tuple[str, ...] = ()  # class/<name>
    alarm: bool = False
    events: bool = True  # whether there are rules, so that events may come
    snapshot: bool = False  # whether pictures come, by themselves or on command
    switch: bool = True  # whether it can be switched on and off


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a camera's entities are: in Home Assistant, and at the broker."""

    device: str  # id of the device there
    base: str  # what the camera's topics begin with, without a slash at the end
    process: str  # the topic that says whether Streamer is there

    def alone(self) -> list[dict[str, object]]:
        """Return the availability of what has a meaning while the camera is away."""
        return [{"topic": self.process}]

    def both(self) -> list[dict[str, object]]:
        """Return the availability of what has none."""
        return [*self.alone(), {"topic": f"{self.base}/status", "value_template": ONLINE}]


def entities_of(facts: DeviceFacts, place: Place) -> dict[str, dict[str, object]]:
    """Return the configuration of each entity, by its id within the device."""
    found = [_status(place)]
    if facts.switch:
        found.append(_switch(place))
    if facts.events:
        found.append(_events(place))
    if facts.snapshot:
        found += [_picture(place), _take_picture(place)]
    if facts.alarm:
        found.append(_alarm(place))
    found += [_rule(place, rule) for rule in facts.rules]
    found += [_count(place, level) for level in facts.classes]
    found += [_crossings(place, line, direction) for line, direction in facts.lines]
    found += [_classification(place, name) for name in facts.classifications]
    return dict(found)


def plain_id(text: str) -> str:
    """Return a text as part of an id: as it is, or with a digest where Home Assistant does not take it."""
    return text if _PLAIN.fullmatch(text) else digested(text)


def digested(text: str) -> str:
    """Return letters, digits and hyphens that stand for a text, and for no other."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9]+', '-', text).strip('-')}-{digest}".lstrip("-")


def spoken(name: str) -> str:
    """Return a name as people write it."""
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _entity(place: Place, platform: str, component: str, *, name: str, **more: object) -> Entity:
    unique_id = f"{place.device}_{component}"
    return component, {"platform": platform, "unique_id": unique_id, "name": name, "qos": 1, **more}


def _status(place: Place) -> Entity:
    topic = f"{place.base}/status"
    return _entity(
        place,
        "sensor",
        "status",
        name="Status",
        state_topic=topic,
        value_template="{{ value_json.state }}",
        json_attributes_topic=topic,
        device_class="enum",
        options=list(_STATES),
        entity_category="diagnostic",
        availability=place.alone(),
    )


def _switch(place: Place) -> Entity:
    return _entity(
        place,
        "switch",
        "enabled",
        name="Enabled",
        command_topic=f"{place.base}/set/enabled",
        state_topic=f"{place.base}/status",
        value_template=_IS_WANTED,
        availability=place.alone(),
    )


def _events(place: Place) -> Entity:
    # Also while the camera is away: its loss is what ends its events.
    return _entity(
        place,
        "event",
        "events",
        name="Events",
        state_topic=f"{place.base}/event",
        value_template=_EVENT,
        event_types=list(_MESSAGES),
        availability=place.alone(),
    )


def _picture(place: Place) -> Entity:
    return _entity(
        place,
        "image",
        "snapshot",
        name="Snapshot",
        image_topic=f"{place.base}/snapshot",
        content_type="image/jpeg",
        availability=place.alone(),
    )


def _take_picture(place: Place) -> Entity:
    topic = f"{place.base}/set/snapshot"
    return _entity(place, "button", "take-snapshot", name="Take snapshot", command_topic=topic)


def _alarm(place: Place) -> Entity:
    topic = f"{place.base}/alarm"
    return _entity(
        place,
        "binary_sensor",
        "alarm",
        name="Alarm",
        state_topic=topic,
        value_template=_IS_ALARM,
        json_attributes_topic=topic,
        json_attributes_template=_AS_ATTRIBUTES,
        device_class="problem",
        entity_category="diagnostic",
        availability=place.alone(),
    )


def _rule(place: Place, rule: str) -> Entity:
    return _entity(
        place,
        "binary_sensor",
        f"rule_{plain_id(rule)}",
        name=spoken(rule),
        state_topic=f"{place.base}/active/{rule}",
        value_template=_IS_OPEN,
        device_class="occupancy",
    )


def _count(place: Place, level: str) -> Entity:
    return _entity(
        place,
        "sensor",
        f"objects_{plain_id(level)}",
        name=f"{spoken(level)} count",
        state_topic=f"{place.base}/objects/{level}",
        value_template=_NUMBER,
        state_class="measurement",
    )


def _crossings(place: Place, line: str, direction: str) -> Entity:
    return _entity(
        place,
        "sensor",
        f"line_{plain_id(line)}_{direction}",
        name=f"{spoken(line)} {direction}",
        state_topic=f"{place.base}/lines/{line}/{direction}",
        value_template=_NUMBER,
        state_class="total_increasing",  # counted anew in each run: a fall is a new beginning
    )


def _classification(place: Place, name: str) -> Entity:
    topic = f"{place.base}/class/{name}"
    return _entity(
        place,
        "sensor",
        f"class_{plain_id(name)}",
        name=spoken(name),
        state_topic=topic,
        value_template=_CLASS,
        json_attributes_topic=topic,
        json_attributes_template=_AS_ATTRIBUTES,
    )
