"""From a network's own class ids to places in the list of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .family import Numbering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import Head
    from .family import Reading

_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO91 = tuple(i for i in range(1, 91) if i not in _GAPS)  # COCO's category ids, in the order of its 80 names
_COCO = len(COCO91)
_WITH_GAPS = 91  # ids 0 to 90
_BACKGROUND = ("background", "unlabeled", "bg", "n/a", "???")


def counts_background(labels: Sequence[str]) -> bool:
    """Whether a list of names begins with that of the background, as torchvision's and the Model Zoo's do."""
    return bool(labels) and labels[0].strip("_ ").lower() in _BACKGROUND


def class_ids(names: int, reading: Reading) -> tuple[int, ...] | None:
    """Return the network's own id of each name, or None if there are too few or too many names.

    Args:
        names: how many there are.
        reading: how the network counts.
    """
    columns = reading.columns
    start = 1 if reading.numbering is Numbering.ONE else 0
    spare = 0 if reading.numbering is Numbering.ZERO else 1
    if columns is None:
        return COCO91 if reading.coco91 and names == _COCO else tuple(range(start, start + names))
    if columns == names + spare:
        return tuple(range(start, start + names))
    last = 1 if reading.numbering is Numbering.LAST else 0
    if columns - last == _WITH_GAPS and names in (_COCO, _WITH_GAPS):
        return COCO91 if names == _COCO else tuple(range(_WITH_GAPS))
    return None


class Renumbered:
    """A head whose class ids are places in the list of names; what has no name is left out."""

    def __init__(self, head: Head, ids: Sequence[int]) -> None:
        self._head = head
        self._places = np.full(max(ids, default=0) + 1, -1, np.int32)
        self._places[list(ids)] = np.arange(len(ids))

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode, then renumber."""
        return [self._renumbered(found) for found in self._head(outputs, floor, iou)]

    def _renumbered(self, found: Candidates) -> Candidates:
        known = (found.class_ids >= 0) & (found.class_ids < len(self._places))
        places = np.where(known, self._places[np.where(known, found.class_ids, 0)], -1)
        named = places >= 0
        return Candidates(boxes=found.boxes[named], scores=found.scores[named], class_ids=places[named])
