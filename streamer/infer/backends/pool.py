"""Tickets for a runtime that only knows how to run and wait: its batches run on threads of the adapter's own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError

from .base import IN_FLIGHT, Ticket
from .batch import ANSWER_LIMIT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Outputs = tuple["NDArray[np.float32]", ...]


class Pool:
    """`IN_FLIGHT` slots and the threads that work on them. Called by one thread."""

    def __init__(
        self,
        *,
        name: str,
        threads: int,
        run: Callable[[int, NDArray[np.uint8]], Outputs],
        on_ready: Callable[[], None],
        limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        """Start nothing yet: threads start with the first batches.

        Args:
            name: of the runtime, for its threads and messages.
            threads: batches that are computed at once; further ones wait for the first that is done.
            run: (slot, batch) -> outputs; two calls never share a slot.
            on_ready: called whenever a ticket has become ready.
            limit_s: what may take no longer: a batch to be answered, all to be closed.
        """
        self._name = name
        self._run = run
        self._on_ready = on_ready
        self._limit_s = limit_s
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"streamer-{name}")
        self._batches: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)] * IN_FLIGHT
        self._slots: list[tuple[Ticket, Future[Outputs]] | None] = [None] * IN_FLIGHT
        self._next = 0
        self._closed = False

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Copy the batch and start on it; wait for the slot's last one first."""
        if self._closed:
            raise BackendError(f"{self._name}: is closed")
        slot, self._next = self._next, (self._next + 1) % IN_FLIGHT
        taken = self._slots[slot]
        if taken is not None:
            self.collect(taken[0])
        if self._batches[slot].shape != batch.shape:
            self._batches[slot] = np.empty(batch.shape, np.uint8)
        np.copyto(self._batches[slot], batch)
        ticket = Ticket(slot)
        future = self._executor.submit(self._run, slot, self._batches[slot])
        self._slots[slot] = ticket, future
        future.add_done_callback(lambda _: self._on_ready())
        return ticket

    def ready(self, ticket: Ticket) -> bool:
        """Whether the ticket's batch is done, well or badly."""
        return self._future_of(ticket).done()

    def collect(self, ticket: Ticket) -> Outputs:
        """Wait for the outputs of a ticket; what `run` raised is raised here."""
        future = self._future_of(ticket)
        try:
            return future.result(self._limit_s)
        except FutureTimeoutError as exc:
            raise BackendError(f"{self._name}: no answer within {self._limit_s:g} s") from exc

    def close(self) -> None:
        """Wait for what is in flight, then end the threads.

        Raises:
            BackendError: a batch is still not answered after the limit; its thread is left to the end of the process.
        """
        if self._closed:
            return
        self._closed = True
        pending = [taken[1] for taken in self._slots if taken is not None]
        hung = wait(pending, self._limit_s).not_done  # a failure was for `collect`, which nobody will call any more
        self._executor.shutdown(wait=not hung, cancel_futures=True)
        if hung:
            raise BackendError(f"{self._name}: could not be closed within {self._limit_s:g} s")

    def _future_of(self, ticket: Ticket) -> Future[Outputs]:
        taken = self._slots[ticket.slot]
        if taken is None or taken[0] is not ticket:
            raise ValueError(f"this ticket's slot has been used again: collect before submitting {IN_FLIGHT} more")
        return taken[1]
