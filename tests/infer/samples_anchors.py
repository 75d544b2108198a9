"""Outputs of the anchored YOLO families for an input of 32x64 px, two classes; and of YOLOs that lack a last step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from head_sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.generic], ...]

MAPS = ("out2", "out0", "out1")  # exporters order them as they like
CELLS = ((1, 2), (4, 8), (2, 4))  # strides 32, 8 and 16
ANCHORED_ROWS = 3 * 42


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Return what makes logits of these shapes."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def uniform(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Return what makes numbers from 0 to 1 of these shapes."""
    return lambda rng: tuple(rng.random(shape) for shape in shapes)


def corners(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Return x1, y1, x2, y2 or y1, x1, y2, x2 within 0 to 1, first below last."""
    return np.sort(rng.random((*shape, 2, 2)), axis=-2).reshape(*shape, 4)


def chosen_by_nms(rng: np.random.Generator) -> Arrays:
    """Return boxes, scores and ten chosen ones."""
    chosen = np.stack((np.zeros(10), rng.integers(0, 2, 10), rng.permutation(20)[:10]), axis=1)
    return 32 * corners(rng, 1, 20), rng.random((1, 2, 20)), chosen.astype(np.int64)


FLAT = [(1, 21, h, w) for h, w in CELLS]
SPLIT = [(1, 3, h, w, 7) for h, w in CELLS]
SPLIT_LAST = [(1, h, w, 3, 7) for h, w in CELLS]

SAMPLES = {
    "yolov3": Sample(normal(*FLAT), MAPS),
    "yolov4": Sample(normal(*FLAT[::2]), MAPS[::2]),  # yolov4-tiny
    "yolov4-zoo": Sample(uniform(*SPLIT_LAST), MAPS),
    "v5-raw": Sample(normal(*SPLIT), MAPS),
    "v7-raw": Sample(normal(*FLAT), MAPS),
    "v5-sigmoid": Sample(uniform((1, ANCHORED_ROWS, 7))),
    "v7-sigmoid": Sample(uniform(*SPLIT), MAPS),
    "yolov2": Sample(normal((1, 35, 1, 2))),
    "yolov2-voc": Sample(normal((1, 35, 1, 2))),
    "yolov2-tiny-voc": Sample(normal((1, 35, 1, 2))),
    "azure": Sample(normal((1, 35, 1, 2)), ("model_outputs0",)),
    "yolov4-boxes": Sample(
        lambda rng: (corners(rng, 1, ANCHORED_ROWS, 1), rng.random((1, ANCHORED_ROWS, 2))), ("boxes", "confs")
    ),
    "yolov3-nms": Sample(chosen_by_nms, ("boxes", "scores", "indices"), extras=("image_shape",)),
    **dict.fromkeys(
        ("indices-xyxy", "indices-yxyx", "indices-cxcywh"), Sample(chosen_by_nms, ("boxes", "scores", "indices"))
    ),
    "yolox-logits": Sample(normal((1, 42, 7))),
    "v8-xyxy": Sample(
        lambda rng: (np.concatenate((64 * corners(rng, 1, 42), rng.random((1, 42, 2))), axis=2).transpose(0, 2, 1),)
    ),
    "v5-xyxy": Sample(lambda rng: (np.concatenate((64 * corners(rng, 1, 126), rng.random((1, 126, 3))), axis=2),)),
    "v8-split": Sample(uniform((1, 4, 42), (1, 2, 42)), ("boxes", "scores")),
    "v5-split": Sample(uniform((1, 126, 1), (1, 126, 2), (1, 126, 4)), ("a", "b", "c")),
    "v8-normalized": Sample(uniform((1, 6, 42))),
    "v8-logits": Sample(normal((1, 6, 42))),
    "v5-normalized": Sample(uniform((1, ANCHORED_ROWS, 7))),
    "v5-logits": Sample(normal((1, ANCHORED_ROWS, 7))),
}
