"""Decisions on their way out: at once, in order for each camera, until the broker has them or their time is over.

They wait for nobody: not for the disk, on which they are noted elsewhere, and not for the publish thread, which may be
at the disk for events. Whoever brings one sends it, and so does an answer that has made room; the publish thread looks
after what a broken connection has left.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.events.verdicts import encode_decision
from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.publish.base import Sink

log = logging.getLogger(__name__)

CAPACITY = 10_000  # decisions that wait for a connection, some 10 MB; those of live cameras expire long before
_SUSPECT_AFTER = 2  # connections in turn that broke just after a decision on the same topic: then that is held back
_FIRST_HOLD_NS = 1 * NS_PER_S
_LONGEST_HOLD_NS = 300 * NS_PER_S


@dataclass(slots=True, eq=False)
class _Told:
    """A decision that the broker has not taken. Its identity is what an answer belongs to."""

    topic: str
    payload: bytes
    expires_ns: int | None
    sent_ns: int = 0  # on the present connection

    def over(self, now_ns: int) -> bool:
        return self.expires_ns is not None and now_ns >= self.expires_ns

    def message(self) -> Message:
        """Return what is sent; the broker is told whole seconds that do not last longer, but for the last one."""
        expiry_s = None if self.expires_ns is None else max(1, (self.expires_ns - self.sent_ns) // NS_PER_S)
        return Message(topic=self.topic, payload=self.payload, qos=1, retain=False, expiry_s=expiry_s, urgent=True)


class DecisionLane:
    """Decisions that the broker has not taken yet. Thread-safe.

    One thread at a time hands over what waits; another that comes meanwhile leaves it to that one, which looks again.
    So the order holds, and no lock is held while the sink is called.
    """

    def __init__(self, sink: Sink, *, clock: Clock, wake: Callable[[], None], capacity: int = CAPACITY) -> None:
        self._sink = sink
        self._clock = clock
        self._wake = wake
        self._capacity = capacity
        self._answers: deque[tuple[_Told, str | None]] = deque()  # any thread appends
        self._lock = threading.Lock()  # guards all below
        self._sending = False  # whether a thread is handing over
        self._asked = False  # whether it is to look again
        self._waiting: deque[_Told] = deque()
        self._open: dict[_Told, None] = {}  # sent and not answered, in the order of sending
        self._connection: int | None = None  # on which they were sent
        self._broke_at: _Told | None = None  # the first that had no answer when a connection broke
        self._breaks: Counter[str] = Counter()  # topic -> connections that broke at it, in turn
        self._held_until_ns: dict[str, int] = {}
        self._refused: set[str] = set()  # topics whose refusal was logged
        self._dropped = {"expired": 0, "refused": 0, "full": 0}
        self._taken = 0

    @property
    def taken(self) -> int:
        """Decisions that the broker has taken."""
        return self._taken

    @property
    def dropped(self) -> Mapping[str, int]:
        """Decisions that the broker has not taken and will not be sent again, by cause: expired, refused, full."""
        return self._dropped

    def put(self, decision: Decision) -> bytes:
        """Send a decision, or keep it until that is possible. Any thread; those of one camera come from one.

        Returns:
            Its payload.
        """
        payload = encode_decision(decision, now_ns=self._clock.monotonic_ns())
        with self._lock:
            self._waiting.append(_Told(f"{decision.camera}/decision", payload, decision.expires_ns))
            if len(self._waiting) > self._capacity:
                self._waiting.popleft()
                self._dropped["full"] += 1
        self.send()
        self._wake()  # the publish thread looks more often for a new connection while there is something to send
        return payload

    def send(self) -> None:
        """Deal with answers and hand over as much as the sink takes. Any thread; never waits."""
        with self._lock:
            self._asked = True
            if self._sending:
                return
            self._sending = True
        try:
            while self._goes_on():
                self._hand_over()
        except BaseException:
            with self._lock:
                self._sending = False
            raise

    def look_again(self) -> None:
        """Try what was held back, and forget what has expired. Call it about once a second."""
        self.send()
        self.idle()

    def idle(self) -> bool:
        """Whether there is nothing to send and nothing to wait for; what has expired is counted and forgotten."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            self._expire_locked(now_ns)
            return not self._waiting and not self._open and not self._answers

    def left(self) -> int:
        """Return how many decisions the broker has not taken, and that are not dropped."""
        with self._lock:
            return len(self._waiting) + len(self._open)

    def take_break(self) -> tuple[str, int] | None:
        """Return what waited longest for its answer as the connection broke: its topic, and when it was sent. Once."""
        with self._lock:
            told, self._broke_at = self._broke_at, None
        return None if told is None else (told.topic, told.sent_ns)

    def blame(self, topic: str) -> None:
        """Take a decision on a topic for the reason why the connection broke: it is held back, longer each time."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            self._breaks[topic] += 1
            breaks = self._breaks[topic]
            if breaks >= _SUSPECT_AFTER:
                hold_ns = min(_LONGEST_HOLD_NS, _FIRST_HOLD_NS << min(breaks - _SUSPECT_AFTER, 9))
                self._held_until_ns[topic] = now_ns + hold_ns
        if breaks == _SUSPECT_AFTER:
            log.warning("the connection broke %d times just after a decision on %s: held back", breaks, topic)

    def forgive(self) -> None:
        """The connection broke by itself: no topic is under suspicion."""
        with self._lock:
            self._breaks.clear()

    def _goes_on(self) -> bool:
        """Whether somebody has asked since the last look; if not, the next to ask is the one who sends."""
        with self._lock:
            self._sending, self._asked = self._asked, False
            return self._sending

    def _hand_over(self) -> None:
        self._take_answers()
        connection = self._sink.connection()
        with self._lock:
            self._meet_locked(connection)
        while connection is not None and (told := self._next()) is not None:
            if not self._sink.send(told.message(), self._on_done(told)):
                with self._lock:
                    del self._open[told]
                    self._waiting.appendleft(told)
                return

    def _take_answers(self) -> None:
        while self._answers:
            told, refusal = self._answers.popleft()
            with self._lock:
                newly = self._settle_locked(told, refusal)
            if newly:
                log.warning("the broker refuses decisions on %s: %s", told.topic, refusal)

    def _settle_locked(self, told: _Told, refusal: str | None) -> bool:
        """Deal with an answer; return whether it is the first refusal on its topic."""
        if told in self._open:
            del self._open[told]
        elif told in self._waiting:  # answered on a connection that broke right behind: it need not be sent again
            self._waiting.remove(told)
        else:
            return False
        if refusal is None:
            self._taken += 1
            self._refused.discard(told.topic)
            del self._breaks[told.topic]
            return False
        self._dropped["refused"] += 1
        newly = told.topic not in self._refused
        self._refused.add(told.topic)
        return newly

    def _meet_locked(self, connection: int | None) -> None:
        """Take a change of connection into account: what was sent and not answered is sent again, before the others."""
        if connection == self._connection:
            return
        self._connection = connection
        if self._open:
            self._broke_at = next(iter(self._open))
            self._waiting.extendleft(reversed(self._open))
            self._open = {}

    def _next(self) -> _Told | None:
        """Move the next one whose time is not over to those that are sent."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            self._release_held_locked(now_ns)
            while (place := self._first_free_locked()) is not None:
                told = self._waiting[place]
                del self._waiting[place]
                if not told.over(now_ns):
                    told.sent_ns = now_ns
                    self._open[told] = None
                    return told
                self._dropped["expired"] += 1
        return None

    def _first_free_locked(self) -> int | None:
        if not self._held_until_ns:
            return 0 if self._waiting else None
        return next((i for i, told in enumerate(self._waiting) if told.topic not in self._held_until_ns), None)

    def _release_held_locked(self, now_ns: int) -> None:
        for topic in [topic for topic, until_ns in self._held_until_ns.items() if now_ns >= until_ns]:
            del self._held_until_ns[topic]

    def _expire_locked(self, now_ns: int) -> None:
        if any(told.over(now_ns) for told in self._waiting):
            kept = [told for told in self._waiting if not told.over(now_ns)]
            self._dropped["expired"] += len(self._waiting) - len(kept)
            self._waiting = deque(kept)

    def _on_done(self, told: _Told) -> Callable[[str | None], None]:
        def on_done(refusal: str | None) -> None:
            self._answers.append((told, refusal))
            self.send()
            self._wake()  # the publish thread may be waiting for the last of them

        return on_done
