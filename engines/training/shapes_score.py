"""How good the exported file is, measured through ONNX Runtime on scenes it has never seen."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
from shapes_samples import HELD_OUT, fit

from streamer.capture.scenes.outlines import KINDS
from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneObject

SCORE = 0.5
_NMS_IOU = 0.5
_MATCH_IOU = 0.5
_COUNTED = 0.6  # visible share from which a missed shape is a miss


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured."""

    truths: int
    recall: float
    precision: float
    mean_iou: float
    ms: float  # a picture, one thread; 0 where it was not measured


@dataclass(slots=True, kw_only=True)
class Tally:
    """Adds up how answers agree with the truth."""

    truths: int = 0
    right: int = 0
    said: int = 0
    ious: list[float] = field(default_factory=list)

    def add(
        self,
        boxes: NDArray[np.float32],
        kinds: NDArray[np.intp],
        objects: tuple[SceneObject, ...],
        names: tuple[str, ...],
    ) -> None:
        """Take in the answers to one picture and what is in it; `names` says which kind each number is."""
        hits, false, matched = _match(boxes, kinds, objects, names)
        self.truths += sum(o.visible >= _COUNTED for o in objects)
        self.right += len(hits)
        self.said += len(hits) + false
        self.ious += matched

    def figures(self, *, ms: float = 0.0) -> Figures:
        """Return what has come together."""
        return Figures(
            truths=self.truths,
            recall=self.right / self.truths,
            precision=self.right / max(1, self.said),
            mean_iou=float(np.mean(self.ious)) if self.ious else 0.0,
            ms=ms,
        )


def measure(path: Path, *, size: tuple[int, int], jpeg: int | None, scenes: int = 25, pictures: int = 12) -> Figures:
    """Compare the file's answers with the truth on held-out scenes of a size (w, h), as JPEG of a quality if given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tally = Tally()
    times: list[float] = []
    for seed in range(HELD_OUT, HELD_OUT + scenes):
        scene = Scene(seed, *size)
        for t_s in np.random.default_rng(seed).uniform(0.5, 600.0, pictures):
            frame = scene.at(float(t_s))
            bgr = frame.bgr
            if jpeg is not None:
                bgr = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], cv2.IMREAD_COLOR)
            rgb, scale, left, top = fit(bgr)
            pixels = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]).astype(np.float32) / 255
            before = time.perf_counter()
            output = session.run(None, {"images": pixels})[0][0]
            times.append(time.perf_counter() - before)
            boxes, kinds = decode(output)
            boxes = (boxes - (left, top, left, top)) / scale
            boxes = boxes.clip(0, (*size, *size))
            tally.add(boxes, kinds, frame.objects, KINDS)
    return tally.figures(ms=float(np.median(times)) * 1e3)


def decode(output: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return boxes (N, 4) x1 y1 x2 y2, input px, and class ids (N,) after NMS in each class; best first."""
    scores = output[4:].max(axis=0)
    keep = scores >= SCORE
    middle, extent = output[:2, keep].T, output[2:4, keep].T
    boxes = np.concatenate((middle - extent / 2, middle + extent / 2), axis=1)
    kinds, scores = output[4:, keep].argmax(axis=0), scores[keep]
    chosen: list[int] = []
    for i in np.argsort(-scores):
        if all(kinds[i] != kinds[j] or iou(boxes[i], boxes[j]) < _NMS_IOU for j in chosen):
            chosen.append(int(i))
    return boxes[chosen], kinds[chosen]


def iou(a: NDArray[np.float32] | tuple[float, ...], b: NDArray[np.float32] | tuple[float, ...]) -> float:
    """Return the overlap of two boxes x1 y1 x2 y2 as a share of their union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def _match(
    boxes: NDArray[np.float32], kinds: NDArray[np.intp], objects: tuple[SceneObject, ...], names: tuple[str, ...]
) -> tuple[list[SceneObject], int, list[float]]:
    """Return the shapes that were found, the number of answers that match none, and the overlaps."""
    left = list(objects)
    hits: list[SceneObject] = []
    overlaps: list[float] = []
    false = 0
    for box, kind in zip(boxes, kinds, strict=True):
        nearest = max(objects, key=lambda o: iou(box, o.box), default=None)
        if nearest is not None and iou(box, nearest.box) > 0 and nearest.visible < _COUNTED:
            continue  # neither right nor wrong: nobody could be sure of what hardly shows
        rated = [(iou(box, o.box), o) for o in left if o.kind == names[kind] and o.visible >= _COUNTED]
        best, shape = max(rated, key=lambda pair: pair[0], default=(0.0, None))
        if shape is None or best < _MATCH_IOU:
            false += 1
            continue
        left.remove(shape)
        hits.append(shape)
        overlaps.append(best)
    return hits, false, overlaps
