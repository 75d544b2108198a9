"""The motion gate in a camera's capture thread, and what the events thread is told while it is shut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .messages import Still

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.frame import Frame
    from streamer.motion.gate import MotionGate, Region

_TOLD_EVERY_NS = NS_PER_S // 2  # what is there counts as seen; counts look back 1 s


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a camera's gate needs."""

    gate: MotionGate
    settled_ns: Callable[[], int]  # capture time of the camera's last result, if all in it is certain; else -1
    still: Callable[[Still], None]  # nothing has moved up to then


class Gated:
    """Which frames of a camera need not be looked at. Capture thread."""

    def __init__(self, plan: GatePlan) -> None:
        self._plan = plan
        self._told_ns = 0

    def watch(self, frame: Frame) -> None:
        """Take in the next decoded frame, chosen for inference or not."""
        if frame.info.seq == 0:
            self._plan.gate.reset()
        self._plan.gate.watch(frame.picture, frame.info.captured_ns)

    def skips(self, frame: Frame) -> bool:
        """Whether the frame just watched need not be looked at; says so from time to time."""
        captured_ns = frame.info.captured_ns
        if not self._plan.gate.skips(captured_ns, self._plan.settled_ns()):
            return False
        if not 0 <= captured_ns - self._told_ns < _TOLD_EVERY_NS:
            self._told_ns = captured_ns
            self._plan.still(Still(info=frame.info))
        return True

    def idle(self) -> bool:
        """Whether it is enough to decode a picture now and then: nothing moves, and nothing is uncertain."""
        return self._plan.gate.idle(self._plan.settled_ns())

    def regions(self) -> tuple[Region, ...]:
        """Return where something moved in the last look at the scene, the largest first."""
        return self._plan.gate.regions()
