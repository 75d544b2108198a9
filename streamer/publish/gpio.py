"""Rejects out over GPIO: a pulse for each rejected item, when it has travelled to where it is thrown out."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamer.core.clock import NS_PER_S
from streamer.core.errors import GpioError

from .pulses import Pulse, Pulses

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock

    from .base import Message

_log = logging.getLogger(__name__)

MOST_PULSES = 4096  # that wait for their moment: minutes of belt, at 20 items a second
_TOPIC_END = "/decision"
_IDLE_S = 1.0
_AGAIN_NS = NS_PER_S  # between attempts to open a line that is away
_DRAIN_NS = NS_PER_S  # at the end, for items that are still on the belt
_LEAVE_S = 2.0
_ENDED = "the run ended before its moment"
_NO_ROOM = f"more than {MOST_PULSES} rejects wait for their moment: `delay` is too long"
_TOO_LATE = "a reject came after its item had passed: `delay` must be longer than `deadline`"


class Output(Protocol):
    """A line that is open for driving, inactive at first."""

    def set(self, *, active: bool) -> None:
        """Drive it, or raise GpioError."""

    def close(self) -> None:
        """Make it inactive and give it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioPlan:
    """Which line is pulsed, and when."""

    name: str  # of its thread: the camera
    open_output: Callable[[], Output]  # may raise GpioError; it is tried again
    delay_s: float  # from the moment that the decision is of to the pulse: the belt's travel; 0: at once
    pulse_s: float  # how long the line is active
    alarm: Callable[[str | None], None]  # told why rejects are not given, and None once they are; must not wait
    beat: Callable[[], None] = lambda: None  # called at least about once a second


class GpioSink:
    """A `Sink` that takes decisions, and pulses a line for each `reject`.

    The line is made inactive when it is opened and when it is given back. Decisions are taken also while the line is
    away, for it may be back when the pulse is due. A reject that was not given is refused (`on_done`), and is an alarm
    until one is given again.
    """

    def __init__(self, plan: GpioPlan, *, clock: Clock) -> None:
        """Store the parts; `start` starts."""
        self._plan = plan
        self._clock = clock
        self._delay_ns = round(plan.delay_s * NS_PER_S)
        self._pulse_ns = round(plan.pulse_s * NS_PER_S)
        self._lock = threading.Lock()  # guards the next three
        self._pulses = Pulses()
        self._turned_away = 0  # rejects for which there was no room
        self._end_ns: int | None = None  # set by `close`: until when what is due is still given
        self._wake = threading.Event()
        # The rest belongs to the thread; others read the numbers.
        self._line: Output | None = None
        self._begun: list[Pulse] = []  # that should be shown, and are not yet: the line is away
        self._active = False
        self._number: int | None = None
        self._openings = 0
        self._again_ns = clock.monotonic_ns()
        self._away: str | None = None  # why there is no line
        self._missed: str | None = None  # why the last reject was not given
        self._told: str | None = None
        self.given = 0  # pulses
        self.missed = 0
        # A daemon: a driver that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"streamer-gpio-out-{plan.name}", daemon=True)

    def start(self) -> None:
        """Open the line and begin."""
        self._thread.start()

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        """Take a decision; any other message is none of a line's business, and taken as well. Any thread."""
        try:
            rejected = message.topic.endswith(_TOPIC_END) and _rejected(message.payload)
        except ValueError as exc:
            on_done(str(exc))
            return True
        if rejected:
            return self._take(message.at_ns, on_done)
        if self._end_ns is not None:
            return False
        on_done(None)
        return True

    def _take(self, at_ns: int | None, on_done: Callable[[str | None], None]) -> bool:
        if at_ns is None or not self._delay_ns:
            at_ns = self._clock.monotonic_ns()
        start_ns = at_ns + self._delay_ns
        with self._lock:
            if self._end_ns is not None:
                return False
            full = len(self._pulses) >= MOST_PULSES
            self._turned_away += full
            if not full:
                self._pulses.add(Pulse(start_ns, start_ns + self._pulse_ns, on_done))
        self._wake.set()
        return not full

    def connection(self) -> int | None:
        """Return how often the line had been opened before, None while it is not open."""
        return self._number

    def trouble(self) -> str | None:
        """Return why rejects are not given, None if they are."""
        return self._told

    def close(self) -> None:
        """Give what is due within a second, make the line inactive and give it back. Idempotent."""
        with self._lock:
            if self._end_ns is None:
                self._end_ns = self._clock.monotonic_ns() + _DRAIN_NS
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        """Give the pulses.

        Thread: gpio-out-<camera>.  Ends: `close`, and what is due within a second of it has been given.
        Blocks on: the wake event (send, close; until the next edge, at most 1 s); the line's driver.
        """
        try:
            while not self._finished():
                wait_s = self._step()
                self._clock.wait(self._wake, wait_s)
                self._wake.clear()
        except Exception:  # noqa: BLE001  a line that nobody drives any more must be told, and left inactive
            _log.exception("gpio: a fault has ended the output of %s", self._plan.name)
            self._away = "a fault has ended the output; see the log"
            self._tell()
        finally:
            self._leave()

    def _step(self) -> float:
        """Do what is due; return how long nothing will be, s."""
        self._plan.beat()
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            begun, missed = self._pulses.begin(now_ns)
            wanted = self._pulses.active(now_ns)
            turned_away, self._turned_away = self._turned_away, 0
        self._begun += begun
        self._miss(missed, _TOO_LATE)
        if turned_away:
            self.missed += turned_away
            self._missed = _NO_ROOM
        if self._line is None and (begun or now_ns >= self._again_ns):
            self._open(now_ns)
        if self._line is not None and (wanted == self._active or self._drive(self._line, active=wanted)):
            self._give()
        over = [pulse for pulse in self._begun if pulse.end_ns <= now_ns]
        self._begun = [pulse for pulse in self._begun if pulse.end_ns > now_ns]
        self._miss(over, self._away or "")
        self._tell()
        return self._pause_s(now_ns)

    def _pause_s(self, now_ns: int) -> float:
        with self._lock:
            moments = [self._pulses.next_ns(now_ns), self._end_ns, self._again_ns if self._line is None else None]
        next_ns = min((moment for moment in moments if moment is not None), default=now_ns + NS_PER_S)
        return max(0.0, min(_IDLE_S, (next_ns - self._clock.monotonic_ns()) / NS_PER_S))

    def _open(self, now_ns: int) -> None:
        """Open the line, and prove by driving it that it works."""
        try:
            line = self._plan.open_output()
        except GpioError as exc:
            self._away = str(exc)
            self._again_ns = now_ns + _AGAIN_NS
            return
        if self._drive(line, active=False):
            self._line = line
            self._away = None
            self._number = self._openings
            self._openings += 1

    def _drive(self, line: Output, *, active: bool) -> bool:
        """Drive the line; False if that failed: it is given up then, and opened anew, which makes it inactive."""
        try:
            line.set(active=active)
        except GpioError as exc:
            self._away = str(exc)
            self._number = None
            self._line = None
            self._active = False
            self._again_ns = self._clock.monotonic_ns() + (0 if self._told is None else _AGAIN_NS)
            line.close()
            return False
        self._active = active
        return True

    def _give(self) -> None:
        """Answer the pulses that the line shows now."""
        given, self._begun = self._begun, []
        self.given += len(given)
        if given:
            self._missed = None
        for pulse in given:
            pulse.on_done(None)

    def _miss(self, pulses: list[Pulse], reason: str) -> None:
        self.missed += len(pulses)
        if pulses:
            self._missed = reason
        for pulse in pulses:
            pulse.on_done(reason)

    def _tell(self) -> None:
        """Raise or clear the alarm where its reason has changed."""
        reason = self._away or self._missed
        if reason == self._told:
            return
        self._told = reason
        if reason is None:
            _log.info("gpio: the output of %s works again", self._plan.name)
        else:
            _log.warning("gpio: the output of %s gives no rejects: %s", self._plan.name, reason)
        self._plan.alarm(reason)

    def _finished(self) -> bool:
        with self._lock:
            if self._end_ns is None:
                return False
            now_ns = self._clock.monotonic_ns()
            next_ns = self._pulses.next_ns(now_ns)
            coming = self._pulses.active(now_ns) or (next_ns is not None and next_ns <= self._end_ns)
            return now_ns >= self._end_ns or not coming

    def _leave(self) -> None:
        self._number = None
        with self._lock:
            self._end_ns = self._end_ns or self._clock.monotonic_ns()
            left = [*self._begun, *self._pulses.give_up()]
        if self._line is not None:
            self._line.close()
            self._line = None
        if left:
            _log.warning("gpio: %d rejects of %s were not given: %s", len(left), self._plan.name, _ENDED)
        self._miss(left, _ENDED)


def open_gpio(plan: GpioPlan, *, clock: Clock) -> GpioSink:
    """Begin to pulse a line; whether it is there is told by the alarm."""
    sink = GpioSink(plan, clock=clock)
    sink.start()
    return sink


def _rejected(payload: bytes) -> bool:
    """Return whether a decision rejects its item.

    Raises:
        ValueError: it is no decision.
    """
    try:
        verdict = json.loads(payload)["verdict"]
    except (ValueError, TypeError, KeyError) as exc:
        raise ValueError("not a decision") from exc
    if verdict not in ("accept", "reject"):
        raise ValueError(f"not a verdict: {verdict!r}; allowed: accept, reject")
    return bool(verdict == "reject")
