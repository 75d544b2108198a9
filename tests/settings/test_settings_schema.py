from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from streamer.settings import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMERA = {"source": "rtsp://h/x", "detect": {"model": "m"}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def sections(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "top", schema
    for name, definition in schema["$defs"].items():
        yield name, next((form for form in definition.get("anyOf", []) if "properties" in form), definition)


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(schema)


def test_every_key_says_what_it_is_for_and_what_it_is_when_left_out(schema: dict[str, Any]) -> None:
    for name, section in sections(schema):
        assert section["additionalProperties"] is False, name
        for key, value in section["properties"].items():
            assert len(value["description"]) > 10, (name, key)
            if "default" in value:
                assert f"Default: {json.dumps(value['default'])}" in value["description"], (name, key)


def test_durations_and_sizes_are_patterns_with_defaults_as_people_write_them(schema: dict[str, Any]) -> None:
    rule, mqtt, outbox = (schema["$defs"][name]["properties"] for name in ("Rule", "Mqtt", "Outbox"))

    assert (rule["after"]["default"], rule["end_after"]["default"], mqtt["drain"]["default"]) == ("500ms", "2s", "30s")
    assert (outbox["max_size"]["default"], outbox["max_age"]["default"]) == ("1GB", "7d")
    assert rule["after"]["anyOf"][0]["pattern"].startswith("^[0-9]+")


@pytest.mark.parametrize(
    "config",
    [
        {"cameras": {"a": CAMERA}},
        {"cameras": {"a": CAMERA}, "mqtt": None, "dashboard": {"port": "${PORT}"}},
        {"cameras": {"a": {**CAMERA, "classify": [{"name": "x", "model": "m", "of": "frame", "every": "1s"}]}}},
        {"cameras": {"a": {**CAMERA, "classify": [{"name": "x", "model": "m", "of": {"class": ["dog"]}}]}}},
        {"cameras": {"a": {**CAMERA, "zones": {"z": {"polygon": [[0, 0], [1, 0], [1, 1]]}}}}},
        {"cameras": {"a": {**CAMERA, "publish_detections": True}, "b": {**CAMERA, "publish_detections": None}}},
        {"cameras": {"a": {**CAMERA, "publish_detections": {"format": "cbor"}}}},
        {"cameras": {"a": {**CAMERA, "publish_detections": "${FEED}"}}},
    ],
)
def test_right_configurations_fit(schema: dict[str, Any], config: object) -> None:
    jsonschema.Draft202012Validator(schema).validate(config)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cameras": {"A b": CAMERA}},
        {"cameras": {"a": {}}},
        {"cameras": {"a": {**CAMERA, "max_age": 5}}},
        {"cameras": {"a": {**CAMERA, "max_age": "5"}}},
        {"cameras": {"a": {**CAMERA, "frames": "x"}}},
        {"cameras": {"a": {**CAMERA, "classify": [{"name": "x", "model": "m", "of": "zone"}]}}},
        {"cameras": {"a": {**CAMERA, "nonsense": 1}}},
        {"cameras": {"a": {**CAMERA, "publish_detections": "cbor"}}},
        {"cameras": {"a": {**CAMERA, "publish_detections": {"format": "xml"}}}},
    ],
)
def test_wrong_ones_do_not(schema: dict[str, Any], config: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(config)
