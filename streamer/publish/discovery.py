"""What Home Assistant is told of a camera by MQTT discovery: one device, in one retained message. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .entities import Place, digested, entities_of, spoken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .entities import DeviceFacts

_NAME = "Streamer"
_ONE_PART = re.compile(r"[a-zA-Z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Who announces, and where."""

    prefix: str  # of our topics, without a slash at its end
    discovery_prefix: str  # of Home Assistant's
    version: str  # of Streamer


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A camera as Home Assistant knows it."""

    id: str
    topic: str  # whole, behind a slash: it stands under no prefix of ours
    components: Mapping[str, str]  # id within the device -> platform
    config: bytes


def device_id(prefix: str, camera: str) -> str:
    """Return the id of a camera's device: another for each prefix, as two that share a broker have their own.

    The first `_` in it ends what stands for the prefix, so that no two are equal.
    """
    return f"{prefix if _ONE_PART.fullmatch(prefix) else digested(prefix)}_{camera}"


def device_of(facts: DeviceFacts, by: Discovery, *, gone: Mapping[str, str] | None = None) -> Device:
    """Return a camera's device.

    Args:
        facts: what of the camera is to be known.
        by: who announces it.
        gone: components that are no more, by id, and their platforms. To name nothing else of one removes it.
    """
    device = device_id(by.prefix, facts.camera)
    place = Place(device=device, base=f"{by.prefix}/{facts.camera}", process=f"{by.prefix}/status")
    entities = entities_of(facts, place)
    removals = {name: {"platform": platform} for name, platform in (gone or {}).items() if name not in entities}
    config = {
        "device": {
            "identifiers": [device],
            "name": spoken(facts.camera),
            "manufacturer": _NAME,
            "model": "Camera",
            "sw_version": by.version,
        },
        "origin": {"name": _NAME, "sw_version": by.version},
        "availability": place.both(),
        "availability_mode": "all",
        "components": {**entities, **removals},
    }
    return Device(
        id=device,
        topic=f"/{by.discovery_prefix}/device/{device}/config",
        components={name: str(entity["platform"]) for name, entity in entities.items()},
        config=json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode(),
    )


def with_topic(facts: DeviceFacts, topic: str) -> DeviceFacts:
    """Return the facts with what a retained topic adds to them; the same object if that is nothing.

    Args:
        facts: of a camera.
        topic: relative to the prefix.
    """
    camera, *levels = topic.split("/")
    if camera != facts.camera:
        return facts
    if levels == ["alarm"] and not facts.alarm:
        return replace(facts, alarm=True)
    if len(levels) == 3 and levels[0] == "lines":
        line = (levels[1], levels[2])
        return facts if line in facts.lines else replace(facts, lines=tuple(sorted({*facts.lines, line})))
    if len(levels) == 2:
        return _with_level(facts, kind=levels[0], level=levels[1])
    return facts


def _with_level(facts: DeviceFacts, *, kind: str, level: str) -> DeviceFacts:
    if kind == "active" and level not in facts.rules:
        return replace(facts, rules=tuple(sorted({*facts.rules, level})))
    if kind == "objects" and level not in facts.classes:
        return replace(facts, classes=tuple(sorted({*facts.classes, level})))
    if kind == "class" and level not in facts.classifications:
        return replace(facts, classifications=tuple(sorted({*facts.classifications, level})))
    return facts
