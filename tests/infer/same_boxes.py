"""Whether a network in another layout finds the boxes that it finds in its own."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.infer.agreement import iou_of
from streamer.infer.catalogue import Catalogue
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streamer.core.results import Detections
    from streamer.infer.spec import ModelSpec

PICTURES = ("dog.jpg", "person.jpg", "zidane.jpg")
SCORE, EDGE = 0.4, 0.02  # at its edge the score decides nothing


def load(path: Path, options: SpecOptions) -> ModelSpec:
    """Recognise a file with no help from the catalogue."""
    return load_spec(str(path), options=options, catalogue=Catalogue((), path.parent))


def detect(spec: ModelSpec, images: Path, pictures: Sequence[str] = PICTURES) -> list[Detections]:
    """Return what a network finds in each picture."""
    with contextlib.closing(
        open_model(
            spec, backend="onnxruntime", precision="f32", latency=True, floor=0.3, iou=0.5, on_ready=lambda: None
        )
    ) as model:
        stills = [picture_of_bgr(np.asarray(cv2.imread(str(images / name)), np.uint8)) for name in pictures]
        return [found for still in stills for found in model.collect(model.submit([still]))]


@cache
def known(shared_data: Path, fit: str, pad: int, pictures: Sequence[str] = PICTURES) -> list[Detections]:
    """Return what the network finds in its own layout, fitted as another family wants it; each once."""
    return detect(load(source_of(shared_data), SpecOptions(fit=fit, pad=pad)), shared_data / "images", pictures)


def source_of(shared_data: Path) -> Path:
    """Return the network that is rewritten into other layouts."""
    return shared_data / "models" / "yolox_nano_v8layout.onnx"


def unmatched(one: Detections, two: Detections) -> list[str]:
    """Return what of `one` has no counterpart in `two`."""
    near = iou_of(one.boxes, two.boxes) > 0.8
    same = near & (one.class_ids[:, None] == two.class_ids) & (np.abs(one.scores[:, None] - two.scores) <= 0.05)
    alone = (one.scores >= SCORE + EDGE) & ~same.any(axis=1)
    return [f"{d.class_id} {d.score:.3f} {d.box}" for d, lost in zip(one, alone, strict=True) if lost]


def assert_same(found: Sequence[Detections], known: Sequence[Detections], pictures: Sequence[str] = PICTURES) -> None:
    """Require the same boxes in each picture."""
    assert sum(map(len, known)) > 0
    for name, ours, theirs in zip(pictures, found, known, strict=True):
        lacks, has = unmatched(theirs, ours), unmatched(ours, theirs)
        assert not lacks, f"{name}: lacks {lacks}"
        assert not has, f"{name}: has {has}"
