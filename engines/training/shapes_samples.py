"""Labelled pictures of the shapes scene, at the network's size, made to look like what cameras and codecs deliver."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.capture.scenes.outlines import KINDS
from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneFrame

INPUT_HW = (192, 320)  # px
PAD = 114  # grey of the letterbox
HELD_OUT = 1_000_000  # seeds from here on are never trained on

_SIZES = ((640, 360),) * 4 + ((320, 180), (1280, 720), (960, 540), (640, 480), (480, 480), (360, 640))
_PICTURES_PER_SCENE = 16
_SCENE_LENGTH_S = 900.0
_SURE = 0.4  # visible share from which a shape must be found
_SLIVER = 0.2  # visible share below which it must not: nobody can tell its kind
_WHOLE = 0.98  # share of a box that must survive a crop for its label to stay right


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One picture in the network's shape and its labels."""

    rgb: NDArray[np.uint8]  # (H, W, 3)
    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px of the network's input
    class_ids: NDArray[np.int64]  # (N,)
    sure: NDArray[np.bool_]  # (N,) False: neither right nor wrong to find it


def fit(bgr: NDArray[np.uint8], *, interpolation: int = cv2.INTER_LINEAR) -> tuple[NDArray[np.uint8], float, int, int]:
    """Letterbox a picture, centred; return RGB (H, W, 3), the scale, and the left and top padding, px."""
    height, width = bgr.shape[:2]
    scale = min(INPUT_HW[1] / width, INPUT_HW[0] / height)
    inner = (round(width * scale), round(height * scale))
    left, top = (INPUT_HW[1] - inner[0]) // 2, (INPUT_HW[0] - inner[1]) // 2
    canvas = np.full((*INPUT_HW, 3), PAD, np.uint8)
    small = cv2.resize(bgr, inner, interpolation=interpolation)
    canvas[top : top + inner[1], left : left + inner[0]] = small[..., ::-1]
    return canvas, scale, left, top


def training_samples(rng: Generator, count: int) -> Iterator[Sample]:
    """Yield `count` degraded samples of many scenes at many sizes."""
    scene = None
    for index in range(count):
        if scene is None or index % _PICTURES_PER_SCENE == 0:
            width, height = _SIZES[int(rng.integers(len(_SIZES)))]
            scene = Scene(int(rng.integers(HELD_OUT)), width, height)
        yield _sample(rng, scene.at(rng.uniform(0.5, _SCENE_LENGTH_S)))


def _sample(rng: Generator, frame: SceneFrame) -> Sample:
    bgr, boxes, kept = frame.bgr, np.array([o.box for o in frame.objects], np.float32).reshape(-1, 4), None
    if rng.random() < 0.4:
        bgr, boxes, kept = _zoom(rng, bgr, boxes)
    bgr = degrade(rng, bgr)
    interpolation = cv2.INTER_AREA if rng.random() < 0.3 else cv2.INTER_LINEAR
    rgb, scale, left, top = fit(bgr, interpolation=interpolation)
    visible = np.array([o.visible for o in frame.objects], np.float32)
    kept = np.ones(len(boxes), np.float32) if kept is None else kept
    in_view = visible * kept >= _SLIVER
    return Sample(
        rgb=rgb,
        boxes=(boxes * scale + np.array([left, top, left, top], np.float32))[in_view],
        class_ids=np.array([KINDS.index(o.kind) for o in frame.objects], np.int64)[in_view],
        sure=((visible * kept >= _SURE) & (kept >= _WHOLE))[in_view],
    )


def _zoom(
    rng: Generator, bgr: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Cut a window out, so that shapes appear larger; return the share of each box that is left, too."""
    height, width = bgr.shape[:2]
    share = rng.uniform(0.45, 0.9)
    w, h = round(width * share), round(height * share)
    x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    cut = boxes - np.array([x, y, x, y], np.float32)
    limit = np.array([w, h, w, h], np.float32)
    inside = np.clip(cut, 0, limit)
    kept = _areas(inside) / np.maximum(_areas(cut), 1e-6)
    return bgr[y : y + h, x : x + w], inside, kept


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def degrade(rng: Generator, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Do to a picture what lenses, sensors and codecs do."""
    if rng.random() < 0.3:
        bgr = cv2.GaussianBlur(bgr, (0, 0), rng.uniform(0.4, 1.6) * bgr.shape[1] / 640)
    if rng.random() < 0.3:
        noise = rng.standard_normal(bgr.shape, np.float32) * rng.uniform(2, 10)
        bgr = np.clip(bgr + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))])
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return bgr


def recolour(rng: Generator, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change light and colours anew each time a sample is used; shapes are told apart by form, not colour."""
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    gain = rng.uniform(0.6, 1.35) * rng.uniform(0.88, 1.12, 3)
    shift = rng.uniform(-25, 25)
    table = np.clip(np.arange(256)[:, None] * gain + shift, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    return cv2.LUT(np.ascontiguousarray(rgb[..., order]), table)


def flip(
    rng: Generator, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mirror a picture and its boxes, sideways, upside down, both or not at all."""
    height, width = rgb.shape[:2]
    if rng.random() < 0.5:
        rgb, boxes = rgb[:, ::-1], np.array([width, 0, width, 0], np.float32) + boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1)
    if rng.random() < 0.5:
        rgb, boxes = rgb[::-1], np.array([0, height, 0, height], np.float32) + boxes[:, [0, 3, 2, 1]] * (1, -1, 1, -1)
    return rgb, boxes.astype(np.float32)
