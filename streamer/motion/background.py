"""What a camera usually shows, learned as it goes; what differs from it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Time constants, s. A cell is one value of the small luma picture; levels are 0..255.
_MEAN_S = 8.0  # of the usual level, where nothing differs: daylight, a slow shadow
_MEAN_DIFFERS_S = 60.0  # the same where something differs: what passes hardly shifts it
_SPREAD_S = 30.0  # of the usual deviation: leaves that begin to sway are learned within this, about
_FIRST_SPREAD_S = 5.0  # the same in a scene that is new
_REST_S = 1.0  # what differs but does not change any more has come to rest after this: a parked car, a bare place
_ABSORB_S = 3.0  # and belongs to the scene after this
_LONGEST_STEP_S = 2.0  # between two looks, for all of these

_LEAST_CONTRAST = 5.0  # levels: what differs less is compression, not an object
_OF_SPREAD = 3.5  # a cell differs beyond so many of its own usual deviations,
_OF_NOISE = 5.0  # and beyond so many of the middle cell's
_MOST_CONTRAST = 60.0  # levels: so much differs in any case, however restless a cell is
_FIRST_SPREAD = 2.0  # levels, until it is known

_MOST_GAIN = 1.08  # of the light between two looks: more is a switch
_GLOBAL_SHARE = 0.5  # of the cells: more than this is the light or the camera, not an object
_THINNED = (slice(None, None, 4), slice(None, None, 4))  # enough cells for a median; it would cost the most of all
_SURE_SHARE = 0.005  # of the cells: a region of this size is believed at once,
_LEAST_CELLS = 3  # a smaller one ...
_LOOKS_IN_A_ROW = 4  # ... when it is there in so many looks, here or next to it,
_MOST_LOOKS_IN_A_ROW = 8  # and in more
_REGIONS_PER_LOOK_MORE = 8  # where so many small ones come and go: rain
_CLUTTER_S = 10.0  # time constant of their number
_RESTLESS = 0.1  # share of the time: a cell that differs more often shows no small region: leaves
_RESTLESS_S = 60.0  # time constant of that share


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the scene has found."""

    moves: bool  # some region differs from the background
    everything: bool  # nearly all does: another light, or the camera was moved; the background was learned anew
    share: float  # of the cells that are looked at, 0..1: how much differs
    undecided: bool  # nothing moves, but a small region differs, and it will move if it stays


class Background:
    """The usual level of each cell, and by how much it usually strays from that. For one thread."""

    def __init__(self, luma: NDArray[np.uint8], watched: NDArray[np.bool_], *, contrast: float = 1.0) -> None:
        """Take the scene as it is for the usual one.

        Args:
            luma: (H, W).
            watched: (H, W), False where a mask lies.
            contrast: multiplies the least differences that count; below 1 is more sensitive.
        """
        self._watched = watched.astype(np.uint8) * 255  # as all masks here: OpenCV's comparisons give 0 and 255
        self._cells = max(1, int(watched.sum()))
        self._contrast = contrast
        self._mean = luma.astype(np.float32)
        self._spread = np.full(watched.shape, _FIRST_SPREAD, np.float32)
        self._anchor = self._mean.copy()  # the level since which a cell has not changed
        self._unchanged_s = np.zeros(watched.shape, np.float32)  # for how long it differs, but not from that
        self._often = np.zeros(watched.shape, np.float32)  # share of the time in which a cell differs, 0..1
        self._looks = np.zeros(watched.shape, np.uint8)  # in how many in a row a region has been here, or next to here
        self._known_s = 0.0  # how long the scene has been looked at since all of it changed
        self._clutter = 0.0  # small regions in a look, on average
        self._differs: NDArray[np.uint8] = np.zeros(watched.shape, np.uint8)  # where the last look differed,
        self._moving: NDArray[np.bool_] | None = None  # and where that was believed to move; None: nowhere

    def look(self, luma: NDArray[np.uint8], passed_s: float) -> Look:
        """Compare the scene with what is usual, and learn from it.

        Args:
            luma: (H, W).
            passed_s: since the last look.
        """
        level = luma.astype(np.float32)
        step_s = min(max(passed_s, 0.0), _LONGEST_STEP_S)
        if not self._follow_light(level):
            return self._all_changed(level, 1.0)
        away = cv2.absdiff(level, self._mean)
        least = self._least()
        differs = cv2.bitwise_and(cv2.compare(away, least, cv2.CMP_GT), self._watched)
        found = int(cv2.countNonZero(differs))
        share = found / self._cells
        if share > _GLOBAL_SHARE:
            return self._all_changed(level, share)
        alive = cv2.bitwise_and(differs, cv2.compare(self._unchanged_s, _REST_S, cv2.CMP_LE)) if found else differs
        moves, undecided = self._region(alive, found, step_s)
        self._differs = differs
        self._learn(level, away, differs, step_s)
        self._absorb(level, least, differs, step_s)
        return Look(moves=moves, everything=False, share=share, undecided=undecided)

    def regions(self) -> NDArray[np.int32]:
        """Return where something moved in the last look, the largest first; of a change of everything: nowhere.

        Of something slow all that differs is meant, not only its edges, where cells change.

        Returns:
            (N, 4) x1 y1 x2 y2, cells.
        """
        if self._moving is None:
            return np.zeros((0, 4), np.int32)
        _, labels, facts, _ = cv2.connectedComponentsWithStats(self._differs, connectivity=8)
        chosen = facts[np.unique(labels[self._moving])]
        chosen = chosen[np.argsort(-chosen[:, cv2.CC_STAT_AREA], kind="stable")]
        corners = chosen[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
        return np.hstack([corners, corners + chosen[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]]).astype(np.int32)

    def _all_changed(self, level: NDArray[np.float32], share: float) -> Look:
        """Take the scene as it is now for the usual one."""
        self._moving = None
        self._mean = level.copy()
        np.maximum(self._spread, _FIRST_SPREAD, out=self._spread)
        self._anchor = level.copy()
        self._unchanged_s[:] = 0
        self._known_s = 0.0
        self._looks[:] = 0
        return Look(moves=True, everything=True, share=share, undecided=False)

    def _follow_light(self, level: NDArray[np.float32]) -> bool:
        """Scale the background as its middle cell has changed, by a cloud or the exposure; False: too far at once."""
        gain = _middle((level[_THINNED] + 1) / (self._mean[_THINNED] + 1))
        if gain != 1:
            self._mean *= np.float32(gain)
        return 1 / _MOST_GAIN < gain < _MOST_GAIN

    def _least(self) -> NDArray[np.float32]:
        """Return how much each cell must differ to count, (H, W) levels."""
        noise = _middle(self._spread[_THINNED])
        least = max(_LEAST_CONTRAST, _OF_NOISE * noise) * self._contrast
        most = max(_MOST_CONTRAST, least)
        bounded: NDArray[np.float32] = np.clip(self._spread * np.float32(_OF_SPREAD * self._contrast), least, most)
        return bounded

    def _region(self, alive: NDArray[np.uint8], found: int, step_s: float) -> tuple[bool, bool]:
        """Return whether some region is large, or small and there for some time; and if none, whether one may be yet.

        Args:
            alive: (H, W), 255 where a cell differs and has not come to rest.
            found: how many cells differ, at rest or not.
            step_s: since the last look.
        """
        small = longest = 0
        self._moving = None
        if found < _LEAST_CELLS:
            self._looks[:] = 0
        else:
            _, labels, facts, _ = cv2.connectedComponentsWithStats(alive, connectivity=8)
            areas = facts[:, cv2.CC_STAT_AREA]
            areas[0] = 0  # what does not differ
            counts = areas >= _LEAST_CELLS
            small = int(counts.sum())
            self._looks = self._followed(labels, counts)
            needed = min(_LOOKS_IN_A_ROW + int(self._clutter / _REGIONS_PER_LOOK_MORE), _MOST_LOOKS_IN_A_ROW)
            believed = areas >= _SURE_SHARE * self._cells
            longest = int(self._looks.max())
            if longest >= needed:
                believed[labels[self._looks >= needed]] = True
            if believed.any():
                self._moving = believed[labels]
        self._clutter += (1 - math.exp(-step_s / _CLUTTER_S)) * (small - self._clutter)
        moves = self._moving is not None
        return moves, longest > 0 and not moves

    def _followed(self, labels: NDArray[np.int32], counts: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return in how many looks in a row each region has been here, or next to here.

        A region counts as a whole: of one that has moved by its own width only the edge is next to where it was.

        Args:
            labels: (H, W), the region of each cell; 0: none.
            counts: by region, whether it is large enough.
        """
        here = counts[labels] & (self._often < _RESTLESS)
        region, before = labels[here], cv2.dilate(self._looks, None)[here]
        longest = np.zeros(len(counts), np.uint8)
        np.maximum.at(longest, region, before)
        looks = np.zeros_like(self._looks)
        looks[here] = np.minimum(longest, _MOST_LOOKS_IN_A_ROW)[region] + np.uint8(1)
        return looks

    def _learn(
        self, level: NDArray[np.float32], away: NDArray[np.float32], differs: NDArray[np.uint8], step_s: float
    ) -> None:
        usual = cv2.bitwise_not(differs)
        cv2.accumulateWeighted(level, self._mean, 1 - math.exp(-step_s / _MEAN_S), mask=usual)
        cv2.accumulateWeighted(level, self._mean, 1 - math.exp(-step_s / _MEAN_DIFFERS_S), mask=differs)
        self._known_s += step_s
        spread_s = min(max(self._known_s, _FIRST_SPREAD_S), _SPREAD_S)
        cv2.accumulateWeighted(away, self._spread, 1 - math.exp(-step_s / spread_s))
        cv2.accumulateWeighted(differs & 1, self._often, 1 - math.exp(-step_s / _RESTLESS_S))

    def _absorb(
        self, level: NDArray[np.float32], least: NDArray[np.float32], differs: NDArray[np.uint8], step_s: float
    ) -> None:
        """Take into the background what differs from it but has come to rest."""
        rests = (differs != 0) & (np.abs(level - self._anchor) <= least)
        self._unchanged_s = np.where(rests, self._unchanged_s + np.float32(step_s), 0)
        np.copyto(self._anchor, level, where=~rests)
        at_rest = self._unchanged_s > _ABSORB_S
        if at_rest.any():
            np.copyto(self._mean, level, where=at_rest)


def _middle(levels: NDArray[np.float32]) -> float:
    """Return the upper median: of some thousand cells it is as good as the mean of both, in half the time."""
    half = levels.size // 2
    return float(np.partition(levels, half, axis=None)[half])
