"""Decisions with made-up values, for tests of storing and delivering."""

from __future__ import annotations

from streamer.core.decision import Decision, Verdict

SECOND_NS = 1_000_000_000
NOON_NS = 1_700_000_000 * SECOND_NS


def make_decision(
    number: int,
    *,
    camera: str = "belt",
    item: str | None = None,
    verdict: Verdict = Verdict.ACCEPT,
    reason: str | None = None,
    now_ns: int = 1_000 * SECOND_NS,
    lasts_s: float | None = 2.0,
    late: bool = False,
) -> Decision:
    """Return a decision that is made at `now_ns` (monotonic) on a picture of 60 ms before."""
    captured_ns = now_ns - 60_000_000
    return Decision(
        camera=camera,
        item=str(number) if item is None else item,
        number=number,
        verdict=verdict,
        reason=reason,
        captured_utc_ns=NOON_NS,
        captured_ns=captured_ns,
        began_ns=captured_ns,
        decided_ns=now_ns,
        expires_ns=None if lasts_s is None else now_ns + round(lasts_s * SECOND_NS),
        late=late,
    )
