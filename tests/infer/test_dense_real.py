"""Real NanoDet, FastestDet and UltraFace: told without help, and the boxes that the shared data's README has measured.

FastestDet was measured with an NMS of 0.45, the others with 0.5, as here.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_real_models import detect, still

from streamer.core.errors import BackendError
from streamer.infer.agreement import iou_of
from streamer.infer.catalogue import Catalogue
from streamer.infer.recognise import load_spec
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.infer.spec import ModelSpec

Row = tuple[str, float, int, int, int, int]
# File, head, names, score, and what each picture shows by that: class, score and corners, clipped to the picture.
MEASURED: dict[str, tuple[str, str | tuple[str, ...], float, dict[str, list[Row]]]] = {
    "nanodet_m_320": (
        "nanodet",
        "coco80",
        0.4,
        {
            "dog.jpg": [("bicycle", 0.66, 85, 133, 566, 511), ("car", 0.44, 465, 75, 701, 168)],
            "bus.jpg": [
                ("bus", 0.80, 29, 223, 810, 728),
                ("person", 0.69, 47, 391, 215, 893),
                ("person", 0.64, 220, 395, 338, 856),
                ("person", 0.47, 702, 386, 810, 878),
            ],
            "person.jpg": [
                ("dog", 0.63, 72, 264, 197, 348),
                ("person", 0.58, 189, 102, 274, 364),
                ("horse", 0.44, 401, 137, 604, 342),
            ],
            "airport_aerial.jpg": [],
        },
    ),
    "fastestdet_352": (
        "fastestdet",
        "coco80",
        0.65,
        {
            "dog.jpg": [
                ("dog", 0.81, 126, 201, 334, 536),
                ("car", 0.76, 457, 72, 703, 170),
                ("bicycle", 0.74, 128, 150, 577, 438),
            ],
            "zidane.jpg": [
                ("person", 0.87, 642, 40, 1141, 720),
                ("person", 0.85, 154, 211, 689, 720),
                ("tie", 0.73, 438, 410, 659, 720),
            ],
            "person.jpg": [
                ("sheep", 0.92, 404, 133, 604, 345),
                ("dog", 0.91, 69, 262, 209, 353),
                ("person", 0.90, 184, 101, 278, 363),
            ],
            "airport_aerial.jpg": [],
        },
    ),
    "ultraface_rfb320": (
        "ssd",
        ("face",),
        0.7,
        {"zidane.jpg": [("face", 1.00, 923, 107, 1054, 282), ("face", 0.96, 550, 250, 653, 427)]},
    ),
}
RUNTIMES = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]


def load(shared_data: Path, file: str, **said: object) -> ModelSpec:
    path = shared_data / "models" / f"{file}.onnx"
    return load_spec(str(path), options=SpecOptions(**said), catalogue=Catalogue((), path.parent))  # type: ignore[arg-type]


@pytest.mark.parametrize("file", MEASURED)
def test_the_head_is_told_and_only_names_are_asked_for(shared_data: Path, file: str) -> None:
    head, names, *_ = MEASURED[file]
    with pytest.raises(
        BackendError,
        match=rf"is of head {head} with \d+ class[a-z ]*, and the names of its classes",
    ):
        load(shared_data, file)
    spec = load(shared_data, file, labels=names)
    assert (spec.head, spec.decided_by) == (head, "shapes")


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", RUNTIMES)
@pytest.mark.parametrize("file", MEASURED)
def test_the_measured_boxes_are_found(shared_data: Path, file: str, kind: str) -> None:
    _, names, score, pictures = MEASURED[file]
    spec = load(shared_data, file, labels=names)
    found = detect(spec, kind, (still(shared_data / "images" / name) for name in pictures))
    for name, one in zip(pictures, found, strict=True):
        rows = pictures[name]
        seen = one[one.scores >= score]
        assert [spec.labels[i] for i in seen.class_ids] == [row[0] for row in rows], name
        np.testing.assert_allclose(seen.scores, [row[1] for row in rows], atol=0.01, err_msg=name)
        boxes = np.array([row[2:] for row in rows], np.float32).reshape(-1, 4)
        assert (np.diag(iou_of(seen.boxes, boxes)) > 0.95).all(), name
