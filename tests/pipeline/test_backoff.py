from __future__ import annotations

import random

from streamer.core.errors import LostReason
from streamer.pipeline.backoff import Backoff


def test_delays_double_with_jitter_up_to_half_a_minute() -> None:
    backoff = Backoff(random.Random(3))
    delays = [backoff.next_s(LostReason.TIMEOUT) for _ in range(12)]
    for i, delay in enumerate(delays):
        step = min(30.0, 0.5 * 2**i)
        assert step / 2 <= delay <= step
    backoff.reset()
    assert backoff.next_s(LostReason.TIMEOUT) <= 0.5


def test_a_wrong_password_is_retried_slowly() -> None:
    backoff = Backoff(random.Random(3))
    delays = [backoff.next_s(LostReason.LOGIN) for _ in range(8)]
    assert min(delays) >= 15.0
    assert 150.0 <= max(delays) <= 300.0
