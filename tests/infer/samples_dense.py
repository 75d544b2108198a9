"""Outputs of SSD, NanoDet and their kin for an input of 32x64 px: 32, 8, 2, 1 and 1 cells of strides 8 to 128."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from head_sample import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.generic], ...]

SIZES = ((4, 8), (2, 4), (1, 2), (1, 1), (1, 1))  # rows and columns of cells


def fractions(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Boxes that begin in the nearer half of the picture and end in the other."""
    return rng.random((*shape, 4)) * 0.5 + [0, 0, 0.5, 0.5]


def ids(rng: np.random.Generator, *shape: int) -> NDArray[np.int64]:
    """Class ids 0 and 1."""
    return rng.integers(0, 2, shape)


def nanodet(rng: np.random.Generator, *, levels: int) -> Arrays:
    """Scores and distributions of each stride in turn."""
    counts = [rows * columns for rows, columns in SIZES[:levels]]
    return tuple(array for n in counts for array in (rng.random((1, n, 2)), rng.normal(size=(1, n, 32))))


def faces(rng: np.random.Generator, *columns: int, each: int = 1) -> Arrays:
    """Rows of so many columns for each cell of strides 8, 16 and 32 in turn."""
    return tuple(rng.random((1, each * rows * cells, n)) for rows, cells in SIZES[:3] for n in columns)


def maps(rng: np.random.Generator, *, levels: int, each: int) -> Arrays:
    """Maps of classes and of boxes of each stride in turn."""
    return tuple(
        array
        for size in SIZES[:levels]
        for array in (rng.random((1, 2 * each, *size)), rng.random((1, 4 * each, *size)))
    )


def pairs(rng: np.random.Generator, *, box: int) -> Arrays:
    """Maps of scores and of boxes of strides 8, 16 and 32 in turn."""
    return tuple(array for size in SIZES[:3] for array in (rng.random((1, 2, *size)), rng.normal(size=(1, box, *size))))


def tensorflow(rng: np.random.Generator) -> Arrays:
    """Boxes, scores, classes as floats, and how many are valid."""
    return fractions(rng, 1, 20), rng.random((1, 20)), ids(rng, 1, 20).astype(np.float32), np.full((1,), 20.0)


def detection_output(rng: np.random.Generator) -> Arrays:
    """Rows of picture 0, a label, a score and a box."""
    rows = np.concatenate((np.zeros((20, 1)), ids(rng, 20, 1), rng.random((20, 1)), fractions(rng, 20)), axis=1)
    return (rows.reshape(1, 1, 20, 7),)


def torchvision(rng: np.random.Generator) -> Arrays:
    """Boxes, labels and scores."""
    return fractions(rng, 20) * 64, ids(rng, 20), rng.random(20)


def yolov9(rng: np.random.Generator) -> Arrays:
    """The maps, and the distributions that nobody needs."""
    return (*maps(rng, levels=3, each=1), rng.random((1, 16, 4, 4, 8)))


SAMPLES = {
    "ssd-tf": Sample(tensorflow, names=("detection_boxes", "detection_scores", "detection_classes", "num_detections")),
    "torchvision": Sample(torchvision, names=("boxes", "labels", "scores")),
    "faster-rcnn-zoo": Sample(torchvision, names=("6379", "6381", "6383")),
    "azure-nms": Sample(
        lambda rng: (fractions(rng, 1, 20), rng.random((1, 20)), ids(rng, 1, 20)),
        names=("detected_boxes", "detected_scores", "detected_classes"),
    ),
    "ssd-zoo": Sample(
        lambda rng: (fractions(rng, 1, 20), rng.random((1, 20)), ids(rng, 1, 20)),
        names=("bboxes", "scores", "labels"),
    ),
    "detection-output": Sample(detection_output),
    "ssd": Sample(lambda rng: (rng.random((1, 1200, 2)), fractions(rng, 1, 1200)), names=("scores", "boxes")),
    "yolo-nas": Sample(lambda rng: (rng.random((1, 42, 2)), fractions(rng, 1, 42) * 64), names=("scores", "boxes")),
    "damo-yolo": Sample(lambda rng: (rng.random((1, 42, 2)), fractions(rng, 1, 42) * 64), names=("scores", "boxes")),
    "ppyoloe": Sample(lambda rng: (rng.random((1, 2, 42)), fractions(rng, 1, 42) * 64), names=("scores", "boxes")),
    "v8-raw": Sample(lambda rng: tuple(rng.normal(size=(1, 66, *size)) for size in SIZES[:3]), names=tuple("abc")),
    "v8-raw-sigmoid": Sample(lambda rng: pairs(rng, box=64), names=tuple("abcdef")),
    "yolov9-mit": Sample(yolov9, names=tuple("abcdefg")),
    "nanodet": Sample(lambda rng: nanodet(rng, levels=3), names=tuple("abcdef")),
    "nanodet-plus": Sample(lambda rng: (rng.random((1, 43, 34)),)),
    "picodet": Sample(lambda rng: nanodet(rng, levels=4), names=tuple("abcdefgh")),
    "yunet": Sample(lambda rng: faces(rng, 1, 1, 4), names=tuple("abcdefghi"), columns=1),
    "scrfd": Sample(lambda rng: faces(rng, 1, 4, each=2), names=tuple("abcdef"), columns=1),
    "fastestdet": Sample(lambda rng: (rng.random((1, 7, 2, 4)),)),
    "retinanet": Sample(lambda rng: maps(rng, levels=5, each=9), names=tuple("abcdefghij")),
    "retinanet-logits": Sample(lambda rng: maps(rng, levels=5, each=9), names=tuple("abcdefghij")),
}
