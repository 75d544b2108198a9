"""Which picture shows an event best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.results import Box

_BETTER = 1.1  # the contract's: by a tenth
_EVERY_NS = NS_PER_S  # and at most so often
# To measure a view takes 0.1 ms. One that wins only by being sharper than any before is looked for less and less often:
# a car that is parked all day costs nothing.
_MEASURED_EVERY_NS, _SELDOM_NS = NS_PER_S // 5, 5 * NS_PER_S
_SELDOM_AFTER = 8  # an eighth of the time for which the best one has been the best
_LARGE = 0.15  # of the frame: an object of that area, or a larger one, is large enough
_BLURRED = 0.4  # however blurred a view is, it counts no less: the measure is of little worth down there
_CUT_OFF = 0.75  # for each edge of the frame that the box touches: what is beyond it is not seen
_EDGE = 0.005  # of the frame's side: as near to the edge as that is at it


class _View(NamedTuple):
    """The best view of an event so far."""

    shown: float  # how sure the detector is of how much of the object
    sharpness: float
    sharpest: float  # of the event's views that were measured
    at_ns: int
    measured_ns: int  # the last view that was measured

    @property
    def worth(self) -> float:
        return self.shown * _clarity(self.sharpness, self.sharpest)

    def may_yield(self, shown: float, now_ns: int) -> bool:
        """Whether another view could take its place, be it as sharp as can be, and it is time to see."""
        held_ns, waited_ns = now_ns - self.at_ns, now_ns - self.measured_ns
        if held_ns < _EVERY_NS or shown < _BETTER * self.shown * _BLURRED:
            return False
        likely = shown >= _BETTER * self.worth
        pause_ns = 0 if likely else min(held_ns // _SELDOM_AFTER, _SELDOM_NS)
        return waited_ns >= max(_MEASURED_EVERY_NS, pause_ns)


class BestViews:
    """Compares the views of each event of a camera. Pure; owned by one thread.

    A view is worth its score times how much of the object is shown times how sharp it is. What is sharp can only be
    said beside other views of the same object: the sharpest one so far counts as 1.
    """

    def __init__(self) -> None:
        self._best: dict[str, _View] = {}  # by event

    def consider(
        self,
        event_id: str,
        *,
        score: float,
        box: Box | None,
        frame_hw: tuple[int, int],
        sharpness: Callable[[], float],
        now_ns: int,
    ) -> bool:
        """Compare a view with the event's best one; return whether it is to take its place.

        Args:
            event_id: the event's.
            score: the detector's, 0..1; of several objects their sum, so that more of them are better.
            box: x1 y1 x2 y2, px; None: the event is about the whole picture.
            frame_hw: of the picture, px.
            sharpness: measures the view; called only if it could be the better one.
            now_ns: the picture's capture time.

        Returns:
            True for the first view, and for one that is a tenth better, at least a second later.
        """
        best, shown = self._best.get(event_id), 1.0 if box is None else _shown(box, frame_hw)
        if best is not None and not best.may_yield(score * shown, now_ns):
            return False
        sharp = sharpness()
        sharpest = sharp if best is None else max(best.sharpest, sharp)
        view = _View(score * shown, sharp, sharpest, now_ns, now_ns)
        if best is not None:
            best = best._replace(sharpest=sharpest, measured_ns=now_ns)
        better = best is None or view.worth >= _BETTER * best.worth
        self._best[event_id] = view if best is None or better else best
        return better

    def has(self, event_id: str) -> bool:
        """Whether an event has a view."""
        return event_id in self._best

    def forget(self, event_id: str) -> None:
        """Take in that an event is over."""
        self._best.pop(event_id, None)


def _shown(box: Box, frame_hw: tuple[int, int]) -> float:
    """Return how much of an object a view shows: its size in the frame, less for each edge that may cut it off."""
    (x1, y1, x2, y2), (height, width) = box, frame_hw
    area = max(1.0, (x2 - x1) * (y2 - y1)) / (height * width)
    edges = (x1 <= _EDGE * width, y1 <= _EDGE * height, x2 >= (1 - _EDGE) * width, y2 >= (1 - _EDGE) * height)
    return math.sqrt(min(1.0, area / _LARGE)) * _CUT_OFF ** sum(edges)


def _clarity(sharpness: float, sharpest: float) -> float:
    """Return how sharp a view is beside the sharpest one, 0.4..1; both are variances.

    Their fourth root: what else is in the box, a railing or a kerb, changes them by half again. A blurred view has a
    fourth of a sharp one's, or less.
    """
    return 1.0 if sharpest <= 0 else max(_BLURRED, (sharpness / sharpest) ** 0.25)
