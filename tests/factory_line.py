"""A factory line for tests: its pictures, what its models may say of them, and a clock that lives through events."""

from __future__ import annotations

import heapq
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.clock import NS_PER_S, FakeClock
from streamer.core.decision import Verdict
from streamer.core.frame import ColorRange, Frame, FrameInfo, Picture, PixelFormat
from streamer.core.results import Classification, Detections
from streamer.decide.items import ItemsPlan
from streamer.decide.judge import JudgeSpec, LabelTest

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamer.core.frame import AnyPicture

CAMERA = "belt"
SHORT, OPEN, BOARD = 0, 1, 2  # the detector's classes; the first two are defects
DEFECTS = JudgeSpec(class_ids=frozenset({SHORT, OPEN}), least={SHORT: 0.5, OPEN: 0.6}, names=("short", "open", "board"))
LOOKED = LabelTest(names=("good", "scratched", "bent"), reject=frozenset({"scratched", "bent"}))
_PICTURES = 64


def info(seq: int, captured_ns: int, *, connection: int = 0, live: bool = True) -> FrameInfo:
    return FrameInfo(
        camera=CAMERA,
        connection=connection,
        seq=seq,
        captured_ns=captured_ns,
        utc_ns=captured_ns + 7 * NS_PER_S,
        width=640,
        height=480,
        live=live,
    )


@cache
def _pixels(number: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(60, 200, (48, 64), dtype=np.uint8)


def gray(pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> Picture:
    height, width = pixels.shape
    return Picture(format=PixelFormat.GRAY, planes=(pixels,), width=width, height=height, range=ColorRange.FULL)


def frame(
    seq: int, captured_ns: int, *, live: bool = True, connection: int = 0, picture: AnyPicture | None = None
) -> Frame:
    """A frame that shows something new each time."""
    shown = gray(_pixels(seq % _PICTURES)) if picture is None else picture
    return Frame(info=info(seq, captured_ns, connection=connection, live=live), picture=shown)


def found(*rows: tuple[int, float]) -> Detections:
    """Detections of (class, score), best first, all of them in the middle of the picture."""
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    return Detections(
        boxes=np.array([(300, 200, 340, 240)] * len(rows), np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in rows], np.float32),
        class_ids=np.array([class_id for class_id, _ in rows], np.int32),
    )


def said(*scores: float) -> Classification:
    """A classifier's answer: the scores of its classes, by id."""
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    return Classification(
        class_ids=np.array(order, np.int32), scores=np.array([scores[number] for number in order], np.float32)
    )


def plan(
    *,
    judge: JudgeSpec = DEFECTS,
    deadline_s: float = 0.2,
    otherwise: Verdict = Verdict.REJECT,
    each_frame: bool = True,
    live: bool = True,
    crossings: bool = False,
    after_s: float = 0.0,
    frozen_s: float = 1.0,
) -> ItemsPlan:
    return ItemsPlan(
        camera=CAMERA,
        judge=judge,
        deadline_s=deadline_s,
        otherwise=otherwise,
        each_frame=each_frame,
        live=live,
        crossings=crossings,
        after_s=after_s,
        frozen_s=frozen_s,
    )


class EventClock(FakeClock):
    """A clock that a wait moves from event to event: the world goes on while a loop waits."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = count()

    def at(self, due_ns: int, action: Callable[[], object]) -> None:
        """Have something happen, in the thread that waits then."""
        heapq.heappush(self._events, (due_ns, next(self._numbers), action))

    def idle(self) -> bool:
        return not self._events

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        end_ns = self.monotonic_ns() + round(timeout_s * NS_PER_S)
        while not event.is_set() and self._events and self._events[0][0] <= end_ns:
            due_ns, _, action = heapq.heappop(self._events)
            self.advance(max(0, due_ns - self.monotonic_ns()) / NS_PER_S)
            action()
        if not event.is_set():
            self.advance(max(0, end_ns - self.monotonic_ns()) / NS_PER_S)
        return event.is_set()
