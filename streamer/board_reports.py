"""What a broker hands out about the boards of a line: each board's decision, and what was detected on it."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streamer.core.decision import Doubt, Verdict

if TYPE_CHECKING:
    from streamer.core.results import Box

# Why there is no judgement, and only the deadline or the end has decided.
NOT_JUDGED = frozenset({Doubt.LATE.value, Doubt.OVERRUN.value, Doubt.FAILED.value})
# Nobody tells what is detected in such a picture, or tells it too late.
_NOT_LOOKED_AT = NOT_JUDGED | {Doubt.DARK.value, Doubt.BLURRED.value, Doubt.FROZEN.value}
# So many boards wait for what was detected on them, and so many detections for their boards.
_MOST_WAITING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One detection on a board."""

    kind: str  # its class
    score: float
    box: Box  # px of the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What was decided about one board, and what was seen on it."""

    number: int  # of the decision, from 1: the line's boards in order
    verdict: Verdict
    reason: str | None  # the class that was found, or why its picture decided nothing; None: nothing is wrong with it
    late: bool  # decided behind the deadline
    captured_at: str | None  # RFC 3339; None: there was no picture
    age_ms: float | None  # of the picture when it was decided
    found: tuple[Found, ...] | None = None  # best first; None: not told
    picture: int | None = None  # its place among those since the camera was opened, from 0; None: not told

    @property
    def in_time(self) -> bool:
        """Whether it was judged, before its deadline."""
        return not self.late and self.reason not in NOT_JUDGED


class BoardReports:
    """Joins the decisions of a camera with its feed of detections: each board once, in order. One thread's own.

    Both come on one connection, each of them in order; the decision first as a rule, for it waits for no disk. They
    belong together where they are about the same picture: that of the same moment. The feed may lose a message, as
    QoS 0 does: a board does not wait for its detections any more once those of a later one have come.
    """

    def __init__(self) -> None:
        self._last = 0  # number of the last decision
        self._waiting: deque[Board] = deque()
        # By moment: a picture's place, and what was detected in it; the latest that nobody asked for.
        self._found: OrderedDict[str, tuple[int, tuple[Found, ...]]] = OrderedDict()
        self._newest = ""  # moment of the last detections that came

    def decision(self, said: dict[str, Any]) -> list[Board]:
        """Take in a decision's payload; return the boards of which all is known now, or will be.

        A repeat, as a broken connection brings it, says nothing new.
        """
        if said["number"] <= self._last:
            return []
        self._last = said["number"]
        self._waiting.append(
            Board(
                number=said["number"],
                verdict=Verdict(said["verdict"]),
                reason=said["reason"],
                late=said["late"],
                captured_at=said["captured_at"],
                age_ms=said["age_ms"],
            )
        )
        return self._ready()

    def detections(self, said: dict[str, Any]) -> list[Board]:
        """Take in the payload of a frame's detections; return the boards of which all is known now."""
        found = [Found(kind=d["class"], score=d["score"], box=tuple(d["box"])) for d in said["detections"]]
        self._newest = said["captured_at"]
        self._found[self._newest] = said["frame"]["seq"], tuple(sorted(found, key=lambda each: -each.score))
        if len(self._found) > _MOST_WAITING:
            self._found.popitem(last=False)
        return self._ready()

    def rest(self) -> list[Board]:
        """Return the boards that still wait: nothing more will come."""
        return [self._told(self._waiting.popleft()) for _ in range(len(self._waiting))]

    def _ready(self) -> list[Board]:
        boards = []
        while self._waiting and (self._complete(self._waiting[0]) or len(self._waiting) > _MOST_WAITING):
            boards.append(self._told(self._waiting.popleft()))
        return boards

    def _complete(self, board: Board) -> bool:
        # Moments are written alike, so that their texts are in order as well.
        return board.captured_at is None or board.captured_at <= self._newest or board.reason in _NOT_LOOKED_AT

    def _told(self, board: Board) -> Board:
        picture, found = self._found.pop(board.captured_at or "", (None, None))
        return replace(board, found=found, picture=picture)
