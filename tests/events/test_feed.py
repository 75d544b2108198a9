from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from event_scenes import LABELS, Tracks, info, ns
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import streamer.events
from streamer.core.errors import ConfigError
from streamer.core.results import Track, Velocity
from streamer.events.feed import decode_feed, encode_feed, lacking, open_feed_form

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = open_feed_form("json")
needs_cbor2 = pytest.mark.skipif(lacking("cbor") is not None, reason="needs cbor2")


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = (Path(streamer.events.__path__[0]) / "detections.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


def track(number: int = 7, *, velocity: Velocity | None = None, hits: int = 4, class_id: int = 0) -> Track:
    return Track(
        id=number,
        class_id=class_id,
        box=(1.4, 2.6, 641.0, 362.5),
        score=0.91237,
        first_ns=ns(0.25) - 1_500_000_000,
        last_ns=ns(0.25),
        hits=hits,
        velocity=velocity,
    )


def said(tracks: Sequence[Track], form: str = "json", age_ms: float | None = 12.34) -> dict[str, Any]:
    return decode_feed(encode_feed(open_feed_form(form), info(0.25), tracks, labels=LABELS, age_ms=age_ms))


def test_a_message_tells_each_object_of_a_frame() -> None:
    moving = track(velocity=Velocity(-128.04, 36.26, 20.06), class_id=2)
    new = Tracks().seen(0.25, 8, box=(5, 6, 7, 8), score=0.45)
    assert said([moving, new]) == {
        "captured_at": "2025-11-24T16:00:00.250Z",
        "age_ms": 12.3,
        "frame": {"width": 1280, "height": 720, "connection": 0, "seq": 250},
        "detections": [
            {
                "class": "traffic light", "class_id": 2, "score": 0.9124, "box": [1, 3, 641, 362], "track": 7,
                "first_seen": "2025-11-24T15:59:58.750Z", "hits": 4,
                "velocity": [-128.0, 36.3], "velocity_norm": [-0.1, 0.0504], "velocity_std": 20.1,
            },
            {
                "class": "person", "class_id": 0, "score": 0.45, "box": [5, 6, 7, 8], "track": 8,
                "first_seen": "2025-11-24T16:00:00.250Z", "hits": 1,
                "velocity": None, "velocity_norm": None, "velocity_std": None,
            },
        ],
    }  # fmt: skip


def test_the_fields_that_were_there_first_stand_first() -> None:
    assert list(said([track()])["detections"][0])[:5] == ["class", "class_id", "score", "box", "track"]


def test_an_empty_frame_is_told_too() -> None:
    message = said([], age_ms=None)
    assert (message["detections"], message["age_ms"]) == ([], None)


def test_what_rests_has_no_minus_zero() -> None:
    payload = encode_feed(JSON, info(0), [track(velocity=Velocity(-0.01, -0.0, 3.0))], labels=LABELS, age_ms=None)
    assert b'"velocity":[0.0,0.0],"velocity_norm":[0.0,0.0]' in payload


def test_a_speed_that_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        said([track(velocity=Velocity(math.nan, 0.0, 1.0))])


def test_messages_fit_the_schema(schema: Draft202012Validator) -> None:
    for tracks in ([], [track(hits=1)], [track(velocity=Velocity(1.0, -2.0, 3.0)), track(8, hits=1)]):
        for age_ms in (None, 0.0, 84.2):
            schema.validate(said(tracks, age_ms=age_ms))


@pytest.mark.parametrize(
    "wrong",
    [
        {"velocity": [1.0]},
        {"velocity": None},
        {"velocity_std": None},
        {"velocity_std": -1.0},
        {"velocity_norm": [0.1, None]},
        {"hits": 1},
        {"hits": 0},
        {"box": [1, 2, 3]},
        {"first_seen": "2025-11-24T16:00:00Z"},
        {"score": 1.1},
        {"speed": 3},
    ],
)
def test_the_schema_refuses_what_is_not_a_detection(schema: Draft202012Validator, wrong: dict[str, Any]) -> None:
    message = said([track(velocity=Velocity(1.0, -2.0, 3.0))])
    message["detections"][0].update(wrong)
    assert not schema.is_valid(message)


def test_every_field_of_a_message_is_required_by_the_schema(schema: Draft202012Validator) -> None:
    good = said([track(velocity=Velocity(1.0, -2.0, 3.0))])
    (found,) = good["detections"]
    lacking_one = [{key: value for key, value in good.items() if key != left_out} for left_out in good]
    lacking_one += [
        {**good, "detections": [{key: value for key, value in found.items() if key != left_out}]} for left_out in found
    ]
    assert not [message for message in lacking_one if schema.is_valid(message)]


NUMBERS = st.floats(-5000, 5000)
TRACKS = st.lists(
    st.builds(
        Track,
        id=st.integers(1, 2**31 - 1),
        class_id=st.integers(0, 2),
        box=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
        score=st.floats(0, 1),
        first_ns=st.integers(0, ns(0.25)),
        last_ns=st.just(ns(0.25)),
        hits=st.integers(2, 100_000),
        velocity=st.none() | st.builds(Velocity, NUMBERS, NUMBERS, st.floats(0, 5000)),
    ),
    max_size=5,
)


@needs_cbor2
@given(tracks=TRACKS, age_ms=st.none() | st.floats(0, 1e6))
def test_both_forms_say_the_same_to_the_last_digit(
    schema: Draft202012Validator, tracks: list[Track], age_ms: float | None
) -> None:
    text, binary = (said(tracks, form, age_ms) for form in ("json", "cbor"))
    assert text == binary
    assert json.dumps(text) == json.dumps(binary)  # also the kinds of numbers, and the order of the fields
    schema.validate(binary)


@needs_cbor2
def test_cbor_is_plain_and_smaller() -> None:
    """Times are text, as in JSON, not tag 0: what a decoder makes of a tag is its own affair."""
    tracks = [track(n, velocity=Velocity(1.0, -2.0, 3.0)) for n in range(1, 11)]
    text, binary = (
        encode_feed(open_feed_form(form), info(0.25), tracks, labels=LABELS, age_ms=1.0) for form in ("json", "cbor")
    )
    assert binary[:1] == b"\xa4"  # a map of four
    assert b"\x6bcaptured_at\x78\x182025-11-24T16:00:00.250Z" in binary  # text of 24 bytes, no tag before it
    assert len(binary) < 0.95 * len(text)


@needs_cbor2
@pytest.mark.parametrize("payload", [b"\x01", b"\x80", b"\xa4", b"", b"\xff"])
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="a message of the feed is"):
        decode_feed(payload)


def test_the_content_types() -> None:
    assert JSON.content_type == "application/json"
    with pytest.raises(ValueError, match="expected json or cbor, got 'xml'"):
        open_feed_form("xml")


def test_cbor_without_its_library_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)  # as if it were not installed
    assert lacking("json") is None
    with pytest.raises(ConfigError, match=r'^publish_detections: cbor needs cbor2: pip install "streamer\[cbor\]"$'):
        open_feed_form("cbor")
    with pytest.raises(ConfigError, match="cbor needs cbor2"):
        decode_feed(b"\xa4")
    assert said([track()])["age_ms"] == 12.3


def test_the_wall_clock_of_a_first_sighting_does_not_move() -> None:
    """However late a frame is told, its track began when it began."""
    first = [
        decode_feed(encode_feed(JSON, info(t), [replace(track(), last_ns=ns(t))], labels=LABELS, age_ms=None))
        for t in (0.25, 3.0, 60.0)
    ]
    assert {message["detections"][0]["first_seen"] for message in first} == {"2025-11-24T15:59:58.750Z"}
