"""Puts a better backend to use once it is there and proved on the cameras' own frames; takes it back when it fails."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_S
from streamer.core.errors import BackendError
from streamer.infer.comparison import Decision, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.infer.backends.base import Backend
    from streamer.infer.comparison import Verdict
    from streamer.infer.gate import PrecisionGate
    from streamer.infer.network import Network

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
# The promise says *while* they agree: light and scene change over a day.
_AGAIN_NS = 3600 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to compute the model: a runtime and a precision."""

    name: str  # as people are told: `tensorrt f16`
    open_to_compare: Callable[[], Backend]  # for the upgrade's thread, one picture at a time
    open_to_serve: Callable[[], Backend]  # for the inference thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way that is better than the exact one, if it can be had and gives the same answers."""

    way: Way
    terms: Terms  # what it is held to
    proved: Callable[[Verdict], None]  # keeps a decision for the next start
    # (stopping, tell) makes what is missing, for minutes perhaps: asks `stopping` each second, tells how far it is.
    prepare: Callable[[Callable[[], bool], Callable[[str], None]], None] = lambda stopping, tell: None  # noqa: ARG005


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePlan:
    """What the upgrade of one model needs."""

    name: str  # of the model
    gate: PrecisionGate
    exact: Way  # always right, and always to be had
    candidates: tuple[Candidate, ...]  # at least one, the best first, each safer than the one before
    first: int = 0  # whose turn it is


class BackendUpgrade:
    """A thread that prepares and proves what is better, and the `Swapper` that the inference thread asks.

    Each candidate has its turn: it is prepared, compared, and serves if it agrees, else the next one has its turn. An
    hour after a decision the one that serves is asked again, or, where all have been refused, all are.
    """

    def __init__(self, plan: UpgradePlan, *, clock: Clock, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Store the parts."""
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._beat = beat
        self._serving: str | None = None  # name of the way; None: the model is not open yet
        self._left = list(plan.candidates)  # what can't be had here is taken out
        self._turn = plan.first
        self._prepared: set[str] = set()
        self._lock = threading.Lock()  # guards the next
        self._next: Backend | None = None  # handed from this thread to the inference thread
        self._again_ns = 0
        self._doing: str | None = None

    def began(self, way: str) -> None:
        """Say with which way the model has been opened; before that nothing is built or compared beside it."""
        self._serving = way

    def prepare_first(self, stopping: Callable[[], bool]) -> None:
        """Prepare the best that can be had, before `loop` and everything else; `stopping` is asked each second."""
        while self._left and self._left[self._turn].way.name not in self._prepared and not stopping():
            self._step(self._left[self._turn], stopping)

    def doing(self) -> str | None:
        """Return what is being prepared or proved, for people; from any thread."""
        return self._doing

    def due(self) -> bool:
        """Whether a proved backend waits to be swapped in."""
        return self._next is not None

    def swap(self, model: Network[Any]) -> None:
        """Exchange the backend. Inference thread, nothing in flight."""
        backend = self._exchange(None)
        if backend is not None:
            model.swap(backend)
            _log.info("model %s: goes on with %s %s", self._plan.name, backend.kind, backend.precision)

    def loop(self) -> None:
        """Prepare, compare when there are frames enough, decide, and begin anew an hour later.

        Thread: build-<model>, or prove-<model> where nothing is built.  Ends: `stop` is set, or nothing better can be
        had.  Blocks on: `stop` (0.5 s), preparing (minutes; asks `stop` each second), opening backends and comparing
        some pictures (seconds; asks `stop` in between).
        """
        try:
            while self._left and not self._clock.wait(self._stop, _LOOK_S):
                self._beat()
                if self._serving is not None and self._clock.monotonic_ns() >= self._again_ns:
                    self._step(self._left[self._turn], self._stopping)
        finally:
            self._doing = None
            left_over = self._exchange(None)
            if left_over is not None:
                left_over.close()

    def _step(self, candidate: Candidate, stopping: Callable[[], bool]) -> None:
        try:
            if candidate.way.name not in self._prepared:
                self._prepare(candidate, stopping)
            elif self._plan.gate.due():
                self._prove(candidate)
        except BackendError as exc:
            if not stopping():
                self._do_without(candidate, exc)

    def _prepare(self, candidate: Candidate, stopping: Callable[[], bool]) -> None:
        name = candidate.way.name
        if name != self._serving:
            candidate.prepare(stopping, lambda how_far: self._tell(f"building {name}: {how_far}"))
        self._prepared.add(name)
        self._tell(None if name == self._serving else f"proving {name}")

    def _prove(self, candidate: Candidate) -> None:
        plan, way = self._plan, candidate.way
        verdict = plan.gate.run(
            plan.exact.open_to_compare,
            way.open_to_compare,
            beat=self._beat,
            stopping=self._stop.is_set,
            terms=candidate.terms,
        )
        if verdict.decision is Decision.UNDECIDED or self._stop.is_set():
            if way.name != self._serving:
                self._tell(f"proving {way.name}: {verdict.agreement.so_far()}")
            return
        used = verdict.decision is Decision.USE
        otherwise = not verdict.agreement.passes(candidate.terms.bar)  # or right, and not fast enough to be worth it
        _log.log(logging.WARNING if otherwise else logging.INFO, "model %s: %s against %s: %s", plan.name, way.name,
                 plan.exact.name, verdict)  # fmt: skip
        if used:
            self._serve(way)
            self._rest()
        else:
            if self._serving == way.name:
                self._go_back()
            self._pass_on()
        plan.gate.forget()
        candidate.proved(verdict)

    def _serve(self, way: Way) -> None:
        """Hand a way to the inference thread, unless it serves already."""
        if way.name != self._serving:
            waiting = self._exchange(way.open_to_serve())
            self._serving = way.name
            if waiting is not None:
                waiting.close()

    def _go_back(self) -> None:
        """Serve the exact way again; without it nothing that is right can serve, and the run ends."""
        try:
            self._serve(self._plan.exact)
        except BackendError as exc:
            raise RefusedError(f"model {self._plan.name}: {self._serving} gives other answers, and {exc}") from exc

    def _do_without(self, candidate: Candidate, exc: BackendError) -> None:
        """Go on to the next where one can't be had; what serves already goes on, and is asked again later."""
        if isinstance(exc, RefusedError):
            raise exc
        name = candidate.way.name
        self._plan.gate.forget()
        if name == self._serving:
            _log.warning("model %s: %s goes on, but can't be compared now: %s", self._plan.name, name, exc)
            self._rest()
            return
        serving = self._serving or self._plan.exact.name
        _log.warning("model %s: %s can't be tried, %s serves: %s", self._plan.name, name, serving, exc)
        self._left.remove(candidate)
        self._turn -= 1
        self._pass_on()

    def _pass_on(self) -> None:
        """Let the next one have its turn; after the last the first, an hour later."""
        self._turn += 1
        self._tell(None)
        if self._turn >= len(self._left):
            self._turn = 0
            self._rest()

    def _rest(self) -> None:
        self._tell(None)
        self._again_ns = self._clock.monotonic_ns() + _AGAIN_NS

    def _tell(self, doing: str | None) -> None:
        self._doing = doing

    def _stopping(self) -> bool:
        """Whether to leave off preparing; being asked is a sign of life."""
        self._beat()
        return self._stop.is_set()

    def _exchange(self, backend: Backend | None) -> Backend | None:
        with self._lock:
            waiting, self._next = self._next, backend
        return waiting


class RefusedError(BackendError):
    """What serves gives other answers than the exact backend, and that one can't be opened."""
