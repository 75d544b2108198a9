"""Where labels stand: beside their boxes, over no other label, and over no other box where that can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Rect = tuple[int, int, int, int]  # left, top, right, bottom, px
Size = tuple[int, int]  # width, height, px
Point = tuple[int, int]  # x, y, px

# What a place costs. A label away from its box (at most 0.6 + 0.1 * _REACH) is about as good as one without its score;
# on top of another box is worse than a bare number.
_SHORTER = (0.0, 1.0, 2.5)  # by form
_ON_OTHER = 3.0  # however little is covered
_COVER, _MOST_COVER = 2.0, 2.0  # a box wholly covered once; and the most that any number of them can cost
_ON_AROUND = 0.15  # of that, for a box that its own lies in: hard to avoid, and little is hidden
_ON_OWN = 0.15
_AWAY, _AWAY_A_HEIGHT = 0.6, 0.1
_LATER = 0.005  # between places that are as good: the earlier in the list
_REACH = 5  # label heights: a longer leader is hard to follow
_AROUND = 0.8  # share of a box that lies in another, from which on the other is around it
_WORDS_SHARE, _LABELS_SHARE = 0.15, 0.3  # of the picture: so much for words, then numbers; so much for both, then none


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A label's place."""

    form: int  # which of the offered forms
    rect: Rect
    leader: tuple[Point, Point] | None  # from the box to the label, when they do not touch


def place_labels(
    boxes: Sequence[Rect], forms: Sequence[Sequence[Size]], picture_hw: tuple[int, int]
) -> list[Placed | None]:
    """Find a place for each box's label; the first box chooses first.

    All places are inside the picture, and none overlaps another. A label that would has none; nor have the last of a
    crowd, once labels cover so much that the picture is no longer seen.

    Args:
        boxes: with their frames, the most important first.
        forms: for each box the sizes of what its label could say, the best first.
        picture_hw: of the picture, px.
    """
    others = np.array(boxes, np.float32).reshape(-1, 4)
    plates = np.zeros((0, 4), np.float32)
    picture_px, plates_px = picture_hw[0] * picture_hw[1], 0.0
    placed: list[Placed | None] = []
    for index, sizes in enumerate(forms):
        if index and plates_px > _LABELS_SHARE * picture_px:
            placed.append(None)
            continue
        crowded = index and plates_px > _WORDS_SHARE * picture_px
        place = _best(_Around(index, others, plates, picture_hw), sizes, first=len(sizes) - 1 if crowded else 0)
        placed.append(place)
        if place is not None:
            plates = np.concatenate([plates, np.array([place.rect], np.float32)])
            plates_px += float(_area(plates[-1:])[0])
    return placed


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """One box, and what its label has to mind."""

    index: int
    boxes: NDArray[np.float32]  # (N, 4), all of them
    plates: NDArray[np.float32]  # (M, 4), the labels that have a place
    picture_hw: tuple[int, int]

    @property
    def box(self) -> NDArray[np.float32]:
        """(1, 4)."""
        return self.boxes[self.index : self.index + 1]

    def inside(self, corners: Sequence[Point], size: Size) -> NDArray[np.float32]:
        """Return labels (K, 4) at left top corners, moved into the picture."""
        moved = np.clip(np.array(corners, np.float32).reshape(-1, 2), 0, np.subtract(self.picture_hw[::-1], size))
        return np.concatenate([moved, moved + size], axis=1, dtype=np.float32)

    def costs(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each of the labels (K, 4) costs, (K,); infinite on another label."""
        is_around = _overlaps(self.box, self.boxes)[0] > _AROUND * _area(self.box)
        weight = np.where(is_around, _ON_AROUND, 1.0)
        weight[self.index] = _ON_OWN
        all_labels = np.concatenate([labels[:, :2].min(axis=0), labels[:, 2:].max(axis=0)])[None]
        within = _overlaps(all_labels, self.boxes)[0] > 0
        boxes, weight = self.boxes[within], weight[within]
        on_boxes = _overlaps(labels, boxes)  # (K, N)
        cover = _COVER * (on_boxes / _area(labels[:1]) + 2 * on_boxes / np.maximum(_area(boxes), 1)) @ weight
        cost = cover / (1 + cover / _MOST_COVER) + _ON_OTHER * (on_boxes[:, weight == 1] > 0).any(axis=1)
        gap = _gaps(labels, self.box)
        height = labels[0, 3] - labels[0, 1]
        cost += np.where(gap > 1, _AWAY + _AWAY_A_HEIGHT * gap / height, 0)
        cost += _LATER * np.arange(len(labels)) / len(labels)
        plates = self.plates[_overlaps(all_labels, self.plates)[0] > 0]
        cost[(_overlaps(labels, plates) > 0).any(axis=1)] = np.inf
        return np.asarray(cost, np.float32)


def _best(around: _Around, sizes: Sequence[Size], *, first: int) -> Placed | None:
    """Try the forms from the first on, until a shorter one can't be better."""
    least, best = np.inf, None
    height_px, width_px = around.picture_hw
    for form in range(first, len(sizes)):
        size, cost = sizes[form], _SHORTER[min(form, len(_SHORTER) - 1)]
        if least <= cost:
            break
        if size[0] > width_px or size[1] > height_px:
            continue
        for corners in (_near, _far):
            labels = around.inside(corners(around.box[0], size), size)
            costs = cost + around.costs(labels)
            cheapest = int(costs.argmin())
            if costs[cheapest] < least:
                least, best = float(costs[cheapest]), (form, labels[cheapest])
            a_number_has_a_place = best is not None and form == len(sizes) - 1  # it needs no leader then
            if a_number_has_a_place or least <= cost + _AWAY:
                break
    return None if best is None else _placed(best[0], best[1], around.box[0])


def _near(box: NDArray[np.float32], size: Size) -> list[Point]:
    """List corners of labels that touch their box: above, below, inside, beside."""
    left, top, right, bottom = (round(float(side)) for side in box)
    width, height = size
    along = [left, right - width, (left + right - width) // 2, left - width // 2, right - width // 2]
    down = [top, bottom - height, (top + bottom - height) // 2, top - height // 2, bottom - height // 2]
    corners = [(x, y) for y in (top - height, bottom) for x in along]
    corners += [(x, y) for y in (top, bottom - height) for x in (left, right - width)]
    corners += [(x, y) for x in (right, left - width) for y in down]
    return corners + [(left, y) for y in range(top + height, bottom - height, max(1, height))]


def _far(box: NDArray[np.float32], size: Size) -> list[Point]:
    """List corners of labels around a box, to the end of a leader's reach."""
    left, top, right, bottom = (round(float(side)) for side in box)
    width, height = size
    reach = _REACH * height
    xs = range(left - reach - width, right + reach + 1, max(1, width // 3))
    ys = range(top - reach - height, bottom + reach + 1, max(1, height // 2))
    return [(x, y) for y in ys for x in xs if not (left - width < x < right and top - height < y < bottom)]


def _placed(form: int, label: NDArray[np.float32], box: NDArray[np.float32]) -> Placed:
    left, top, right, bottom = (round(float(side)) for side in label)
    starts, ends = zip(*(_nearest(box[axis::2], label[axis::2]) for axis in (0, 1)), strict=True)
    apart = max(abs(a - b) for a, b in zip(starts, ends, strict=True)) > 1
    leader = ((starts[0], starts[1]), (ends[0], ends[1])) if apart else None
    return Placed(form=form, rect=(left, top, right, bottom), leader=leader)


def _nearest(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[int, int]:
    """Return the points of two ranges that are nearest to each other; of common ones the middle."""
    low, high = max(a[0], b[0]), min(a[1], b[1])
    if low <= high:
        return round(float(low + high) / 2), round(float(low + high) / 2)
    return (round(float(a[1])), round(float(b[0]))) if a[1] < b[0] else (round(float(a[0])), round(float(b[1])))


def _area(rects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return areas, (N,) px."""
    return np.asarray((rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1]), np.float32)


def _overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return common areas, (A, B) px."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.asarray(np.maximum(sides, 0).prod(axis=2), np.float32)


def _gaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far rectangles (A, 4) are from one (1, 4), (A,) px; 0 where they touch."""
    apart = np.maximum(b[:, :2] - a[:, 2:], a[:, :2] - b[:, 2:])
    return np.asarray(np.hypot(*np.maximum(apart, 0).T), np.float32)
