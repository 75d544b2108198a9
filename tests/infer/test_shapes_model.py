"""The shipped weights against the truth of scenes never trained on, by the runtime alone."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime
import pytest
import yaml

from streamer.capture.scenes.outlines import KINDS
from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneFrame

ENGINES = Path(__file__).resolve().parents[2] / "engines"
WEIGHTS = ENGINES / "shapes.onnx"
SCORE = 0.5
CLEAR = 0.6  # visible share from which a shape must be found

Found = list[tuple[tuple[float, ...], str]]  # box x1 y1 x2 y2 in px of the frame, and kind


@pytest.fixture(scope="module")
def sidecar() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ENGINES / "shapes.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(WEIGHTS), options, providers=["CPUExecutionProvider"])


def _find(session: onnxruntime.InferenceSession, bgr: NDArray[np.uint8]) -> Found:
    height, width = bgr.shape[:2]
    rows, columns = session.get_inputs()[0].shape[2:]
    scale = min(columns / width, rows / height)
    inner = round(width * scale), round(height * scale)
    left, top = (columns - inner[0]) // 2, (rows - inner[1]) // 2
    canvas = np.full((rows, columns, 3), 114, np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(bgr, inner)
    pixels = canvas[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    output = session.run(None, {session.get_inputs()[0].name: pixels})[0][0]
    scores, kinds = output[4:].max(axis=0), output[4:].argmax(axis=0)
    middle, extent = output[:2].T, output[2:4].T
    boxes = np.concatenate((middle - extent / 2, extent), axis=1)  # x y w h
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), kinds.tolist(), SCORE, 0.5)
    found = []
    for i in np.asarray(kept, np.intp).ravel():
        x, y, w, h = (boxes[i] - (left, top, 0, 0)) / scale
        found.append((tuple(np.clip((x, y, x + w, y + h), 0, (width, height) * 2)), KINDS[kinds[i]]))
    return found


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


class _Tally:
    """Truths, hits and false answers so far."""

    def __init__(self) -> None:
        self.truths = self.hits = self.answers = 0

    def add(self, found: Found, frame: SceneFrame) -> None:
        left = [o for o in frame.objects if o.visible >= CLEAR]
        self.truths += len(left)
        for box, kind in found:
            nearest = max(frame.objects, key=lambda o: _iou(box, o.box), default=None)
            if nearest is not None and _iou(box, nearest.box) > 0 and nearest.visible < CLEAR:
                continue  # neither right nor wrong: nobody could be sure of what hardly shows
            self.answers += 1
            same = [o for o in left if o.kind == kind and _iou(box, o.box) >= 0.5]
            if same:
                left.remove(max(same, key=lambda o: _iou(box, o.box)))
                self.hits += 1

    @property
    def recall(self) -> float:
        return self.hits / self.truths

    @property
    def precision(self) -> float:
        return self.hits / self.answers


def test_finds_what_is_there_in_scenes_never_seen(session: onnxruntime.InferenceSession, seed: int) -> None:
    seed += 1_000_000  # training uses the seeds below a million
    tally = _Tally()
    for size in ((640, 360), (1280, 720), (640, 480)):  # one tally: a hundred shapes alone would make luck count
        scene = Scene(seed, *size)
        for t_s in np.random.default_rng((seed, *size)).uniform(0, 600, 60):
            frame = scene.at(float(t_s))
            tally.add(_find(session, frame.bgr), frame)
    said = f"seed {seed}: {tally.truths} shapes, recall {tally.recall:.3f}, precision {tally.precision:.3f}"
    assert tally.truths > 150, said
    assert tally.recall >= 0.95, said
    assert tally.precision >= 0.95, said


def test_an_empty_scene_holds_nothing(session: onnxruntime.InferenceSession) -> None:
    assert all(_find(session, Scene(2_000_000 + i, 640, 360).at(0.0).bgr) == [] for i in range(10))


def test_a_batch_gives_what_its_pictures_give(session: onnxruntime.InferenceSession) -> None:
    rows, columns = session.get_inputs()[0].shape[2:]
    pixels = np.random.default_rng(1).random((2, 3, rows, columns), np.float32)
    both = session.run(None, {"images": pixels})[0]
    alone = [session.run(None, {"images": pixels[i : i + 1]})[0][0] for i in range(2)]
    assert np.allclose(both, alone, rtol=1e-3, atol=1e-3)


def test_the_layout_is_that_of_yolov8(session: onnxruntime.InferenceSession) -> None:
    rows, columns = session.get_inputs()[0].shape[2:]
    cells = sum((rows // stride) * (columns // stride) for stride in (8, 16, 32))
    assert session.get_outputs()[0].shape[1:] == [4 + len(KINDS), cells]


def test_the_file_describes_itself(session: onnxruntime.InferenceSession) -> None:
    facts = session.get_modelmeta().custom_metadata_map
    assert ast.literal_eval(facts["names"]) == dict(enumerate(KINDS))
    assert ast.literal_eval(facts["imgsz"]) == session.get_inputs()[0].shape[2:]
    assert (facts["task"], facts["stride"]) == ("detect", "32")


def test_the_sidecar_tells_the_truth(session: onnxruntime.InferenceSession, sidecar: dict[str, Any]) -> None:
    data = WEIGHTS.read_bytes()
    assert sidecar["sha256"] == hashlib.sha256(data).hexdigest()
    assert sidecar["bytes"] == len(data) < 400_000
    assert sidecar["labels"] == list(KINDS)
    assert sidecar["size"] == session.get_inputs()[0].shape[2:]
    assert sidecar["scale"] == "1/255"
