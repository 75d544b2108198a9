"""Puts a faster precision to use once it is proved on the cameras' own frames, and takes it back when it fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import BackendError
from streamer.infer.gate import Decision

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.infer.backends.base import Backend
    from streamer.infer.gate import PrecisionGate, Verdict
    from streamer.infer.model import Model

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
# The promise says *while* they agree: light and scene change over a day.
_AGAIN_NS = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """What the proving thread of one model needs."""

    name: str
    gate: PrecisionGate
    exact: str  # the precision that is always right
    fast: str
    open_to_compare: Callable[[str], Backend]  # precision -> one for this thread, one picture at a time
    open_to_serve: Callable[[str], Backend]  # precision -> one for the inference thread
    proved: Callable[[Verdict], None]  # keeps a decision for the next start


class PrecisionUpgrade:
    """A thread that gathers evidence, and the `Swapper` that the inference thread asks between two batches."""

    def __init__(
        self, plan: UpgradePlan, *, serving: str, clock: Clock, stop: threading.Event, beat: Callable[[], None]
    ) -> None:
        """Store the parts; `serving` is the precision that the model begins with."""
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._beat = beat
        self._serving = serving
        self._next: Backend | None = None  # handed from this thread to the inference thread: one reference
        self._again_ns = 0

    def due(self) -> bool:
        """Whether a proved backend waits to be swapped in."""
        return self._next is not None

    def swap(self, model: Model) -> None:
        """Exchange the backend. Inference thread, nothing in flight."""
        backend, self._next = self._next, None
        if backend is not None:
            model.swap(backend)
            _log.info("model %s: goes on in %s", self._plan.name, backend.precision)

    def loop(self) -> None:
        """Compare when there are frames enough, decide, and begin anew an hour later.

        Thread: prove-<model>.  Ends: `stop` is set, or the runtime can't do the faster precision.
        Blocks on: `stop` (0.5 s), opening backends and comparing some pictures (seconds; asks `stop` in between).
        """
        try:
            while not self._clock.wait(self._stop, _LOOK_S):
                self._beat()
                if self._clock.monotonic_ns() >= self._again_ns and self._plan.gate.due():
                    self._prove()
        except BackendError as exc:
            _log.warning("model %s: stays in %s, as %s can't be tried: %s", self._plan.name, self._serving,
                         self._plan.fast, exc)  # fmt: skip
        finally:
            backend, self._next = self._next, None
            if backend is not None:
                backend.close()

    def _prove(self) -> None:
        plan = self._plan
        verdict = plan.gate.run(
            lambda: plan.open_to_compare(plan.exact),
            lambda: plan.open_to_compare(plan.fast),
            beat=self._beat,
            stopping=self._stop.is_set,
        )
        if verdict.decision is Decision.UNDECIDED or self._stop.is_set():
            return
        _log.info("model %s: %s against %s: %s", plan.name, plan.fast, plan.exact, verdict)
        plan.proved(verdict)
        plan.gate.forget()
        self._again_ns = self._clock.monotonic_ns() + _AGAIN_NS
        wanted = plan.fast if verdict.decision is Decision.USE else plan.exact
        if wanted != self._serving:
            self._next = plan.open_to_serve(wanted)
            self._serving = wanted
