"""When a rule starts no event: in its quiet hours, and for its cool-down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.quiet import quiet

if TYPE_CHECKING:
    from streamer.core.frame import FrameInfo

    from .rules import RuleSpec


class Pauses:
    """The pauses of one camera's rules. They outlast the loss of the camera. Owned by one thread."""

    def __init__(self) -> None:
        self._last_ns: dict[str, int] = {}  # rule -> capture time of the last start or end of an event of it

    def note(self, rule: RuleSpec, now_ns: int) -> None:
        """Note that an event of a rule has started or ended."""
        self._last_ns[rule.name] = now_ns

    def now(self, rule: RuleSpec, info: FrameInfo) -> bool:
        """Tell whether no event of a rule may start with a frame."""
        last_ns = self._last_ns.get(rule.name)
        if last_ns is not None and info.captured_ns - last_ns < rule.cooldown_s * NS_PER_S:
            return True
        return bool(rule.quiet) and quiet(rule.quiet, info.utc_ns)
