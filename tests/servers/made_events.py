"""Events with made-up values, for tests of storing and delivering."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from streamer.core.event import EndReason, Event, EventType
from streamer.core.results import ModelRef

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = ModelRef(name="shapes", digest="sha256:" + "0" * 64, backend="fake", precision="f32")
SECOND_NS = 1_000_000_000
NOON_NS = 1_700_000_000 * SECOND_NS


def make_event(
    event_id: str,
    kind: str = "start",
    seq: int = 0,
    *,
    camera: str = "porch",
    at_s: float = 0.0,
    captured_ns: int | None = None,
) -> Event:
    at_ns = NOON_NS + round(at_s * SECOND_NS)
    ended = kind == "end"
    return Event(
        id=event_id,
        seq=seq,
        type=EventType(kind),
        camera=camera,
        rule="person",
        class_name="person",
        class_id=0,
        score=0.8,
        top_score=0.9,
        box=(1, 2, 30, 40),
        box_norm=(0.1, 0.2, 0.3, 0.4),
        frame_width=640,
        frame_height=360,
        track=1,
        captured_utc_ns=at_ns,
        captured_ns=captured_ns,
        started_utc_ns=NOON_NS,
        ended_utc_ns=at_ns if ended else None,
        end_reason=EndReason.GONE if ended else None,
        model=MODEL,
    )


def encode(event: Event, age_ms: float | None) -> bytes:
    """Return a payload with the fields that delivery tests look at."""
    values: Mapping[str, Any] = {
        "id": event.id,
        "seq": event.seq,
        "type": event.type.value,
        "camera": event.camera,
        "age_ms": age_ms,
        "end_reason": None if event.end_reason is None else event.end_reason.value,
    }
    return json.dumps(values).encode()


def encode_interrupted(last: bytes, last_seen_utc_ns: int) -> bytes:
    values = json.loads(last)
    return json.dumps(
        {**values, "seq": values["seq"] + 1, "type": "end", "end_reason": "interrupted", "at": last_seen_utc_ns}
    ).encode()
