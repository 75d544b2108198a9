"""YOLOv5 and v7 decoded in the graph, [B, N, 5+C]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import is_rows
from .grid import ANCHOR_FREE, ANCHORED, has_rows
from .logits import logit, sigmoid
from .nms import corners, suppress
from .v8 import against_centres

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

    Best = Callable[
        [NDArray[np.float32], float], tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]
    ]  # rows and floor: the best rows, as `best_rows` gives them

ANCHORS = 3  # for each cell, YOLOv3 to v7


class V5Head:
    """Rows cx, cy, w, h, objectness, then classes; score = objectness * class.

    Args:
        best: finds the rows that reach the floor.
        unit_wh: what 1 is in the boxes, px.
        xyxy: whether boxes are corners.
    """

    def __init__(self, best: Best | None = None, *, unit_wh: tuple[int, int] = (1, 1), xyxy: bool = False) -> None:
        self._best = best or best_rows
        self._corners = np.asarray if xyxy else corners
        self._unit = np.array((*unit_wh, *unit_wh), np.float32)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, N, 5+C]."""
        result = []
        for rows in outputs[0]:
            passed, scores, class_ids = self._best(rows, floor)
            result.append(suppress(self._corners(rows[passed, :4] * self._unit), scores, class_ids, iou=iou))
        return result


def best_rows(
    rows: NDArray[np.float32], floor: float
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Find the rows whose objectness times best class reaches the floor.

    Args:
        rows: (N, 5+C): box, objectness, classes; the last two are probabilities.
        floor: least score.

    Returns:
        Indices of rows (K,), scores (K,) and class ids (K,).
    """
    likely = np.flatnonzero(rows[:, 4] >= floor)  # a class is at most 1, so few rows are left to look at
    classes = rows[likely, 5:]
    class_ids = classes.argmax(axis=1)
    scores = rows[likely, 4] * np.take_along_axis(classes, class_ids[:, np.newaxis], axis=1)[:, 0]
    passed = scores >= floor
    return likely[passed], scores[passed], class_ids[passed].astype(np.int32)


def best_logits(
    rows: NDArray[np.float32], floor: float
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Do what `best_rows` does where objectness and classes still need their sigmoid."""
    likely = np.flatnonzero(rows[:, 4] >= logit(floor))
    probable = np.concatenate((rows[likely, :4], sigmoid(rows[likely, 4:])), axis=1)
    passed, scores, class_ids = best_rows(probable, floor)
    return likely[passed], scores, class_ids


def against_rows(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    """Say what speaks against rows of centre, size, objectness and classes."""
    rows = outputs[0]
    objectness = rows[..., 4]
    if objectness.size and (objectness == 1).all():
        return "its objectness is 1 everywhere, as YOLOv6 has it"
    return not_probabilities(rows[..., 4:]) or against_centres(rows[..., :4].reshape(-1, 4))


def _read(signature: Signature) -> list[Reading]:
    found = []
    for output in signature.outputs:
        if is_rows(output) and output.shape[2] is not None and output.shape[2] > 5:
            rows = output.shape[1]
            usual = has_rows(rows, signature.hw, ANCHORED, each=ANCHORS) or has_rows(rows, signature.hw, ANCHOR_FREE)
            found.append(Reading(head="v5", outputs=(output,), columns=output.shape[2] - 5, sure=usual))
    return found


FAMILY = Family(
    name="v5",
    needs="[B, N, 5+C]",
    look=ULTRALYTICS,
    read=_read,
    open=lambda _: V5Head(),
    against=against_rows,
    ultralytics=True,
)
