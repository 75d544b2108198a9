"""Events as the bytes of the contract. `event.schema.json` beside this file describes them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_MS
from streamer.core.event import EndReason, EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.event import Event

SCHEMA = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def encode_event(event: Event, age_ms: float | None) -> bytes:
    """Return an event's payload, fields in the order of the contract.

    Args:
        event: what happened.
        age_ms: from its capture to the moment it was safely stored; None for a file.
    """
    return _json(
        {
            "schema": SCHEMA,
            "id": event.id,
            "seq": event.seq,
            "type": event.type.value,
            "camera": event.camera,
            "event": event.rule,
            "class": event.class_name,
            "class_id": event.class_id,
            "score": round(event.score, 4),
            "top_score": round(event.top_score, 4),
            "box": event.box and list(event.box),
            "box_norm": event.box_norm and [round(v, 4) for v in event.box_norm],
            "frame": {"width": event.frame_width, "height": event.frame_height},
            "track": event.track,
            "zones": list(event.zones),
            "line": event.line,
            "direction": event.direction,
            "count": event.count,
            "labels": {name: {"class": label, "score": round(s, 4)} for name, (label, s) in event.labels.items()},
            "stationary": event.stationary,
            "captured_at": rfc3339(event.captured_utc_ns),
            "started_at": rfc3339(event.started_utc_ns),
            "ended_at": None if event.ended_utc_ns is None else rfc3339(event.ended_utc_ns),
            "end_reason": None if event.end_reason is None else event.end_reason.value,
            "age_ms": None if age_ms is None else round(age_ms, 1),
            "model": {
                "name": event.model.name,
                "digest": event.model.digest,
                "backend": event.model.backend,
                "precision": event.model.precision,
            },
            "snapshot": event.snapshot,
            "clip": event.clip,
        }
    )


def encode_interrupted(
    last_payload: bytes, last_seen_utc_ns: int, *, now_utc_ns: int, clips: Callable[[str], bool] = lambda _: False
) -> bytes:
    """Return the `end` of an event that a crash left open.

    Args:
        last_payload: the event's last stored message, which says all that is still known of it.
        last_seen_utc_ns: its last sighting, ns since 1970. Box and score stay those of the stored message.
        now_utc_ns: the moment at which the end is stored, ns since 1970: a live camera's message has an age.
        clips: whether there is a clip of this name, or what becomes one at this start: its beginning.
    """
    last = json.loads(last_payload)
    clip = f"{last['camera']}/{last['id']}.mp4"
    seen_at = max(rfc3339(last_seen_utc_ns), last["captured_at"])  # one format and zone: text sorts as time
    return _json(
        {
            **last,
            "stationary": last.get("stationary", False),  # an older version may have written the last one, without
            "seq": last["seq"] + 1,
            "type": EventType.END.value,
            "captured_at": seen_at,
            "ended_at": seen_at,
            "end_reason": EndReason.INTERRUPTED.value,
            "clip": clip if clips(clip) else None,
            # Only a file's messages have none. The wall clock may have been set back since.
            "age_ms": None if last["age_ms"] is None else round(max(0.0, now_utc_ns / NS_PER_MS - _ms(seen_at)), 1),
        }
    )


@lru_cache(maxsize=512)  # the feed says each frame when each of its objects was first seen
def rfc3339(utc_ns: int) -> str:
    """Return a moment as RFC 3339 in UTC with milliseconds (cut off, not rounded) and `Z`."""
    moment = _EPOCH + timedelta(milliseconds=utc_ns // NS_PER_MS)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"  # it ends in +00:00; half of strftime's time


def _ms(moment: str) -> float:
    """Return an `rfc3339` of ours as ms since 1970."""
    return (datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f%z") - _EPOCH) / timedelta(milliseconds=1)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
