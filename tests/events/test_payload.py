from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from event_scenes import MODEL, Tracks, camera_events, info, utc
from jsonschema import Draft202012Validator

import streamer.events
from streamer.core.event import EndReason, Event
from streamer.events.payload import encode_event, encode_interrupted, rfc3339

CONTRACT = """schema id seq type camera event class class_id score top_score box box_norm frame track zones line
direction count labels stationary captured_at started_at ended_at end_reason age_ms model snapshot clip"""


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = (Path(streamer.events.__path__[0]) / "event.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


@pytest.fixture
def story() -> list[Event]:
    """Start, update and end of one event."""
    events, tracks = camera_events(), Tracks()
    box = (412.4, 220.0, 559.6, 610.2)
    happened = [
        e for t in range(64) for e in events.observe(info(t), [tracks.seen(t, 17, box=box, score=0.87123)], MODEL)
    ]
    return happened + events.end_all(EndReason.GONE)


def fields(payload: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(payload)
    return value


def test_every_kind_of_message_fits_the_schema(schema: Draft202012Validator, story: list[Event]) -> None:
    assert [e.type.value for e in story] == ["start", "update", "end"]
    for event in story:
        for age_ms in (None, 84.23):
            schema.validate(fields(encode_event(event, age_ms)))
    for payload in (encode_event(story[0], 84.2), encode_event(story[1], None)):
        schema.validate(fields(encode_interrupted(payload, utc(70), now_utc_ns=utc(75))))


def test_other_rules_fit_the_schema_too(schema: Draft202012Validator, story: list[Event]) -> None:
    counted = replace(story[0], box=None, box_norm=None, track=None, count=6)
    crossed = replace(story[0], line="gate", direction="in", zones=("porch-mat",), labels={"parcel": ("box", 0.93)})
    saved = replace(story[0], snapshot="porch/x.jpg", clip="porch/x.mp4")
    for event in (counted, crossed, saved):
        schema.validate(fields(encode_event(event, 1.0)))
    assert fields(encode_event(crossed, 1.0))["labels"] == {"parcel": {"class": "box", "score": 0.93}}


def test_the_schema_refuses_what_is_not_an_event(schema: Draft202012Validator, story: list[Event]) -> None:
    good = fields(encode_event(story[0], 84.2))
    wrong: list[dict[str, Any]] = [
        {**good, "extra": 1},
        {**good, "ended_at": good["captured_at"]},
        {**good, "type": "end"},
        {**good, "score": 1.2},
        {**good, "captured_at": "2026-11-21T10:15:30Z"},
        {**good, "id": "not-a-uuid"},
        {key: value for key, value in good.items() if key != "count"},
    ]
    assert [schema.is_valid(w) for w in wrong] == [False] * len(wrong)


def test_the_fields_stand_in_the_order_of_the_contract(story: list[Event]) -> None:
    assert list(fields(encode_event(story[0], 84.2))) == CONTRACT.split()
    assert (
        list(fields(encode_interrupted(encode_event(story[0], 84.2), utc(70), now_utc_ns=utc(75)))) == CONTRACT.split()
    )


def test_values_are_plain_and_rounded(story: list[Event]) -> None:
    payload = fields(encode_event(story[0], 84.2345))
    assert payload["box"] == [412, 220, 560, 610]
    assert payload["box_norm"] == [0.3222, 0.3056, 0.4372, 0.8475]
    assert (payload["score"], payload["age_ms"], payload["track"]) == (0.8712, 84.2, 17)
    assert payload["frame"] == {"width": 1280, "height": 720}
    assert payload["started_at"] == "2025-11-24T16:00:00.000Z"
    assert payload["captured_at"] == "2025-11-24T16:00:01.000Z"
    assert (payload["ended_at"], payload["end_reason"], payload["labels"], payload["zones"]) == (None, None, {}, [])
    assert payload["model"] == {
        "name": "yolox-nano",
        "digest": MODEL.digest,
        "backend": "onnxruntime",
        "precision": "f32",
    }


def test_an_interrupted_event_ends_at_its_last_sighting(story: list[Event]) -> None:
    update = encode_event(story[1], 84.2)
    end = fields(encode_interrupted(update, utc(70), now_utc_ns=utc(75.25)))
    changed = {"seq", "type", "captured_at", "ended_at", "end_reason", "age_ms"}
    assert {k: v for k, v in end.items() if k not in changed} == {
        k: v for k, v in fields(update).items() if k not in changed
    }
    assert (end["seq"], end["type"], end["end_reason"], end["age_ms"]) == (2, "end", "interrupted", 5250.0)
    assert end["ended_at"] == end["captured_at"] == rfc3339(utc(70))


@pytest.mark.parametrize("there", [True, False])
def test_an_interrupted_event_names_the_clip_that_its_crash_has_left(story: list[Event], there: bool) -> None:  # noqa: FBT001  a case
    asked: list[str] = []

    def is_there(name: str) -> bool:
        asked.append(name)
        return there

    end = fields(encode_interrupted(encode_event(story[1], 84.2), utc(70), now_utc_ns=utc(75), clips=is_there))
    assert asked == [f"{story[1].camera}/{story[1].id}.mp4"]
    assert end["clip"] == (asked[0] if there else None)


def test_an_interrupted_event_never_ends_before_its_last_message(story: list[Event]) -> None:
    end = fields(encode_interrupted(encode_event(story[1], None), utc(3), now_utc_ns=utc(2)))
    assert end["ended_at"] == rfc3339(story[1].captured_utc_ns)
    assert end["age_ms"] is None  # a file's


def test_the_age_of_an_interrupted_event_is_never_below_zero(story: list[Event]) -> None:
    """The wall clock may have been set back between two runs."""
    end = fields(encode_interrupted(encode_event(story[1], 84.2), utc(70), now_utc_ns=utc(2)))
    assert end["age_ms"] == 0.0


@pytest.mark.parametrize(
    ("utc_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_256_130_123_999_999, "2026-11-21T10:15:30.123Z"),
        (1_795_256_130_009_000_000, "2026-11-21T10:15:30.009Z"),
        (1_795_256_130_000_999_999, "2026-11-21T10:15:30.000Z"),
        (253_402_300_799_999_000_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds(utc_ns: int, text: str) -> None:
    assert rfc3339(utc_ns) == text
