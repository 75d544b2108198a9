"""AP of a v8-layout detector by other means than `streamer evaluate`: ONNX Runtime, OpenCV's NMS, supervision's AP.

python tests/measure/second_opinion.py --data DIR [--split val] [--model engines/pcb-defects.onnx] [--limit 0]

The data is in YOLO's plain layout: `classes.txt`, lists of pictures, `labels/`. Nothing of Streamer is imported.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime as ort
import supervision as sv
from supervision.metrics import MeanAveragePrecision

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR, NMS_IOU = 0.001, 0.5


def found(session: ort.InferenceSession, bgr: NDArray[np.uint8]) -> sv.Detections:
    """Return what the network finds in a picture of just its input's size."""
    pixels = bgr[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    answer = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(pixels)})[0][0]
    class_ids, scores = answer[4:].argmax(0), answer[4:].max(0)
    (cx, cy, w, h) = answer[:4]
    boxes = np.stack((cx - w / 2, cy - h / 2, w, h), 1)
    kept = np.asarray(cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), class_ids.tolist(), FLOOR, NMS_IOU))
    kept = kept.reshape(-1).astype(int)
    corners = np.concatenate((boxes[kept, :2], boxes[kept, :2] + boxes[kept, 2:]), 1)
    return sv.Detections(xyxy=corners, confidence=scores[kept], class_id=class_ids[kept])


def labelled(path: Path, width: int, height: int) -> sv.Detections:
    """Return what a label file names."""
    rows = np.loadtxt(path, ndmin=2).reshape(-1, 5)
    middle, size = rows[:, 1:3], rows[:, 3:5]
    boxes = np.concatenate((middle - size / 2, middle + size / 2), 1) * (width, height, width, height)
    return sv.Detections(xyxy=boxes, class_id=rows[:, 0].astype(int))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", type=Path, default=Path("engines/pcb-defects.onnx"))
    parser.add_argument("--limit", type=int, default=0)
    asked = parser.parse_args()
    labels = (asked.data / "classes.txt").read_text().split()
    names = (asked.data / f"{asked.split}.txt").read_text().split()
    session = ort.InferenceSession(str(asked.model), providers=["CPUExecutionProvider"])
    metric = MeanAveragePrecision()
    for name in names[: asked.limit or None]:
        bgr = cv2.imread(str(asked.data / name))
        assert bgr is not None, name
        truth = labelled(asked.data / "labels" / Path(name).with_suffix(".txt").name, bgr.shape[1], bgr.shape[0])
        metric.update(found(session, np.asarray(bgr, np.uint8)), truth)
    result = metric.compute()
    print(f"mAP50 {result.map50:.4f}  mAP50-95 {result.map50_95:.4f}  supervision {sv.__version__}")
    for class_id, each in zip(result.matched_classes, result.ap_per_class, strict=True):
        print(f"  {labels[int(class_id)]:10} AP50 {each[0]:.4f}  AP50-95 {each.mean():.4f}")


if __name__ == "__main__":
    main()
