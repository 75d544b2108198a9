"""Starts the threads, watches over them, and ends them in order and in time."""

from __future__ import annotations

import logging
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.clock import Clock

    from .worker import Worker

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
# The contract: a signal drains at most 3 s and ends within 5 s. One deadline covers it all; what one stage leaves of
# its share is the next one's. Behind it a broker that hangs is given 1 s to answer the goodbye.
_STOP_S = 3.9
_STOP_LOOPS_S = 1.0
_STOP_EVENTS_S = 1.2  # the last commit, on a slow disk
_STOP_EVIDENCE_S = 1.4  # behind them: the last pictures
_EVIDENCE_S = 10.0  # the same where nobody is in a hurry
_STOP_DRAIN_S = 2.5
_STOP_CLOSE_S = 0.3  # behind the drain: the goodbye
_STOP_SIDE_S = 1.0  # behind that, as far as time is left: a process that built an engine lets go of a GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The workers from the first to the last, and how each stage is told to end."""

    captures: Sequence[Worker]
    inferences: Sequence[Worker]
    others: Sequence[Worker]  # side work that ends when `stop` is set
    events: Worker
    evidence: Worker  # ends by itself behind the events
    publish: Worker
    stop: Callable[[], None]  # frees every capture and inference thread; no new frame is taken
    close_events: Callable[[], None]  # forces the events thread to its end, should a writer be stuck
    # Lets the publish thread and the sinks' drain for so many seconds at most, and leave; waits not.
    finish: Callable[[float], object]
    cut: Callable[[], None]  # closes the receivers under those of them that do not leave
    hurry: Callable[[], None] = lambda: None  # told once where the end is hurried, perhaps in the middle of it
    sinks: Sequence[Worker] = ()  # that send to others than the broker, each apart from all


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended."""

    failure: BaseException | None
    stuck: tuple[str, ...]  # threads still alive: only `os._exit` ends them


class Supervisor:
    """Runs the stages until they end by themselves, `request_stop` is called, or one fails."""

    def __init__(
        self,
        stages: Stages,
        *,
        clock: Clock,
        drain_s: float,
        look: Callable[[], None],
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the parts.

        Args:
            stages: what to run.
            clock: for the deadlines.
            drain_s: what the publish thread is given when the run has ended by itself.
            look: called about once a second, also while the broker is waited for: watchdog, status, statistics.
            ending: called once, when the end begins.
        """
        self._stages = stages
        self._clock = clock
        self._drain_s = drain_s
        self._look = look
        self._ending = ending
        self._stop_requested = False
        self._end_ns: int | None = None  # when all is to be over; None: nobody is in a hurry
        # A thread has ended, or a stop was asked for. Not an Event: a signal handler that sets one in the very moment
        # in which this thread holds its lock would wait for itself.
        self._attention: queue.SimpleQueue[None] = queue.SimpleQueue()

    def request_stop(self) -> None:
        """End the run; safe in a signal handler and in any thread."""
        self._stop_requested = True
        self._attention.put(None)

    def run(self) -> Outcome:
        """Start everything and return when it has ended."""
        stages = self._stages
        if self._stop_requested:  # before anything began
            return Outcome(failure=None, stuck=())
        senders = (*stages.sinks, stages.publish, stages.evidence)
        for worker in (*senders, stages.events, *stages.inferences, *stages.captures, *stages.others):
            worker.start(ended=lambda: self._attention.put(None))
        failed = self._watch()
        self._ending()
        if failed is not None:
            self._hurry()
        self._end()
        failed = failed or self._failed()
        stuck = tuple(worker.name for worker in self._all() if worker.alive())
        if stuck:
            _log.warning("these threads sit in native code and are left behind: %s", ", ".join(stuck))
        return Outcome(failure=failed.failure if failed else None, stuck=stuck)

    def _all(self) -> tuple[Worker, ...]:
        stages = self._stages
        writers = (stages.events, stages.evidence, stages.publish, *stages.sinks)
        return (*stages.captures, *stages.inferences, *stages.others, *writers)

    def _sending(self) -> bool:
        return any(worker.alive() for worker in (self._stages.publish, *self._stages.sinks))

    def _failed(self) -> Worker | None:
        return next((worker for worker in self._all() if worker.failure is not None), None)

    def _watch(self) -> Worker | None:
        """Return the worker that failed, or None when the run has ended or is to end."""
        while self._stages.events.alive() and not self._stop_requested:
            if (worker := self._failed()) is not None:
                return worker
            if not self._heard(_LOOK_S):
                self._look()
        return self._failed()

    def _heard(self, timeout_s: float) -> bool:
        """Wait until something has happened; False if nothing did."""
        try:
            self._attention.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return False
        return True

    def _end(self) -> None:
        """End stage by stage; a thread that does not leave in its time is passed over."""
        stages = self._stages
        if self._stop_requested:
            self._hurry()
        stages.stop()
        self._join([*stages.captures, *stages.inferences], self._now_ns(_STOP_LOOPS_S))
        stages.close_events()
        self._wait_for(lambda hurried: _STOP_EVENTS_S if hurried else self._drain_s, stages.events.alive)
        self._wait_for(lambda hurried: _STOP_EVIDENCE_S if hurried else _EVIDENCE_S, stages.evidence.alive)
        self._wait_for(self._drain, self._sending)
        if self._sending():
            stages.cut()
        self._join([stages.publish, *stages.sinks], self._now_ns(_STOP_CLOSE_S))
        soon_ns, late_ns = self._now_ns(_STOP_CLOSE_S), self._now_ns(_STOP_SIDE_S)
        self._join(stages.others, late_ns if self._end_ns is None else max(soon_ns, min(late_ns, self._end_ns)))

    def _hurry(self) -> None:
        """Note that all is to be over soon: a stop was asked for, or a thread has failed."""
        if self._end_ns is None:
            self._end_ns = self._now_ns(_STOP_S)
            self._stages.hurry()

    def _drain(self, hurried: bool) -> float:  # noqa: FBT001  as `_wait_for` says it
        """Let what sends leave once all is sent, or soon; return how long that may take."""
        drain_s = self._drain_s
        if hurried and self._end_ns is not None:
            drain_s = max(0.0, min(drain_s, _STOP_DRAIN_S, self._left_s(self._end_ns) - _STOP_CLOSE_S))
        self._stages.finish(drain_s)
        return drain_s + _STOP_CLOSE_S

    def _wait_for(self, limit_s: Callable[[bool], float], goes_on: Callable[[], bool]) -> None:
        """Wait for threads that end by themselves, with an eye on the watchdog.

        Args:
            limit_s: begins the wait and says how long it may take: told whether the end is hurried. Asked again when a
                stop makes it so meanwhile.
            goes_on: whether there is something to wait for.
        """
        hurried = self._end_ns is not None
        end_ns, look_ns = self._now_ns(limit_s(hurried)), self._now_ns(_LOOK_S)
        while goes_on() and (left_s := self._left_s(end_ns)) > 0:
            self._heard(min(left_s, self._left_s(look_ns)))
            if self._left_s(look_ns) <= 0:
                look_ns = self._now_ns(_LOOK_S)
                self._look()
            if self._stop_requested and not hurried:
                hurried = True
                self._hurry()
                end_ns = min(end_ns, self._now_ns(limit_s(hurried)))

    def _now_ns(self, plus_s: float) -> int:
        return self._clock.monotonic_ns() + round(plus_s * NS_PER_S)

    def _left_s(self, end_ns: int) -> float:
        return (end_ns - self._clock.monotonic_ns()) / NS_PER_S

    def _join(self, workers: Sequence[Worker], end_ns: int) -> None:
        """Join all of them within one deadline."""
        for worker in workers:
            worker.join(self._left_s(end_ns))
