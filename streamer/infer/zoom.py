"""Closer looks at parts of a frame: which parts, and what the whole and its parts show together. Pure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.results import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import Part
    from streamer.core.results import Box
    from streamer.pixels.fit import HW

Region = tuple[float, float, float, float]  # x1 y1 x2 y2, fractions of width and height

_SEEN_PX = 64  # of the network's input: what is longer than this the whole frame shows well enough
_LEAST_GAIN = 1.5  # a part that shows things less enlarged than this, compared with the whole, is not worth its cost
_MARGIN = 0.75  # of a region's longer side, added on each of its own: what moves is often but a part of an object
_CUT = 0.01  # of a part's side: a box that comes so near to its border is taken for cut off there,
_CUT_PX = 2.0  # and so near in any case
_COVERED = 0.8  # of the smaller of two boxes: the larger one shows the same object, or a part of it
_MEETS = 0.1  # of the shorter of two halves of an object: so far apart they still meet,
_ALONG = 0.5  # of the shorter: and they lie beside each other for so much of it
_SAME = 0.5  # of their union: two boxes show the same object,
_LESS_SURE = 0.1  # one of them less surely, when its score is lower by more


def zoom_parts(regions: Sequence[Region], frame_hw: HW, input_hw: HW, *, most: int = 3) -> tuple[Part, ...]:
    """Return the parts of a frame that are to be looked at more closely.

    Regions that are near each other share a part. A part is drawn at the frame's own resolution at most, for a network
    finds in an enlarged picture what is not there; and it has the shape of the network's input, as far as the frame
    has room for that. A region that is large on the network's input needs none.

    Args:
        regions: where something is, the more important first.
        frame_hw: of the frame, px.
        input_hw: of the network, px.
        most: parts.

    Returns:
        Corners are even, or the frame's edge; nothing where the whole frame is not made much smaller.
    """
    (h, w), scale = frame_hw, min(input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
    if scale * _LEAST_GAIN > 1:
        return ()
    groups: list[Box] = []
    for x1, y1, x2, y2 in regions:
        side = max((x2 - x1) * w, (y2 - y1) * h)
        margin = side * _MARGIN
        around = (x1 * w - margin, y1 * h - margin, x2 * w + margin, y2 * h + margin)
        if side * scale <= _SEEN_PX and _shrunk(around, input_hw) * scale * _LEAST_GAIN <= 1:
            _join_group(groups, around, input_hw)
    return tuple(_part(group, frame_hw, input_hw) for group in groups[:most])


def joined(
    whole: Detections, parts: Sequence[tuple[Part, Detections]], *, frame_hw: HW, iou: float = 0.5
) -> Detections:
    """Return what a frame shows, from the look at all of it and the closer ones.

    What a part cuts off gives way: to the other half in another part, with which it becomes one box, or to the whole
    frame. Of two boxes of a class that overlap the better one stays; where one lies within the other, the one of the
    look that saw all of the object closest, and is as sure. That one is also believed what the object is.

    Args:
        whole: what was found in the frame.
        parts: each with what was found in it, px of the part.
        frame_hw: of the frame, px.
        iou: greatest overlap of two boxes of a class that come from different looks.
    """
    if not parts:
        return whole
    close, halves = [], []
    for part, found in parts:
        found = _lifted(found, part)  # noqa: PLW2901  the same, in px of the frame
        sides = _cut(found.boxes, part, frame_hw)
        cut = _any(sides, axis=1)
        halves.append((found[cut], sides[cut]))
        beyond = _any(_cut(whole.boxes, part, frame_hw), axis=1)
        whole, found = _without_nested(whole, found[~cut], beyond)  # noqa: PLW2901
        close.append(found)
    mended = _mended(halves)
    _, mended = _without_nested(whole, mended, np.ones(len(whole), bool))
    return _best([whole, *close, mended], iou)


def only_close(whole: Detections, found: Detections) -> Detections:
    """Return what of all that was found the look at the whole frame does not show, or shows less surely."""
    overlap, _ = _shares(found, whole)
    as_sure = whole.scores[None] >= found.scores[:, None] - _LESS_SURE
    same = found.class_ids[:, None] == whole.class_ids[None]
    return found[~_any(same & (overlap >= _SAME) & as_sure, axis=1)]


def _join_group(groups: list[Box], box: Box, input_hw: HW) -> None:
    """Put a box into the first group whose part still shows it at the frame's own resolution, or open one for it."""
    for index, (x1, y1, x2, y2) in enumerate(groups):
        around = (min(x1, box[0]), min(y1, box[1]), max(x2, box[2]), max(y2, box[3]))
        fits = around[2] - around[0] <= input_hw[1] and around[3] - around[1] <= input_hw[0]
        if fits or around == groups[index]:
            groups[index] = around
            return
    groups.append(box)


def _part(box: Box, frame_hw: HW, input_hw: HW) -> Part:
    """Return the part around a box, of the input's shape, moved into the frame."""
    ratio = _shrunk(box, input_hw)
    (x1, x2), (y1, y2) = (
        _span((box[axis] + box[axis + 2]) / 2, input_hw[1 - axis] * ratio, frame_hw[1 - axis]) for axis in (0, 1)
    )
    return x1, y1, x2, y2


def _shrunk(box: Box, input_hw: HW) -> float:
    """Return how many times smaller a part around a box is drawn, at least 1."""
    return max(1.0, (box[2] - box[0]) / input_hw[1], (box[3] - box[1]) / input_hw[0])


def _span(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Return a span around the middle, even or up to the limit, and within it."""
    even = min(-(-round(length) // 2) * 2, limit)
    low = round(max(0.0, min(middle - even / 2, limit - even))) // 2 * 2
    high = low + even
    return low, limit if high == limit - 1 else high  # an odd frame has one px more


def _lifted(found: Detections, part: Part) -> Detections:
    """Map boxes from px of a part to px of the frame."""
    corner = np.array([part[0], part[1], part[0], part[1]], np.float32)
    return Detections(boxes=found.boxes + corner, scores=found.scores, class_ids=found.class_ids)


def _cut(boxes: NDArray[np.float32], part: Part, frame_hw: HW) -> NDArray[np.bool_]:
    """Return which sides of boxes, (N, 4) px of the frame, a part's border cuts off; the frame's own cuts nothing."""
    x1, y1, x2, y2 = part
    across, down = max(_CUT_PX, _CUT * (x2 - x1)), max(_CUT_PX, _CUT * (y2 - y1))
    least = x1 + across if x1 > 0 else -np.inf, y1 + down if y1 > 0 else -np.inf
    most = x2 - across if x2 < frame_hw[1] else np.inf, y2 - down if y2 < frame_hw[0] else np.inf
    return np.hstack([boxes[:, :2] <= least, boxes[:, 2:] >= most])


def _without_nested(whole: Detections, close: Detections, beyond: NDArray[np.bool_]) -> tuple[Detections, Detections]:
    """Return both without those of one that show a part of what the other shows, or the same less well.

    What is so small that the whole frame takes it for something else than the part does, and less surely, goes as well.

    Args:
        whole: what was found in the frame.
        close: what was found in a part of it, px of the frame.
        beyond: (N,), which of `whole` the part does not show all of.
    """
    overlap, covered = _shares(whole, close)
    same = whole.class_ids[:, None] == close.class_ids[None]
    nested = same & (covered >= _COVERED)
    closer_wins = ~beyond[:, None] & (close.scores[None] >= whole.scores[:, None])
    confirmed = _any(same & (overlap >= _SAME), axis=1)
    mistaken = ~same & ~confirmed[:, None] & ((overlap >= _SAME) | (covered >= _COVERED))
    return whole[~_any((nested | mistaken) & closer_wins, axis=1)], close[~_any(nested & ~closer_wins, axis=0)]


def _mended(halves: Sequence[tuple[Detections, NDArray[np.bool_]]]) -> Detections:
    """Return the objects of which two parts show a half each, with the lower of the two scores.

    Args:
        halves: what is cut off in each part, and which sides of it are, (N, 4).
    """
    boxes, scores, class_ids = [], [], []
    for (one, one_cut), (other, other_cut) in combinations(halves, 2):
        a, b = one.boxes[:, None], other.boxes[None]
        from_one = np.concatenate([a[..., :2] <= b[..., :2], a[..., 2:] >= b[..., 2:]], axis=-1)
        both = np.where(from_one, a, b)
        still_cut = _any(np.where(from_one, one_cut[:, None], other_cut[None]), axis=-1)
        mends = _beside(one, other) & ~still_cut
        while mends.any():
            i, j = np.unravel_index(int(mends.argmax()), mends.shape)
            mends[i], mends[:, j] = False, False  # each is half of one object only
            boxes.append(both[i, j])
            scores.append(min(one.scores[i], other.scores[j]))
            class_ids.append(one.class_ids[i])
    if not boxes:
        return Detections.empty()
    return _sorted(np.stack(boxes), np.array(scores, np.float32), np.array(class_ids, np.int32))


def _beside(one: Detections, other: Detections) -> NDArray[np.bool_]:
    """Return which boxes of a class, (N, M), continue each other: across or down they meet, along that they agree."""
    a, b = one.boxes[:, None], other.boxes[None]
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shorter = np.minimum(a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2])
    meets, agrees = shared >= -_MEETS * shorter, shared >= _ALONG * shorter
    same: NDArray[np.bool_] = one.class_ids[:, None] == other.class_ids[None]
    return _any(meets & agrees[..., ::-1], axis=-1) & same


def _best(looks: Sequence[Detections], iou: float) -> Detections:
    """Return all that was found, and of two boxes of a class and of different looks that overlap the better one.

    Those of one look may overlap: that look has said so.
    """
    look_of = np.repeat(np.arange(len(looks)), [len(found) for found in looks])
    boxes, scores, class_ids = (
        np.concatenate([getattr(found, name) for found in looks]) for name in ("boxes", "scores", "class_ids")
    )
    every, look_of = _sorted(boxes, scores, class_ids), look_of[np.argsort(-scores, kind="stable")]
    overlap, _ = _shares(every, every)
    rivals = (
        (overlap >= iou) & (every.class_ids[:, None] == every.class_ids[None]) & (look_of[:, None] != look_of[None])
    )
    kept = np.ones(len(every), bool)
    for index in range(len(every)):
        if kept[index]:
            kept[index + 1 :] &= ~rivals[index, index + 1 :]
    return every[kept]


def _sorted(boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int32]) -> Detections:
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes=boxes[order], scores=scores[order], class_ids=class_ids[order])


def _shares(one: Detections, other: Detections) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each two boxes share, (N, M): of their union, and of the smaller of the two."""
    a, b = one.boxes[:, None], other.boxes[None]
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(axis=-1), (b[..., 2:] - b[..., :2]).prod(axis=-1)
    return _ratio(shared, areas[0] + areas[1] - shared), _ratio(shared, np.minimum(*areas))


def _ratio(shared: NDArray[np.float32], area: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)


def _any(table: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.any(table, axis=axis)
    return result
