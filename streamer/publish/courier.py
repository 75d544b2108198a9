"""A sink without a connection: one message at a time, each tried until it is taken or refused."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from streamer.core.clock import Clock

    from .base import Message

log = logging.getLogger(__name__)

_FIRST_S = 1.0  # before another try; doubles with each in turn
_LONGEST_S = 60.0
_LONGEST_ASKED_S = 3600.0  # what a receiver may ask for
_LEAVE_S = 0.6  # a program is asked to end, and 0.3 s later killed
FAULT = "a fault of ours; the log has it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The receiver does not want this message; the next may be fine."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Nobody took it, whatever it says: the same one is tried again, and none goes before it."""

    reason: str
    wait_s: float | None = None  # the receiver asked for so long


Answer = Refused | Later | None  # None: taken, for good


class Courier(ABC):
    """A `Sink` that hands one message at a time over, in a thread of its own, and keeps the order.

    What nobody takes is tried again after 1 s doubling to 60 s, with equal jitter: between half of the step and the
    whole. A refusal is answered at once: whoever sent the message decides what becomes of it. The log has a line when a
    receiver begins to take nothing and when it takes again.
    """

    def __init__(self, kind: str, name: str, *, clock: Clock, rng: random.Random) -> None:
        """Store the parts; `start` starts.

        Args:
            kind: of receiver, for the thread's name.
            name: the sink's, for people.
            clock: for the waits.
            rng: for the jitter.
        """
        self._name = name
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()  # guards the message on its way, and the end
        self._message: tuple[Message, Callable[[str | None], None]] | None = None
        self._wake = threading.Event()  # there is one, or the end
        self._ending = threading.Event()
        self._leave_s = 0.0  # monotonic: how long its thread is waited for, once it is to end
        self._failures = 0  # in turn
        self._trouble: str | None = None
        self.tried_again = 0  # how often a message was not taken and not refused
        # A daemon: one stuck in a name look-up must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"streamer-{kind}-{name}", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        """Take a message if there is none on its way. Any thread."""
        with self._lock:
            if self._message is not None or self._ending.is_set():
                return False
            self._message = (message, on_done)
        self._wake.set()
        return True

    def connection(self) -> int | None:
        """Return 0, for there is nothing to hold, and None after `close`."""
        return None if self._ending.is_set() else 0

    def trouble(self) -> str | None:
        """Return why the last message was not taken, None if it was."""
        return self._trouble

    def let_go(self) -> None:
        """Begin to end, as `close`, without waiting for it: so that many may leave in the time of one. Idempotent."""
        with self._lock:
            if not self._ending.is_set():
                self._leave_s = time.monotonic() + _LEAVE_S
            self._ending.set()
        self._wake.set()
        self._break_off()

    def close(self) -> None:
        """Break off what is on its way, which is never answered then, and end the thread. Idempotent.

        A name look-up or a connect in progress is left to its own limit, and then ends by itself.
        """
        self.let_go()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._leave_s - time.monotonic()))

    @abstractmethod
    def _attempt(self, message: Message) -> Answer:
        """Hand a message over, once. Blocks within a limit of its own; leaves soon after `_break_off`."""

    @abstractmethod
    def _break_off(self) -> None:
        """Free the thread from an attempt, if it is in one. Any thread."""

    def _run(self) -> None:
        """Hand over what comes.

        Thread: <kind>-<name>.  Ends: `close`.
        Blocks on: the wake event (send, close), an attempt (its own limit), the wait between two (close).
        """
        while not self._ending.is_set():
            if self._message is None:
                self._wake.wait()  # without a limit: each message and the end set it
                self._wake.clear()
            else:
                self._deliver(*self._message)

    def _deliver(self, message: Message, on_done: Callable[[str | None], None]) -> None:
        answer = self._tried(message)
        if isinstance(answer, Later):
            if not self._ending.is_set():  # it was the end that broke it off
                self.tried_again += 1
                self._tell(answer.reason)
                self._clock.wait(self._ending, self._pause_s(answer.wait_s))
            return
        refusal = None if answer is None else answer.reason
        self._failures = 0
        self._tell(refusal)
        with self._lock:
            self._message = None
        on_done(refusal)

    def _tried(self, message: Message) -> Answer:
        try:
            return self._attempt(message)
        except Exception:
            # This receiver's alone, as a camera's faults are that camera's: it is told, and tried again.
            if self._trouble != FAULT:
                log.exception("sink %s: a fault ended an attempt", self._name)
            return Later(reason=FAULT)

    def _pause_s(self, asked_s: float | None) -> float:
        step_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        pause_s = step_s * self._rng.uniform(0.5, 1.0)
        return pause_s if asked_s is None else max(pause_s, min(asked_s, _LONGEST_ASKED_S))

    def _tell(self, reason: str | None) -> None:
        """Log where it has begun, or ceased, to take messages."""
        if reason is not None and self._trouble is None:
            log.warning("sink %s: an event was not taken: %s", self._name, reason)
        elif reason is None and self._trouble is not None:
            log.info("sink %s: it takes events again", self._name)
        self._trouble = reason
