from __future__ import annotations

import random

from streamer.publish.mqtt import _Backoff
from streamer.publish.reasons import LostKind


def steps(backoff: _Backoff, kind: LostKind, count: int) -> list[float]:
    return [backoff.next_s(kind) for _ in range(count)]


def test_it_doubles_from_1_to_30_s_and_from_30_s_to_5_min_for_a_login() -> None:
    for kind, longest in (
        (LostKind.SOON, [1, 2, 4, 8, 16, 30, 30]),
        (LostKind.SLOWLY, [30, 60, 120, 240, 300, 300, 300]),
    ):
        for delay_s, step_s in zip(steps(_Backoff(random.Random(1)), kind, 7), longest, strict=True):
            assert step_s / 2 <= delay_s <= step_s


def test_a_good_connection_begins_anew_and_a_short_one_caps_the_delay() -> None:
    backoff = _Backoff(random.Random(1))
    steps(backoff, LostKind.SOON, 10)
    backoff.connected(100_000_000)
    assert backoff.next_s(LostKind.SOON) <= 4.0
    backoff.connected(3_000_000_000)
    assert backoff.next_s(LostKind.SOON) <= 1.0
