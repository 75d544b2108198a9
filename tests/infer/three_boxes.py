"""A network and a head that are easily seen through: three boxes on a bright canvas, none on a dark one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.heads import Candidates
from streamer.infer.spec import ColorOrder, Fit, InputSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SPEC = InputSpec(
    name="images",
    hw=(16, 16),
    color=ColorOrder.RGB,
    scale=1.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    fit=Fit.STRETCH,
    pad=0,
    layout="nchw",
    dtype="float32",
    max_batch=1,
)


def rows_head(outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
    """A head whose network answers (B, N, 6) rows: box, score, class."""
    del iou
    found = []
    for rows in outputs[0]:
        kept = rows[rows[:, 4] >= floor]
        found.append(Candidates(boxes=kept[:, :4], scores=kept[:, 4], class_ids=kept[:, 5].astype(np.int32)))
    return found


def three_boxes(batch: NDArray[np.uint8], *, moved: float = 0.0, score: float = 0.9) -> tuple[NDArray[np.float32], ...]:
    """Three boxes on a bright canvas, none on a dark one."""
    first = float(batch[0, 0, 0, 0])
    rows = [[x + moved, 0, x + 10 + moved, 10, score, 0] for x in (0, 20, 40)] if first else []
    return (np.array(rows, np.float32).reshape(1, -1, 6),)
