"""The per-frame feed as the bytes of the contract. `detections.schema.json` beside this file describes its messages."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.errors import ConfigError

from .payload import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Track

# Made once: `json.dumps` with options of one's own makes an encoder for each message.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_CBOR_NEEDS = 'cbor needs cbor2: pip install "streamer[cbor]"'


@dataclass(frozen=True, slots=True)
class FeedForm:
    """In which form the messages of a feed are written."""

    content_type: str
    encode: Callable[[dict[str, Any]], bytes]


def lacking(form: str) -> str | None:
    """Return what has to be installed for a form, in a sentence; None if nothing has."""
    if form == "cbor" and importlib.util.find_spec("cbor2") is None:
        return _CBOR_NEEDS
    return None


def open_feed_form(form: str) -> FeedForm:
    """Return how messages are written in a form.

    Args:
        form: json or cbor.

    Raises:
        ConfigError: what it needs is not installed.
    """
    if missing := lacking(form):
        raise ConfigError(f"publish_detections: {missing}")
    match form:
        case "json":
            return FeedForm("application/json", _to_json)
        case "cbor":
            from cbor2 import dumps  # noqa: PLC0415  an extra, imported where it was chosen

            return FeedForm("application/cbor", dumps)
    raise ValueError(f"form: expected json or cbor, got {form!r}")


def encode_feed(
    form: FeedForm, info: FrameInfo, tracks: Sequence[Track], *, labels: Sequence[str], age_ms: float | None
) -> bytes:
    """Return the message about one frame.

    Args:
        form: in which it is written; what it says is the same in each.
        info: the frame.
        tracks: the objects in it as they are now, best first.
        labels: the model's class names; the index is the class id.
        age_ms: from capture to now; None for a file.
    """
    return form.encode(
        {
            "captured_at": rfc3339(info.utc_ns),
            "age_ms": None if age_ms is None else round(age_ms, 1),
            "frame": {"width": info.width, "height": info.height, "connection": info.connection, "seq": info.seq},
            "detections": [_detection(track, info, labels) for track in tracks],
        }
    )


def decode_feed(payload: bytes) -> dict[str, Any]:
    """Return what a message of ours says, in whichever form: a JSON object begins with `{`, as no CBOR map does.

    Raises:
        ConfigError: it is CBOR, and cbor2 is not installed.
        ValueError: it is neither.
    """
    if payload[:1] == b"{":
        said: dict[str, Any] = json.loads(payload)
        return said
    try:
        from cbor2 import CBORDecodeError, loads  # noqa: PLC0415  an extra, imported where it is needed
    except ImportError as exc:
        raise ConfigError(_CBOR_NEEDS) from exc
    try:
        told = loads(payload)
    except CBORDecodeError as exc:
        raise ValueError(f"a message of the feed is JSON or CBOR: {exc}") from exc
    if isinstance(told, dict):
        return told
    raise ValueError(f"a message of the feed is a map, not {type(told).__name__}")


def _detection(track: Track, info: FrameInfo, labels: Sequence[str]) -> dict[str, Any]:
    x1, y1, x2, y2 = track.box
    said = {
        "class": labels[track.class_id],
        "class_id": track.class_id,
        "score": round(track.score, 4),
        "box": [round(x1), round(y1), round(x2), round(y2)],
        "track": track.id,
        # Within a connection the two clocks keep their distance, and no track outlives its connection.
        "first_seen": rfc3339(info.utc_ns - info.captured_ns + track.first_ns),
        "hits": track.hits,
        "velocity": None,
        "velocity_norm": None,
        "velocity_std": None,
    }
    if track.velocity is not None:
        x, y, deviation = track.velocity
        said["velocity"] = [round(x, 1) + 0.0, round(y, 1) + 0.0]  # + 0.0: no -0.0
        said["velocity_norm"] = [round(x / info.width, 4) + 0.0, round(y / info.height, 4) + 0.0]
        said["velocity_std"] = round(deviation, 1)
    return said


def _to_json(message: dict[str, Any]) -> bytes:
    return _JSON.encode(message).encode()
