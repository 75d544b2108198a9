"""Tickets for a runtime that only knows how to run and wait: its batches run on threads of the adapter's own."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from streamer.core.errors import BackendError

from .base import IN_FLIGHT, Ticket
from .batch import ANSWER_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

Outputs = tuple["NDArray[np.float32]", ...]
Work = TypeVar("Work")  # what is submitted: a batch of pixels, or whatever an adapter makes of one


class _Job:
    """One batch on its way. `pending` is held until it is done: the cheapest wait with a limit there is."""

    __slots__ = ("done", "error", "outputs", "pending", "ticket")

    def __init__(self, slot: int) -> None:
        self.ticket = Ticket(slot)
        self.outputs: Outputs = ()
        self.error: BaseException | None = None
        self.done = False
        self.pending = threading.Lock()
        self.pending.acquire()

    def wait(self, limit_s: float) -> bool:
        """Whether it is done within the limit. Called by one thread."""
        return self.done or self.pending.acquire(timeout=max(0.0, limit_s))


class Pool(Generic[Work]):
    """`IN_FLIGHT` slots and the threads that work on them. Called by one thread.

    The threads are daemons: one that a hung runtime never gives back must not hold up the end of the process.
    """

    def __init__(
        self,
        *,
        name: str,
        threads: int,
        run: Callable[[int, Work], Outputs],
        on_ready: Callable[[], None],
        limit_s: float = ANSWER_LIMIT_S,
        first_limit_s: float | None = None,
    ) -> None:
        """Start nothing yet: threads start with the first batches.

        Args:
            name: of the runtime, for its threads and messages.
            threads: batches that are computed at once; further ones wait for the first that is done.
            run: (slot, batch) -> outputs; two calls never share a slot.
            on_ready: called whenever a ticket has become ready.
            limit_s: what may take no longer: a batch to be answered, all to be closed.
            first_limit_s: the limit until the first answer, if that is another.
        """
        self._name = name
        self._most = threads
        self._run = run
        self._on_ready = on_ready
        self._limit_s = limit_s if first_limit_s is None else first_limit_s  # of now
        self._later_limit_s = limit_s
        self._waiting: SimpleQueue[tuple[_Job, Work] | None] = SimpleQueue()  # None: a thread ends
        self._threads: list[threading.Thread] = []
        self._slots: list[_Job | None] = [None] * IN_FLIGHT
        self._next = 0
        self._closed = False
        self.hung = False  # whether the runtime once gave no answer in time: nothing it may still use can be freed

    def submit(self, batch: Work) -> Ticket:
        """Start on the batch, which stays the caller's; wait for the slot's last one first."""
        if self._closed:
            raise BackendError(f"{self._name}: is closed")
        slot, self._next = self._next, (self._next + 1) % IN_FLIGHT
        taken = self._slots[slot]
        if taken is not None:
            self.collect(taken.ticket)
        job = self._slots[slot] = _Job(slot)
        self._waiting.put((job, batch))
        if len(self._threads) < self._most:
            name = f"streamer-{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        return job.ticket

    def ready(self, ticket: Ticket) -> bool:
        """Whether the ticket's batch is done, well or badly."""
        return self._job_of(ticket).done

    def collect(self, ticket: Ticket) -> Outputs:
        """Wait for the outputs of a ticket; what `run` raised is raised here."""
        job = self._job_of(ticket)
        if not job.wait(self._limit_s):
            self.hung = True
            raise BackendError(f"{self._name}: no answer within {self._limit_s:g} s")
        if job.error is not None:
            try:
                raise job.error
            finally:
                del job  # the error's traceback holds this frame: a ring would keep all that it names until some day
        self._limit_s = self._later_limit_s
        return job.outputs

    def close(self) -> None:
        """Wait for what is in flight, then end the threads.

        A batch that `collect` has given up on already is not waited for again: its thread is left to the end of the
        process, as `hung` says.

        Raises:
            BackendError: a batch is still not answered after the limit.
        """
        if self._closed:
            return
        self._closed = True
        told = self.hung
        if not told:
            until = time.monotonic() + self._limit_s
            # A failure was for `collect`, which nobody will call any more.
            self.hung = not all(job.wait(until - time.monotonic()) for job in self._slots if job is not None)
        self._end_threads()
        if not self.hung:
            self._let_go()
        if self.hung and not told:
            raise BackendError(f"{self._name}: could not be closed within {self._limit_s:g} s")

    def _let_go(self) -> None:
        """Hold no outputs and no failure, with all that it saw, any more: their memory may be given back now."""
        for job in self._slots:
            if job is not None:
                job.outputs = ()
                job.error = BackendError(f"{self._name}: is closed")

    def _end_threads(self) -> None:
        try:
            while True:  # nobody waits for what has not begun
                self._waiting.get_nowait()
        except Empty:
            pass
        for _ in self._threads:
            self._waiting.put(None)
        if not self.hung:
            for thread in self._threads:
                thread.join(self._limit_s)

    def _work(self) -> None:
        """Run batches.

        Thread: streamer-<runtime>-<n>.  Ends: with the pool, or with the process if the runtime hangs.
        Blocks on: the queue of batches (submit, close), `run` (the adapter's own words say how).
        """
        while (taken := self._waiting.get()) is not None:
            job, batch = taken
            try:
                job.outputs = self._run(job.ticket.slot, batch)
            except BaseException as exc:  # noqa: BLE001  it is for whoever collects
                job.error = exc
            del batch, taken  # nothing is held while this waits for the next: it may lie in a decoder's few surfaces
            job.done = True
            job.pending.release()
            del job  # as in `collect`
            self._on_ready()

    def _job_of(self, ticket: Ticket) -> _Job:
        job = self._slots[ticket.slot]
        if job is None or job.ticket is not ticket:
            raise ValueError(f"this ticket's slot has been used again: collect before submitting {IN_FLIGHT} more")
        return job
