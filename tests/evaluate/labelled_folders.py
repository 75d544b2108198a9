"""Small folders of labelled pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamer.capture.scenes.shapes import Scene
from streamer.evaluate.labelled import read_labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streamer.capture.scenes.shapes import SceneObject
    from streamer.evaluate.truths import LabelledSet

SIZE = (100, 80)  # width, height, px
SHAPES = ("circle", "square", "triangle", "star", "cross")


def picture(path: Path, *, size: tuple[int, int] = SIZE, bgr: tuple[int, int, int] = (90, 120, 150)) -> Path:
    """Write a plain picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), bgr, np.uint8))
    return path


def text(path: Path, *lines: str) -> Path:
    """Write lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def coco(path: Path, **changes: Any) -> Path:  # noqa: ANN401  any JSON
    """Write a COCO file about one picture, `a.png`, with one object; parts can be changed."""
    said: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "a.png", "width": SIZE[0], "height": SIZE[1]}],
        "categories": [{"id": 3, "name": "person"}, {"id": 90, "name": "tooth brush"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 90, "bbox": [10, 20, 30, 40], "iscrowd": 0}],
    }
    return text(path, json.dumps(said | changes))


def told(labelled: LabelledSet) -> dict[str, list[tuple[str, list[float], bool]]]:
    """Return picture -> class, box, crowd."""
    return {
        one.path.name: [
            (labelled.labels[class_id], [round(side, 3) for side in box], crowd)
            for class_id, box, crowd in zip(one.class_ids.tolist(), one.boxes.tolist(), one.crowd.tolist(), strict=True)
        ]
        for one in labelled.pictures
    }


def read(folder: Path, split: str | None = None) -> LabelledSet:
    """Read a folder as the command does."""
    return read_labelled(folder, split=split)


def shapes(seed: int, count: int, *, size: tuple[int, int] = (640, 360)) -> list[tuple[Any, Sequence[SceneObject]]]:
    """Draw pictures of the shapes scene, 3 s apart, and what is seen of it."""
    scene = Scene(seed, *size)
    frames = [scene.at(2.0 + 3.0 * number) for number in range(count)]
    return [(frame.bgr, [one for one in frame.objects if one.visible > 0.5]) for frame in frames]


def yolo_shapes(folder: Path, seed: int, count: int, *, names: Sequence[str] = SHAPES) -> Path:
    """Write a YOLO folder of the shapes scene: `data.yaml`, images/val, labels/val."""
    for number, (bgr, seen) in enumerate(shapes(seed, count)):
        height, width = bgr.shape[:2]
        rows = []
        for one in seen:
            x1, y1, x2, y2 = one.box
            centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            rows.append(" ".join(map(str, (SHAPES.index(one.kind), *centre))))
        text(folder / "labels" / "val" / f"{number}.txt", *rows)
        target = folder / "images" / "val" / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(target), bgr)
    text(folder / "data.yaml", "val: images/val", f"names: {json.dumps(list(names))}")
    return folder
