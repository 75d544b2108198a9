"""Items begun by a GPIO line: a light barrier on a belt."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import GpioError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.gpio.base import InputLine

_log = logging.getLogger(__name__)

REFUSED = "triggers_refused"  # what is counted
_WAIT_S = 0.5
_AGAIN_S = 1.0  # between attempts to open a line that is away


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioInputPlan:
    """Which line, and what its edges begin."""

    camera: str
    open_line: Callable[[], InputLine]  # may raise GpioError; it is tried again
    trigger: Callable[[str, int], None]  # told an item's id and when it was triggered (monotonic, ns); must not wait
    count: Callable[[str, int], None]  # told a counter and how much to add
    alarm: Callable[[str | None], None]  # told why edges are not seen, and None once they are


class GpioInput:
    """Turns the edges of a line into items `gpio-1`, `gpio-2` and so on."""

    def __init__(
        self, plan: GpioInputPlan, *, clock: Clock, stop: threading.Event, beat: Callable[[], None] = lambda: None
    ) -> None:
        """Store the parts.

        Args:
            plan: which line, and what its edges begin.
            clock: for the wait between attempts.
            stop: ends the loop.
            beat: called at least about once a second.
        """
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._beat = beat
        self._edges = 0
        self._refused = False  # whether the last edge was: said once
        self._trouble: str | None = None

    def loop(self) -> None:
        """Open the line and read it, and again when it has failed.

        Thread: gpio-in-<camera>.  Ends: `stop`.
        Blocks on: the line (0.5 s), the wait before another attempt (1 s, stop).
        """
        while not self._stop.is_set():
            self._beat()
            try:
                with closing(self._plan.open_line()) as line:
                    self._read(line)
            except GpioError as exc:
                self._tell(str(exc))
                self._clock.wait(self._stop, _AGAIN_S)

    def _read(self, line: InputLine) -> None:
        while not self._stop.is_set():
            edges_ns = line.wait(_WAIT_S)
            self._tell(None)
            for at_ns in edges_ns:
                self._begin(at_ns)
            self._beat()

    def _begin(self, at_ns: int) -> None:
        self._edges += 1
        try:
            self._plan.trigger(f"gpio-{self._edges}", at_ns)
        except ValueError as exc:
            if not self._refused:
                _log.warning("gpio: %s: an edge begins no item: %s", self._plan.camera, exc)
            self._plan.count(REFUSED, 1)
            self._refused = True
        else:
            self._refused = False

    def _tell(self, trouble: str | None) -> None:
        """Raise or clear the alarm where its reason has changed."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            _log.info("gpio: the input of %s works again", self._plan.camera)
        else:
            _log.warning("gpio: the input of %s begins no items: %s", self._plan.camera, trouble)
        self._plan.alarm(trouble)
