"""What the raw numbers of one real picture can say against a family. Shared by the families' own looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDED = 0.05  # a quantised 0 or 1 may come back so far off
_FRACTION = 1.5  # boxes in fractions of the picture reach little beyond 1
_ORDERED = 0.95  # share of boxes
_SEEN = 0.3  # a score that only what is really there reaches


def not_probabilities(values: NDArray[np.float32], what: str = "scores") -> str | None:
    """Say that some values lie outside 0 to 1: they lack their sigmoid, or are something else."""
    if values.size == 0:
        return None
    least, most = float(values.min()), float(values.max())
    if np.isfinite((least, most)).all() and least >= -_ROUNDED and most <= 1 + _ROUNDED:
        return None
    return f"its {what} reach from {least:.3g} to {most:.3g}, outside 0 to 1"


def normalised(boxes: NDArray[np.float32]) -> str | None:
    """Say that boxes, which should be in px, are fractions of the picture."""
    most = _reach(boxes)
    return f"its boxes reach to {most:.3g} only: fractions, not px" if 0 < most <= _FRACTION else None


def in_pixels(boxes: NDArray[np.float32]) -> str | None:
    """Say that boxes, which should be fractions of the picture, are not."""
    most = _reach(boxes)
    return f"its boxes reach to {most:.4g}: px, not fractions" if most > 2 * _FRACTION else None


def _reach(boxes: NDArray[np.float32]) -> float:
    """Return how far boxes, (..., 4), reach as a rule: some that hold nothing may be of any size, or fill up rows."""
    rows = boxes.reshape(-1, 4)
    rows = rows[(rows != rows[:, :1]).any(axis=1)]
    return float(np.median(np.abs(rows).max(axis=1))) if len(rows) else 0.0


def negative_sides(sides: NDArray[np.float32]) -> str | None:
    """Say that widths or heights, (..., 2), are below 0: logarithms, not lengths."""
    least = float(sides.min(initial=0.0))
    return f"its widths and heights fall to {least:.3g}, below 0" if least < -_ROUNDED else None


def not_whole(ids: NDArray[np.float32], where: str) -> str | None:
    """Say that what should be class ids are no whole numbers."""
    return f"{where} holds no whole numbers, so no classes" if (ids != np.rint(ids)).any() else None


def as_corners(boxes: NDArray[np.float32]) -> str | None:
    """Say that boxes, (N, 4), which should be centres and sizes, read as corners: nearly all end behind their begin.

    Few of a picture's places are so near its top left that a width is larger than x, and a height than y.
    """
    ordered = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    many = np.count_nonzero(ordered) > _ORDERED * len(boxes)
    return "its boxes read as corners, not as centres and sizes" if many else None


def not_corners(boxes: NDArray[np.float32], scores: NDArray[np.float32] | None = None) -> str | None:
    """Say that most boxes, (N, 4), end before they begin: they are centres and sizes, or in another order.

    Of final boxes with their scores, (N,), those are judged that hold something, if any does: the others may fill up.
    """
    if scores is not None and (scores > _SEEN).any():
        boxes = boxes[scores > _SEEN]
    turned = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    return "most of its boxes end before they begin" if 2 * np.count_nonzero(turned) > len(boxes) else None
