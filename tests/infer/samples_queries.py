"""Outputs of networks that need no NMS for an input of 32x64 px: queries, and final boxes; two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from head_sample import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.generic], ...]

SEPARATE = ("boxes", "scores", "labels")


def corners(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Return boxes x1 y1 x2 y2 in fractions."""
    first = rng.random((*shape, 2)) * 0.5
    return np.concatenate((first, first + 0.05 + rng.random((*shape, 2)) * 0.4), axis=-1)


def pixels(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Return boxes x1 y1 x2 y2 in px."""
    boxes: NDArray[np.float64] = corners(rng, *shape) * np.array([64, 32, 64, 32])
    return boxes


def ids(rng: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """Return classes."""
    return rng.integers(0, 2, shape)


def queries(rng: np.random.Generator, columns: int) -> Arrays:
    """Return logits and boxes of 300 queries."""
    return rng.normal(-1, 2, (1, 300, columns)), rng.random((1, 300, 4))


def separate(rng: np.random.Generator) -> Arrays:
    """Return boxes in px, scores and classes."""
    return pixels(rng, 1, 300), rng.random((1, 300)), ids(rng, 1, 300)


def list_of_7(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the rows of one picture without the last two columns."""
    return np.concatenate((np.zeros((20, 1)), pixels(rng, 20)), axis=1)


SAMPLES = {
    "rtdetr": Sample(separate, SEPARATE, extras=("orig_target_sizes",)),
    "detr-sigmoid": Sample(lambda rng: queries(rng, 2), ("logits", "pred_boxes")),
    "rfdetr": Sample(lambda rng: queries(rng, 2)[::-1], ("dets", "labels")),
    "detr": Sample(lambda rng: queries(rng, 3), ("logits", "pred_boxes"), columns=3),
    "detr-scores": Sample(lambda rng: (rng.random((1, 300, 2)), rng.random((1, 300, 4))), ("scores", "boxes")),
    "rtdetr-ultralytics": Sample(lambda rng: (rng.random((1, 300, 6)),)),
    "efficient-nms": Sample(
        lambda rng: (np.full((1, 1), 90, np.int32), pixels(rng, 1, 100), rng.random((1, 100)), ids(rng, 1, 100)),
        ("num_dets", "det_boxes", "det_scores", "det_classes"),
    ),
    "nms": Sample(separate, SEPARATE),
    "nms-normalized": Sample(lambda rng: (corners(rng, 1, 300), rng.random((1, 300)), ids(rng, 1, 300)), SEPARATE),
    "end2end-normalized": Sample(
        lambda rng: (np.concatenate((corners(rng, 1, 300), rng.random((1, 300, 1)), ids(rng, 1, 300, 1)), axis=2),)
    ),
    "argmax": Sample(lambda rng: (pixels(rng, 1, 42), rng.random((1, 42)), ids(rng, 1, 42)), SEPARATE),
    "mmdet": Sample(
        lambda rng: (np.concatenate((pixels(rng, 1, 100), rng.random((1, 100, 1))), axis=2), ids(rng, 1, 100)),
        ("dets", "labels"),
    ),
    "yolov7-nms": Sample(
        lambda rng: (np.concatenate((list_of_7(rng), ids(rng, 20, 1), rng.random((20, 1))), axis=1),), ("output",)
    ),
    "yolo-nas-flat": Sample(
        lambda rng: (np.concatenate((list_of_7(rng), rng.random((20, 1)), ids(rng, 20, 1)), axis=1),),
        ("graph2_flat_predictions",),
    ),
    "paddle": Sample(
        lambda rng: (
            np.concatenate((ids(rng, 20, 1), rng.random((20, 1)), pixels(rng, 20)), axis=1),
            np.array([20], np.int32),
        ),
        ("multiclass_nms3_0.tmp_0", "multiclass_nms3_0.tmp_2"),
        extras=("im_shape", "scale_factor"),
    ),
}
