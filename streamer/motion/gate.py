"""Whether a frame has to be looked at: something moves, did so a moment ago, or it has been a while."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.core.clock import NS_PER_S
from streamer.pixels.luma import luma_hw, small_luma

from .background import Background

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import AnyPicture

_MOST_CELLS = 160  # along the longer side: at 1080p each is 12 px wide; an object that a network finds covers several
_LOOKS_EVERY_NS = NS_PER_S // 10 - NS_PER_S // 200  # ten looks a second are enough to catch what runs; less jitter
_NEW_SCENE_NS = 5 * NS_PER_S  # what a camera shows first is looked at for so long, whether or not it moves
_GAP_NS = 30 * NS_PER_S  # a stream that stood still for longer, or whose time jumped back, shows a new scene

Points = tuple[tuple[float, float], ...]
Region = tuple[float, float, float, float]  # x1 y1 x2 y2, fractions of width and height


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionPlan:
    """When to look.

    Raises:
        ValueError: a value is out of range.
    """

    sensitivity: float = 0.5  # 0..1; the least contrast that counts halves with each 0.5 more
    hold_s: float = 2.0  # frames are looked at for so long after the last motion
    heartbeat_s: float = 10.0  # and one at least so often
    masks: tuple[Points, ...] = ()  # polygons that are not looked at, fractions of width and height

    def __post_init__(self) -> None:
        if not 0 <= self.sensitivity <= 1 or self.hold_s < 0 or self.heartbeat_s <= 0:
            raise ValueError(f"sensitivity 0..1, hold_s >= 0 and heartbeat_s > 0 expected, got {self}")


class MotionGate:
    """The gate of one camera. Pure: time comes with the pictures. For one thread.

    It opens for motion and stays open until two things have come together: `hold` is over, and someone who was shown
    the scene as it is since the last motion has come to terms with it (`settled`). Not to be looked at means that all
    is as it was seen last, so it must have been seen, and not by halves.
    """

    def __init__(self, plan: MotionPlan) -> None:
        self._plan = plan
        self._background: Background | None = None
        self._cell_px = 1  # width and height of a cell
        self._size = (0, 0)  # of the camera's pictures, px
        self._seen_ns = 0  # capture time of the last picture,
        self._step_ns = 0  # from the one before to that
        self._looked_ns = 0  # of the last one compared with the background,
        self._changed_ns = 0  # of the last one that was not as usual,
        self._passed_ns = 0  # and of the last one let through
        self._open_until_ns = 0
        self._undecided = False  # the last look could not tell whether something moves

    def reset(self) -> None:
        """Begin anew: the next picture may show anything."""
        self._background = None

    def watch(self, picture: AnyPicture, captured_ns: int) -> None:
        """Take in the next picture of the camera, let through or not.

        Raises:
            BackendError: the picture is in the memory of a GPU that failed.
        """
        jumped = not 0 <= captured_ns - self._seen_ns <= _GAP_NS
        self._step_ns = 0 if jumped else captured_ns - self._seen_ns
        self._seen_ns = captured_ns
        passed_ns = captured_ns - self._looked_ns
        if self._background is None or jumped or (picture.width, picture.height) != self._size:
            self._begin(picture, captured_ns)
            return
        if passed_ns < _LOOKS_EVERY_NS:
            return
        look = self._background.look(small_luma(picture, self._cell_px), passed_ns / NS_PER_S)
        self._looked_ns = captured_ns
        self._undecided = look.undecided
        if look.moves:
            self._changed_ns = captured_ns
        if look.moves and not look.everything:  # another light is looked at, but nothing goes on after it
            self._open_until_ns = max(self._open_until_ns, captured_ns + round(self._plan.hold_s * NS_PER_S))

    def skips(self, captured_ns: int, settled_ns: int) -> bool:
        """Whether the picture captured then need not be looked at; else it counts as let through.

        Args:
            captured_ns: of the last picture watched.
            settled_ns: capture time of the last picture looked at, if all in it is certain; -1 if something is not.
        """
        since_ns = captured_ns - self._passed_ns
        heartbeat_ns = self._plan.heartbeat_s * NS_PER_S
        # Of a camera that idles the next picture may come seconds later, and too late.
        if self._is_still(settled_ns) and since_ns < heartbeat_ns and since_ns + self._step_ns <= heartbeat_ns:
            return True
        self._passed_ns = captured_ns
        return False

    def idle(self, settled_ns: int) -> bool:
        """Whether nothing asks for more pictures than now and then: none moves, none has to be looked at again.

        Less often than a small region may be missed, so one that is still to prove true asks for them too.

        Args:
            settled_ns: as `skips` takes it.
        """
        return self._background is not None and not self._undecided and self._is_still(settled_ns)

    def regions(self) -> tuple[Region, ...]:
        """Return where something moved in the last look, the largest first; of a change of everything: nowhere."""
        if self._background is None:
            return ()
        w, h = self._size
        across, down = self._cell_px / w, self._cell_px / h
        return tuple(
            (x1 * across, y1 * down, min(1.0, x2 * across), min(1.0, y2 * down))
            for x1, y1, x2, y2 in self._background.regions().tolist()
        )

    def _is_still(self, settled_ns: int) -> bool:
        """Whether nothing moves, the hold is over, and someone has come to terms with the scene since."""
        return self._seen_ns >= self._open_until_ns and settled_ns >= self._changed_ns

    def _begin(self, picture: AnyPicture, captured_ns: int) -> None:
        """Take the scene as it is for the usual one, and look at it for a while."""
        self._size = (picture.width, picture.height)
        self._cell_px = math.ceil(max(self._size) / _MOST_CELLS)
        hw = luma_hw(picture.width, picture.height, self._cell_px)
        self._background = Background(
            small_luma(picture, self._cell_px),
            watched_cells(hw, self._plan.masks),
            contrast=4 ** (0.5 - self._plan.sensitivity),
        )
        self._undecided = False
        self._looked_ns = self._changed_ns = captured_ns
        self._open_until_ns = captured_ns + _NEW_SCENE_NS


def watched_cells(hw: tuple[int, int], masks: Sequence[Points]) -> NDArray[np.bool_]:
    """Return which cells no mask covers, (H, W); a cell that a mask's edge touches is covered."""
    covered = np.zeros(hw, np.uint8)
    for mask in masks:
        corners = np.array(mask, np.float64) * (hw[1], hw[0]) - 0.5
        cv2.fillPoly(covered, [np.rint(corners).astype(np.int32)], 1)
    watched: NDArray[np.bool_] = covered == 0
    return watched
