"""The book of one camera's items: each is written in once, in order, and leaves it with exactly one verdict."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from streamer.core.decision import Decision, Doubt, Verdict
from streamer.core.errors import ChannelClosed

from .judge import doubted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.frame import FrameInfo

    from .judge import Judgement

_MOST_OPEN = 10_000  # a flood of triggers is refused behind this: nobody waits for so many verdicts


class _Entry:
    """An item that has not been handed out yet."""

    __slots__ = ("began_ns", "deadline_ns", "decided_ns", "info", "judgement", "name", "number")

    def __init__(
        self, number: int, name: str | None, *, began_ns: int, deadline_ns: int | None, info: FrameInfo | None
    ) -> None:
        self.number = number
        self.name = name
        self.began_ns = began_ns
        self.deadline_ns = deadline_ns  # None: it has all the time it needs
        self.info = info  # of its picture; None: it has none yet
        self.judgement: Judgement | None = None
        self.decided_ns = 0  # when it was judged

    def over(self, now_ns: int) -> bool:
        """Whether its time is over."""
        return self.deadline_ns is not None and now_ns >= self.deadline_ns


class ItemBook:
    """Items in the order in which they began. Thread-safe; its lock is held for a few lines only, whoever calls.

    The first judgement is final, and so is the deadline: what comes behind either changes nothing. An item waits for
    those before it, and never beyond its own deadline: theirs are no later.
    """

    def __init__(
        self,
        camera: str,
        *,
        deadline_ns: int,
        otherwise: Verdict,
        expires_ns: int,
        changed: Callable[[], None],
    ) -> None:
        """Make an empty book.

        Args:
            camera: whose items.
            deadline_ns: from an item's beginning.
            otherwise: the verdict on what could not be judged.
            expires_ns: from an item's deadline to when its decision is of no use any more.
            changed: told, without the lock, when `take_decided` or `next_ns` may return something new.
        """
        self._camera = camera
        self._deadline_ns = deadline_ns
        self._otherwise = otherwise
        self._expires_ns = expires_ns
        self._changed = changed
        self._lock = threading.Lock()  # guards all below
        self._open: OrderedDict[int, _Entry] = OrderedDict()  # by number
        self._names: set[str] = set()  # those that were given to open items
        self._last = 0  # the number given last
        self._began_ns: int | None = None  # when that item began
        self._ended = False
        self._counts: Counter[str] = Counter({"items": 0, "accepted": 0, "rejected": 0, "late": 0})

    def begin(self, name: str | None, *, began_ns: int, live: bool, info: FrameInfo | None = None) -> int:
        """Write an item in; return its number, from 1.

        Deadlines follow the order of the items: one that says that it began before the one before it (two clocks, a
        time stamp that jumped back) counts as begun with that one.

        Args:
            name: what it is called; None: its number.
            began_ns: the trigger, else the capture; monotonic.
            live: False for a recording: it has no deadline.
            info: of the frame that shows it; None: that comes later (`picture`).

        Raises:
            ValueError: an item of that name is open, or there are too many.
            ChannelClosed: the book has ended.
        """
        with self._lock:
            if self._ended:
                raise ChannelClosed
            if name is not None:
                self._check_locked(name)
                self._names.add(name)
            if self._began_ns is not None:
                began_ns = max(began_ns, self._began_ns)
            self._began_ns = began_ns
            self._last = number = self._last + 1
            deadline_ns = began_ns + self._deadline_ns if live else None
            self._open[number] = _Entry(number, name, began_ns=began_ns, deadline_ns=deadline_ns, info=info)
            self._counts["items"] += 1
        self._changed()
        return number

    def picture(self, number: int, info: FrameInfo, *, now_ns: int) -> bool:
        """Say which frame shows an item; False if that is too late, and has changed nothing."""
        with self._lock:
            entry = self._open.get(number)
            if entry is None or entry.judgement is not None or entry.over(now_ns):
                return False
            entry.info = info
            return True

    def judge(self, number: int, judgement: Judgement, *, now_ns: int) -> bool:
        """Judge an item; False if that was too late, or the second time, and has changed nothing."""
        with self._lock:
            entry = self._open.get(number)
            if entry is None or entry.judgement is not None or entry.over(now_ns):
                return False
            entry.judgement = judgement
            entry.decided_ns = now_ns
        self._changed()
        return True

    def due_ns(self, number: int) -> int | None:
        """Return when an item is decided at the latest: monotonic; 0 if it is; None if it has all the time it needs."""
        with self._lock:
            entry = self._open.get(number)
            return 0 if entry is None or entry.judgement is not None else entry.deadline_ns

    def take_decided(self, now_ns: int) -> list[Decision]:
        """Take the decisions that are due, in order: up to the first item that is neither judged nor out of time."""
        decisions: list[Decision] = []
        with self._lock:
            while self._open:
                entry = next(iter(self._open.values()))
                if entry.judgement is None and entry.over(now_ns):
                    # It never had a picture: whoever looks for the cause looks at the camera, not at the model.
                    entry.judgement = doubted(Doubt.FAILED if entry.info is None else Doubt.LATE)
                    entry.decided_ns = now_ns
                if entry.judgement is None:
                    break
                del self._open[entry.number]
                if entry.name is not None:
                    self._names.discard(entry.name)
                decisions.append(self._decided_locked(entry, entry.judgement))
        return decisions

    def next_ns(self) -> int | None:
        """Return when `take_decided` will have something: 0 for at once, None if no time will bring that about."""
        with self._lock:
            first = next(iter(self._open.values()), None)
            if first is None:
                return None
            return first.deadline_ns if first.judgement is None else 0

    def end(self, doubt: Doubt, *, now_ns: int) -> None:
        """Let no item begin any more, and decide what is not judged."""
        with self._lock:
            self._ended = True
            for entry in self._open.values():
                if entry.judgement is None:
                    entry.judgement = doubted(doubt)
                    entry.decided_ns = now_ns
        self._changed()

    def over(self) -> bool:
        """Whether the book has ended and every decision was taken."""
        with self._lock:
            return self._ended and not self._open

    def counts(self) -> Mapping[str, int]:
        """Return how many items began, and of those handed out how many were what, and why.

        Keys: `items`; `accepted` and `rejected`, which are all that were handed out; `late` of both;
        `rejected_<class>` of what was judged; `otherwise_<doubt>` of what could not be.
        """
        with self._lock:
            return dict(self._counts)

    def _check_locked(self, name: str) -> None:
        if name in self._names:
            raise ValueError(f"item {name!r} is not decided yet; an id may come again once it is")
        if len(self._open) >= _MOST_OPEN:
            raise ValueError(f"{len(self._open)} items are not decided yet; no more are taken until some are")

    def _decided_locked(self, entry: _Entry, judgement: Judgement) -> Decision:
        """Count an item that leaves, and return its decision."""
        verdict = self._otherwise if judgement.verdict is None else judgement.verdict
        late = entry.over(entry.decided_ns)
        self._counts["accepted" if verdict is Verdict.ACCEPT else "rejected"] += 1
        if late:
            self._counts["late"] += 1
        if judgement.reason is not None:
            self._counts[f"{'otherwise' if judgement.verdict is None else 'rejected'}_{judgement.reason}"] += 1
        info, live = entry.info, entry.deadline_ns is not None
        return Decision(
            camera=self._camera,
            item=str(entry.number) if entry.name is None else entry.name,
            number=entry.number,
            verdict=verdict,
            reason=judgement.reason,
            captured_utc_ns=None if info is None else info.utc_ns,
            captured_ns=info.captured_ns if info is not None and live else None,
            began_ns=entry.began_ns,
            decided_ns=entry.decided_ns,
            expires_ns=None if entry.deadline_ns is None else entry.deadline_ns + self._expires_ns,
            late=late,
        )
