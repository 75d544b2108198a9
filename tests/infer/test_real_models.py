"""Real networks on real pictures: the measured detections are met, and the runtimes agree.

What was measured stands in the shared data's README, and is read from there: class, score and box.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.core.frame import Picture, PixelFormat
from streamer.core.names import canonical
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

MODELS = (
    "yolox_nano_416.onnx",
    "yolox_nano_v5layout.onnx",
    "yolox_nano_v8layout.onnx",
    "yolox_nano_end2end.onnx",
    "fastestdet_352.onnx",
    "nanodet_m_320.onnx",
)
SCORE = 0.4
FLOOR = 0.3  # candidates reach below the score, so that a box at its edge finds its counterpart
RUNTIMES = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the README's measured detections."""

    label: str
    score: float
    box: tuple[float, ...]  # x1 y1 x2 y2, px


def measured(shared_data: Path) -> dict[str, tuple[float, dict[str, list[Measured]]]]:
    """Return what the shared data's README measured: model -> (least score, picture -> rows)."""
    found: dict[str, tuple[float, dict[str, list[Measured]]]] = {}
    text = (shared_data / "README.md").read_text("utf-8").partition("## Measured detections")[2]
    for section in text.split("\n### ")[1:]:
        title, _, body = section.partition("\n")
        head = re.match(r"(\S+\.onnx) \(confidence ([0-9.]+)", title)
        assert head is not None, title
        pictures = {name: _rows(rows) for name, rows in re.findall(r"^- (\S+\.jpg): (.*)$", body, re.MULTILINE)}
        found[head[1]] = float(head[2]), pictures
    return found


def _rows(text: str) -> list[Measured]:
    rows = re.findall(r"([a-z ]+?) ([01]\.\d+) \[([-\d, ]+)\]", text)
    return [Measured(label.strip(), float(score), tuple(map(float, box.split(",")))) for label, score, box in rows]


def spec_of(shared_data: Path, file: str) -> ModelSpec:
    """Recognise a model, with no option or with just those that its refusal names."""
    path = str(shared_data / "models" / file)
    try:
        return load_spec(path)
    except BackendError as exc:
        advice = re.search(r"such as `(?:--head (\S+) ?)?(?:--labels (\S+))?`", str(exc))
        assert advice is not None, exc  # noqa: PT017  what is missing is advice, not the error
        labels = ["face"] if file.startswith("ultraface") else advice[2]  # FILE: one that has the one name
        return load_spec(path, options=SpecOptions(head=advice[1], labels=labels))


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


def unmatched(
    one: Detections, two: Detections, *, iou: float, off: float, edge: float, score: float = SCORE
) -> list[str]:
    """Return the boxes of `one` above the score (but for its edge) that have no counterpart in `two`."""
    alike = iou_of(one.boxes, two.boxes)
    same = (alike > iou) & (one.class_ids[:, None] == two.class_ids) & (np.abs(one.scores[:, None] - two.scores) <= off)
    alone = (one.scores >= score + edge) & ~same.any(axis=1)
    return [f"{d.class_id} {d.score:.3f} {d.box}" for d, lost in zip(one, alone, strict=True) if lost]


def as_detections(rows: list[Measured], spec: ModelSpec) -> Detections:
    """Return measured rows in the model's class ids; boxes cut to the picture are compared as they are."""
    rows = sorted(rows, key=lambda row: -row.score)
    known = {canonical(label): i for i, label in enumerate(spec.labels)}
    return Detections(
        boxes=np.array([row.box for row in rows], np.float32).reshape(-1, 4).clip(0),
        scores=np.array([row.score for row in rows], np.float32),
        class_ids=np.array([known[canonical(row.label)] for row in rows], np.int32),
    )


@pytest.mark.parametrize("kind", RUNTIMES)
@pytest.mark.parametrize("file", MODELS)
def test_the_measured_detections_are_met(shared_data: Path, file: str, kind: str) -> None:
    score, pictures = measured(shared_data)[file]
    assert len(pictures) >= 6
    spec = spec_of(shared_data, file)
    found = detect(spec, kind, [still(shared_data / "images" / name) for name in pictures])
    for (name, rows), ours in zip(pictures.items(), found, strict=True):
        theirs = as_detections(rows, spec)
        assert not unmatched(theirs, ours, iou=0.8, off=0.05, edge=0.05, score=score), name
        assert not unmatched(ours, theirs, iou=0.8, off=0.05, edge=0.05, score=score), name


@pytest.mark.parametrize("kind", RUNTIMES)
def test_faces_are_found(shared_data: Path, kind: str) -> None:
    """The README's row of UltraFace: two faces at 0.7."""
    spec = spec_of(shared_data, "ultraface_rfb320.onnx")
    (found,) = detect(spec, kind, [still(shared_data / "images" / "zidane.jpg")])
    rows = [Measured("face", 1.0, (923, 107, 1054, 282)), Measured("face", 0.96, (550, 250, 653, 427))]
    theirs = as_detections(rows, spec)
    assert not unmatched(theirs, found, iou=0.8, off=0.05, edge=0.05, score=0.7)
    assert not unmatched(found, theirs, iou=0.8, off=0.05, edge=0.05, score=0.7)


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
