"""Outputs with axes of 1 that say nothing, or without the batch's: read like those that have the usual ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tiny_onnx import Output, write_tiny

from streamer.infer.catalogue import Catalogue
from streamer.infer.heads import open_head
from streamer.infer.recognise import load_spec
from streamer.infer.spec import SpecOptions, Task

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

SHAPE = (1, 3, 320, 320)
A = 2100  # cells of the grids of 320x320


def load(path: Path, task: Task | None = Task.DETECT, **said: Any) -> ModelSpec:  # noqa: ANN401  any option
    return load_spec(str(path), options=SpecOptions(**said), catalogue=Catalogue((), path.parent), task=task)


def zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((1, 84, A), None),
        ((1, 84, A, 1), (0, 1, 2)),
        ((1, 1, 84, A), (0, 2, 3)),
        ((84, A), (None, 0, 1)),
    ],
)
def test_rows_are_read_in_any_number_of_axes(
    tmp_path: Path, shape: tuple[int, ...], kept: tuple[int | None, ...] | None
) -> None:
    numbers = zeros(84, A)
    numbers[:4, 7], numbers[4 + 3, 7] = (100, 120, 40, 60), 0.9  # centre and size; class 3
    path = write_tiny(tmp_path / "v8.onnx", [Output("rows", numbers.reshape(shape))], shape=SHAPE)
    spec = load(path, labels="coco80", head="v8")
    assert (spec.head, spec.columns, spec.axes.get("rows")) == ("v8", 80, kept)
    found = open_head(spec)([numbers.reshape(shape)], 0.3, 0.5)[0]
    assert found.boxes.tolist() == [[80, 90, 120, 150]]
    assert found.class_ids.tolist() == [3]


def test_scores_with_an_axis_of_1_are_those_of_final_boxes(tmp_path: Path) -> None:
    outputs = [
        Output("boxes", zeros(1, 100, 1, 4)),
        Output("scores", zeros(1, 100, 1)),
        Output("labels", np.zeros((1, 100), np.int64)),
    ]
    spec = load(write_tiny(tmp_path / "nms.onnx", outputs, shape=SHAPE), labels="coco80", head="nms")
    assert spec.axes == {"boxes": (0, 1, 3), "scores": (0, 1)}


def test_rows_without_a_batch_are_a_detectors_and_one_row_is_a_classifiers(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "rows.onnx", [Output("rows", zeros(100, 6), open_axes=(0,))], shape=SHAPE)
    assert load(path, labels="coco80").axes == {"rows": (None, 0, 1)}
    path = write_tiny(tmp_path / "row.onnx", [Output("row", zeros(1, 6), open_axes=(0,))], shape=SHAPE)
    assert load(path, None, labels=tuple("abcdef"), look="torch", activation="none").task is Task.CLASSIFY


def test_detection_outputs_own_axes_of_1_stay(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "ssd.onnx", [Output("out", zeros(1, 1, 100, 7))], shape=SHAPE)
    assert load(path, labels="coco80", head="detection-output").axes == {}
