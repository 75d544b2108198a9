"""How good the doorway's weights are, measured through ONNX Runtime on doorways they have never seen."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
from doorway_samples import moment, weather
from shapes_samples import HELD_OUT, fit
from shapes_score import SCORE, Figures, Tally, decode

from streamer.capture.scenes.doorway import KINDS, Doorway

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SCORE", "measure"]


def measure(
    path: Path, *, size: tuple[int, int], jpeg: int | None, scenes: int = 50, pictures: int = 10
) -> dict[str, Figures]:
    """Compare the file's answers with the truth, for each kind; pictures of a size (w, h), as JPEG if asked for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tallies = {kind: Tally() for kind in KINDS}
    for seed in range(HELD_OUT, HELD_OUT + scenes):
        rng = np.random.default_rng(seed)
        scene = Doorway(seed, *size, weather=weather(rng))
        for _ in range(pictures):
            frame = scene.at(moment(rng, seed))
            bgr = frame.bgr
            if jpeg is not None:
                bgr = cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg])[1], cv2.IMREAD_COLOR)
            rgb, scale, left, top = fit(bgr)
            pixels = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]).astype(np.float32) / 255
            boxes, kinds = decode(session.run(None, {"images": pixels})[0][0])
            boxes = ((boxes - (left, top, left, top)) / scale).clip(0, (*size, *size))
            for number, kind in enumerate(KINDS):
                objects = tuple(thing for thing in frame.objects if thing.kind == kind)
                tallies[kind].add(boxes[kinds == number], kinds[kinds == number], objects, KINDS)
    return {kind: tally.figures() for kind, tally in tallies.items()}
