"""Starts the threads, watches over them, and ends them in order and in time."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.clock import Clock

    from .worker import Worker

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
# The contract: a signal drains at most 3 s and ends within 5 s. The parts below add up to less.
_STOP_LOOPS_S = 1.0
_STOP_EVENTS_S = 0.5
_STOP_DRAIN_S = 2.5
_STOP_CLOSE_S = 0.2
_STOP_OTHERS_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The workers from the first to the last, and how each stage is told to end."""

    captures: Sequence[Worker]
    inferences: Sequence[Worker]
    others: Sequence[Worker]  # side work that ends when `stop` is set
    events: Worker
    publish: Worker
    stop: Callable[[], None]  # frees every capture and inference thread; no new frame is taken
    close_events: Callable[[], None]  # forces the events thread to its end, should a writer be stuck
    finish: Callable[[float], object]  # tells the publish thread to drain for so many seconds, and waits for its end
    cut: Callable[[], None]  # closes the sink under a publish thread that does not leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended."""

    failure: BaseException | None
    stuck: tuple[str, ...]  # stages still alive: only `os._exit` ends them
    left: tuple[str, ...] = ()  # side work that had not come to its end: as `stuck`, but no fault


class Supervisor:
    """Runs the stages until they end by themselves, `request_stop` is called, or one fails."""

    def __init__(self, stages: Stages, *, clock: Clock, drain_s: float, look: Callable[[], None]) -> None:
        """Store the parts.

        Args:
            stages: what to run.
            clock: for the deadline.
            drain_s: what the publish thread is given when the run has ended by itself.
            look: called about once a second while all is well: watchdog, status, statistics.
        """
        self._stages = stages
        self._clock = clock
        self._drain_s = drain_s
        self._look = look
        self._stop_requested = False
        self._attention = threading.Event()  # a thread has ended, or a stop was asked for

    def request_stop(self) -> None:
        """End the run; safe in a signal handler and in any thread."""
        self._stop_requested = True
        self._attention.set()

    def run(self) -> Outcome:
        """Start everything and return when it has ended."""
        stages = self._stages
        for worker in (stages.publish, stages.events, *stages.inferences, *stages.captures, *stages.others):
            worker.start(ended=self._attention.set)
        failed = self._watch()
        hurried = failed is not None or self._stop_requested
        self._end(hurried=hurried)
        failed = failed or self._failed()
        left = tuple(worker.name for worker in stages.others if worker.alive())
        stuck = tuple(worker.name for worker in self._all() if worker.alive() and worker.name not in left)
        if stuck:
            _log.error("these threads are stuck and are left behind: %s", ", ".join(stuck))
        return Outcome(failure=failed.failure if failed else None, stuck=stuck, left=left)

    def _all(self) -> tuple[Worker, ...]:
        stages = self._stages
        return (*stages.captures, *stages.inferences, *stages.others, stages.events, stages.publish)

    def _failed(self) -> Worker | None:
        return next((worker for worker in self._all() if worker.failure is not None), None)

    def _watch(self) -> Worker | None:
        """Return the worker that failed, or None when the run has ended or is to end."""
        while self._stages.events.alive() and not self._stop_requested:
            if (worker := self._failed()) is not None:
                return worker
            if not self._attention.wait(_LOOK_S):
                self._look()
            self._attention.clear()
        return self._failed()

    def _end(self, *, hurried: bool) -> None:
        """End stage by stage; a thread that does not leave in its time is passed over and named."""
        stages = self._stages
        stages.stop()
        self._join([*stages.captures, *stages.inferences], _STOP_LOOPS_S)
        stages.close_events()
        self._join([stages.events], _STOP_EVENTS_S)
        drain_s = min(self._drain_s, _STOP_DRAIN_S) if hurried else self._drain_s
        stages.finish(drain_s)
        self._join([stages.publish], drain_s + _STOP_CLOSE_S)
        if stages.publish.alive():
            stages.cut()
            self._join([stages.publish], 0.2)
        self._join(stages.others, _STOP_OTHERS_S)

    def _join(self, workers: Sequence[Worker], timeout_s: float) -> None:
        """Join all of them within one deadline."""
        end_ns = self._clock.monotonic_ns() + round(timeout_s * NS_PER_S)
        for worker in workers:
            worker.join((end_ns - self._clock.monotonic_ns()) / NS_PER_S)
