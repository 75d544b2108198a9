"""A factory's decisions as the bytes of the contract. `decision.schema.json` beside this file describes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS

from .payload import rfc3339

if TYPE_CHECKING:
    from streamer.core.decision import Decision

SCHEMA = 1
# Made once: `json.dumps` with options of one's own makes an encoder for each message.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode_decision(decision: Decision, *, now_ns: int) -> bytes:
    """Return a decision's payload.

    Args:
        decision: what was decided.
        now_ns: this moment, monotonic: the age is that of the picture now. None was judged, or it is a file's: no age.
    """
    age_ns = None if decision.captured_ns is None else max(0, now_ns - decision.captured_ns)
    return _JSON.encode(
        {
            "schema": SCHEMA,
            "camera": decision.camera,
            "number": decision.number,
            "item": decision.item,
            "verdict": decision.verdict.value,
            "reason": decision.reason,
            "captured_at": None if decision.captured_utc_ns is None else rfc3339(decision.captured_utc_ns),
            "age_ms": None if age_ns is None else round(age_ns / NS_PER_MS, 1),
            "late": decision.late,
        }
    ).encode()
