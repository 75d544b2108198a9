"""Real networks on real pictures: the measured detections are met, and the runtimes agree.

What was measured stands in the shared data's README: class, score and box at 0.4 with NMS 0.5.
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.core.frame import Picture, PixelFormat
from streamer.core.results import Detections
from streamer.infer.agreement import iou_of
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.infer.spec import SpecOptions
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

BGR_MEASURED = {
    "dog.jpg": [
        ("dog", 0.86, 133, 207, 326, 543),
        ("bicycle", 0.80, 52, 137, 572, 424),
        ("car", 0.80, 466, 78, 692, 171),
    ],
    "bus.jpg": [
        ("bus", 0.90, 14, 231, 801, 733),
        ("person", 0.86, 50, 395, 216, 898),
        ("person", 0.81, 220, 402, 347, 855),
        ("person", 0.70, 685, 454, 810, 874),
    ],
    "zidane.jpg": [
        ("person", 0.85, 150, 201, 681, 713),
        ("person", 0.83, 712, 39, 1152, 707),
        ("tie", 0.47, 434, 436, 498, 687),
    ],
    "person.jpg": [
        ("person", 0.88, 189, 97, 277, 374),
        ("horse", 0.88, 403, 138, 603, 345),
        ("dog", 0.88, 61, 264, 201, 350),
    ],
    "humans_4.jpg": [
        ("person", 0.93, 828, 52, 938, 345),
        ("person", 0.87, 157, 230, 335, 555),
        ("person", 0.86, 619, 216, 794, 533),
        ("person", 0.85, 395, 224, 620, 544),
        ("person", 0.84, 66, 208, 187, 414),
        ("sports ball", 0.71, 379, 483, 435, 537),
    ],
    "airport_aerial.jpg": [],
}
RGB_MEASURED = {
    "dog.jpg": [
        ("dog", 0.86, 129, 207, 345, 542),
        ("bicycle", 0.80, 61, 136, 570, 415),
        ("truck", 0.63, 463, 77, 688, 169),
        ("car", 0.47, 465, 76, 686, 166),
    ],
    "bus.jpg": [
        ("person", 0.87, 49, 398, 212, 901),
        ("bus", 0.86, 24, 231, 800, 744),
        ("person", 0.78, 680, 459, 811, 874),
        ("person", 0.78, 213, 402, 353, 862),
    ],
    "zidane.jpg": [
        ("person", 0.82, 136, 201, 688, 714),
        ("person", 0.80, 722, 33, 1151, 709),
        ("tie", 0.53, 980, 302, 1028, 423),
    ],
    "person.jpg": [
        ("dog", 0.89, 63, 265, 200, 351),
        ("person", 0.88, 193, 95, 277, 382),
        ("horse", 0.76, 401, 140, 604, 344),
    ],
    "humans_4.jpg": [
        ("person", 0.92, 828, 53, 939, 347),
        ("person", 0.88, 156, 234, 333, 558),
        ("sports ball", 0.86, 378, 485, 435, 536),
        ("person", 0.86, 401, 221, 625, 543),
        ("person", 0.85, 598, 212, 796, 530),
        ("person", 0.82, 68, 207, 186, 418),
    ],
    "airport_aerial.jpg": [],
}
MODELS = {
    "yolox_nano_416.onnx": BGR_MEASURED,
    "yolox_nano_v5layout.onnx": RGB_MEASURED,
    "yolox_nano_v8layout.onnx": RGB_MEASURED,
    "yolox_nano_end2end.onnx": RGB_MEASURED,
}
SCORE = 0.4
FLOOR = 0.3  # candidates reach below the score, so that a box at its edge finds its counterpart
RUNTIMES = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]


def spec_of(shared_data: Path, file: str) -> ModelSpec:
    head = "yolox" if file == "yolox_nano_416.onnx" else None
    labels = None if head is None else "coco80"
    return load_spec(str(shared_data / "models" / file), options=SpecOptions(head=head, labels=labels))


def still(path: Path) -> Picture:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return picture_of_bgr(pixels.astype(np.uint8, copy=False))


def as_planes(picture: Picture) -> Picture:
    """Return an I420 picture of even size, as a decoder would give it."""
    bgr = picture.planes[0]
    bgr = np.ascontiguousarray(bgr[: bgr.shape[0] // 2 * 2, : bgr.shape[1] // 2 * 2])
    h, w = bgr.shape[:2]
    flat: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).ravel().astype(np.uint8, copy=False)
    chroma = flat[h * w :].reshape(2, h // 2, w // 2)
    return Picture(
        format=PixelFormat.I420, planes=(flat[: h * w].reshape(h, w), chroma[0], chroma[1]), width=w, height=h
    )


def detect(spec: ModelSpec, kind: str, pictures: Iterable[Picture], *, precision: str = "f32") -> list[Detections]:
    with contextlib.closing(
        open_model(spec, backend=kind, precision=precision, latency=True, floor=FLOOR, iou=0.5, on_ready=lambda: None)
    ) as model:
        return [found for picture in pictures for found in model.collect(model.submit([picture]))]


def unmatched(one: Detections, two: Detections, *, iou: float, off: float, edge: float) -> list[str]:
    """Return the boxes of `one` above the score (but for its edge) that have no counterpart in `two`."""
    alike = iou_of(one.boxes, two.boxes)
    same = (alike > iou) & (one.class_ids[:, None] == two.class_ids) & (np.abs(one.scores[:, None] - two.scores) <= off)
    alone = (one.scores >= SCORE + edge) & ~same.any(axis=1)
    return [f"{d.class_id} {d.score:.3f} {d.box}" for d, lost in zip(one, alone, strict=True) if lost]


def as_detections(rows: list[tuple[str, float, int, int, int, int]], spec: ModelSpec) -> Detections:
    rows = sorted(rows, key=lambda row: -row[1])
    known = [label.replace(" ", "") for label in spec.labels]
    alias = {"motorcycle": "motorbike"}
    return Detections(
        boxes=np.array([row[2:] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row[1] for row in rows], np.float32),
        class_ids=np.array([known.index(alias.get(r[0], r[0]).replace(" ", "")) for r in rows], np.int32),
    )


@pytest.mark.parametrize("kind", RUNTIMES)
@pytest.mark.parametrize("file", MODELS)
def test_the_measured_detections_are_met(shared_data: Path, file: str, kind: str) -> None:
    spec = spec_of(shared_data, file)
    measured = MODELS[file]
    found = detect(spec, kind, [still(shared_data / "images" / name) for name in measured])
    for name, ours in zip(measured, found, strict=True):
        theirs = as_detections(measured[name], spec)
        assert not unmatched(theirs, ours, iou=0.8, off=0.05, edge=0.0), name
        assert not unmatched(ours, theirs, iou=0.8, off=0.05, edge=0.05), name


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
@pytest.mark.timeout(60)
@pytest.mark.slow
@pytest.mark.parametrize("file", MODELS)
def test_the_runtimes_agree_on_every_picture(shared_data: Path, file: str) -> None:
    spec = spec_of(shared_data, file)
    paths = sorted((shared_data / "images").glob("*.jpg"))
    assert len(paths) >= 10
    pictures = [still(path) for path in paths]
    one, two = (detect(spec, kind, pictures) for kind in ("onnxruntime", "openvino"))
    for path, a, b in zip(paths, one, two, strict=True):
        assert not unmatched(a, b, iou=0.99, off=0.01, edge=0.05), path.name
        assert not unmatched(b, a, iou=0.99, off=0.01, edge=0.05), path.name
    assert sum(len(d) for d in one) > 40


@pytest.mark.timeout(60)
@pytest.mark.slow
def test_planes_find_what_stills_find(shared_data: Path) -> None:
    """The decoder's planes lose chroma: stated here is how far scores and boxes may move by that."""
    spec = spec_of(shared_data, "yolox_nano_v8layout.onnx")
    paths = sorted((shared_data / "images").glob("*.jpg"))
    stills = [still(path) for path in paths]
    one = detect(spec, "onnxruntime", stills)
    two = detect(spec, "onnxruntime", [as_planes(picture) for picture in stills])
    lost = [
        (p.name, row)
        for p, a, b in zip(paths, one, two, strict=True)
        for row in unmatched(a, b, iou=0.8, off=0.08, edge=0.05)
    ]
    assert not lost


def test_two_in_flight_give_the_same(shared_data: Path) -> None:
    spec = spec_of(shared_data, "yolox_nano_v8layout.onnx")
    picture = still(shared_data / "images" / "dog.jpg")
    with contextlib.closing(
        open_model(
            spec, backend="onnxruntime", precision="f32", latency=False, floor=FLOOR, iou=0.5, on_ready=lambda: None
        )
    ) as model:
        tickets = [model.submit([picture]), model.submit([picture])]
        (first,), (second,) = (model.collect(t) for t in tickets)
    np.testing.assert_array_equal(first.boxes, second.boxes)
