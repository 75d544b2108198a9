"""What the verdicts on a line were worth, where the truth about each board is known."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.decision import Doubt, Verdict
from streamer.infer.agreement import iou_of

from .board_reports import NOT_JUDGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.capture.scenes.shapes import SceneObject

    from .board_reports import Board, Found

LEAST_IOU = 0.3  # of a box with the drawn one: the right place. A human's box of a defect is no more exact than that


class Outcome(str, Enum):
    """What one verdict was worth, as it is shown."""

    RIGHT = "right"
    MISSED = "MISSED"  # a bad board accepted
    FALSE_REJECT = "FALSE REJECT"  # a good board rejected, be it in doubt
    NOT_JUDGED = "not judged"  # only the deadline, or the end, has decided


class Tally:
    """Counts. A board that was not judged says nothing about the network: it stands apart, and in no other count.

    One thread's own.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        """Begin at nothing.

        Args:
            kinds: of defects, in the order in which they are shown.
        """
        self.kinds = tuple(kinds)
        self.boards = 0  # decided
        self.lost = 0  # decided, and the decision never came: a gap in the numbers
        self.good = 0  # judged boards without a defect
        self.bad = 0  # judged boards with one or more
        self.missed = 0  # bad ones that were accepted
        self.missed_kinds: Counter[str] = Counter()  # the defects drawn on those
        self.false_rejects: Counter[str] = Counter()  # good ones that were rejected, by reason
        self.not_judged: Counter[str] = Counter()  # by reason
        self.untold = 0  # judged boards of which no detections came: their defects are in none of the next
        self.drawn: Counter[str] = Counter()  # defects, by kind
        self.found: Counter[str] = Counter()  # of those, at their place and by their name
        self.invented: Counter[str] = Counter()  # detections that are none of the drawn defects
        self._last = 0

    @property
    def judged(self) -> int:
        """Boards judged before their deadlines."""
        return self.good + self.bad

    def add(self, board: Board, drawn: Sequence[SceneObject]) -> Outcome:
        """Take in the next board.

        Args:
            board: what was said of it.
            drawn: its defects.

        Raises:
            ValueError: it does not come behind the last.
        """
        if board.number <= self._last:
            raise ValueError(f"boards come in order: expected one behind {self._last}, got {board.number}")
        self.lost += board.number - self._last - 1
        self._last = board.number
        self.boards += 1
        if not board.in_time:
            self.not_judged[board.reason if board.reason in NOT_JUDGED else Doubt.LATE.value] += 1
            return Outcome.NOT_JUDGED
        self._compare(board.found, drawn)
        return self._judge(board, drawn)

    def _judge(self, board: Board, drawn: Sequence[SceneObject]) -> Outcome:
        accepted = board.verdict is Verdict.ACCEPT
        if drawn:
            self.bad += 1
            if not accepted:
                return Outcome.RIGHT
            self.missed += 1
            self.missed_kinds.update(defect.kind for defect in drawn)
            return Outcome.MISSED
        self.good += 1
        if accepted:
            return Outcome.RIGHT
        self.false_rejects[board.reason or "no reason"] += 1
        return Outcome.FALSE_REJECT

    def _compare(self, found: Sequence[Found] | None, drawn: Sequence[SceneObject]) -> None:
        if found is None:
            self.untold += 1
            return
        hit, invented = match(found, drawn)
        self.drawn.update(defect.kind for defect in drawn)
        self.found.update(hit)
        self.invented.update(invented)


def match(found: Sequence[Found], drawn: Sequence[SceneObject]) -> tuple[list[str], list[str]]:
    """Tell which drawn defects were found: by the same kind, at the same place, each by one detection.

    Args:
        found: the detections, best first.
        drawn: the defects.

    Returns:
        The kinds of the defects that were found, and those of the detections that are none of them.
    """
    boxes = np.array([each.box for each in found], np.float32).reshape(-1, 4)
    overlaps = iou_of(boxes, np.array([defect.box for defect in drawn], np.float32).reshape(-1, 4))
    free = set(range(len(drawn)))
    hit, invented = [], []
    for row, each in zip(overlaps, found, strict=True):
        near = [i for i in free if drawn[i].kind == each.kind and row[i] >= LEAST_IOU]
        if near:
            free.remove(max(near, key=lambda i: row[i]))
            hit.append(each.kind)
        else:
            invented.append(each.kind)
    return hit, invented
