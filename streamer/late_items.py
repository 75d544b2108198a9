"""Says what to do where items get their verdicts too late."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.decision import Doubt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.clock import Clock
    from streamer.settings import Camera

    from .figures import Figures

_EVERY_NS = 60 * NS_PER_S
_LATE = f"otherwise_{Doubt.LATE.value}"  # as `ItemBook.counts` has it
_FIRST_NS = 5 * NS_PER_S  # from the first late item on: what becomes of one is no picture of a line

_log = logging.getLogger(__name__)


class LateItems:
    """Looks at the figures of cameras that decide. Main thread."""

    def __init__(self, cameras: Mapping[str, Camera], figures: Figures, *, clock: Clock) -> None:
        """Store the parts.

        Args:
            cameras: those that run.
            figures: what is counted.
            clock: for the time between two warnings.
        """
        self._figures = figures
        self._clock = clock
        self._models = {
            name: sorted({item.model for item in camera.classify} | ({camera.detect.model} if camera.detect else set()))
            for name, camera in cameras.items()
        }
        self._deadline_s = {
            name: camera.decides.decide.deadline_s
            for name, camera in cameras.items()
            if camera.decides is not None and camera.decides.decide is not None
        }
        self._told = dict.fromkeys(self._deadline_s, (0, 0))  # items and late ones when it was last told
        self._next_ns: dict[str, int] = {}  # when it is told again

    def look(self) -> None:
        """Warn of each camera with late items, once a minute at most."""
        now_ns = self._clock.monotonic_ns()
        for name in self._deadline_s:
            counts = self._figures.items(name) or {}
            items, late = self._told[name]
            # Not `late`, which counts those that got no picture as well: that is no fault of a model.
            late_now = counts.get(_LATE, 0)
            if late_now == late:
                continue
            if now_ns < self._next_ns.setdefault(name, now_ns + _FIRST_NS):
                continue
            self._next_ns[name] = now_ns + _EVERY_NS
            self._told[name] = (counts["items"], late_now)
            self._warn(name, counts["items"] - items, late_now - late)

    def _warn(self, name: str, items: int, late: int) -> None:
        taken = ((model, self._figures.infer_ms(model)) for model in self._models[name])
        models = (
            f"model {model} {'does not answer yet' if ms is None else f'takes {ms:.0f} ms'}" for model, ms in taken
        )
        _log.warning(
            "%d of %d items had no verdict within the deadline of %.0f ms (%s): where that goes on, give a longer "
            "deadline, fewer pictures a second, a smaller model or a faster machine",
            late,
            items,
            self._deadline_s[name] * 1e3,
            ", ".join(models),
            extra={"camera": name},
        )
