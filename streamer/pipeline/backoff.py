"""How long to wait before a camera is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import LostReason

if TYPE_CHECKING:
    import random

_FIRST_S = 0.5
_LONGEST_S = 30.0
# A wrong password is not mended by asking more often, and many cameras lock the account of whoever does.
_LOGIN_FIRST_S = 30.0
_LOGIN_LONGEST_S = 300.0


class Backoff:
    """Exponential delays with equal jitter: between half of the step and the whole of it.

    After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with the lower half kept so that a camera is
    never hammered.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0

    def next_s(self, reason: LostReason) -> float:
        """Return the delay before the next attempt, in seconds, and remember the failure."""
        first_s, longest_s = (
            (_LOGIN_FIRST_S, _LOGIN_LONGEST_S) if reason is LostReason.LOGIN else (_FIRST_S, _LONGEST_S)
        )
        step_s = min(longest_s, first_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return step_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Forget the failures: a picture has come."""
        self._failures = 0
