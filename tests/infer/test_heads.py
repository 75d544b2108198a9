"""Each head against an example worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import spec_for

from streamer.core.errors import ConfigError
from streamer.infer.heads import Candidates, Head, open_head
from streamer.infer.heads.grid import STRIDES, cells, count_cells
from streamer.infer.heads.nms import MAX_KEPT, suppress

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The samples' input of 32 x 64 px has 4*8 + 2*4 + 1*2 = 42 cells.
SPEC = replace(spec_for("v8", 2, ("output0",)), labels=("cat", "dog"))


def head(name: str) -> Head:
    return open_head(replace(SPEC, head=name))


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def assert_is(found: Candidates, rows: list[tuple[list[float], float, int]]) -> None:
    """Compare with (x1 y1 x2 y2, score, class) rows, best first."""
    dtypes = [a.dtype.name for a in (found.boxes, found.scores, found.class_ids)]
    assert dtypes == ["float32", "float32", "int32"]
    assert found.class_ids.tolist() == [row[2] for row in rows]
    np.testing.assert_allclose(found.scores, [row[1] for row in rows], atol=1e-6)
    np.testing.assert_allclose(found.boxes, np.reshape([row[0] for row in rows], (-1, 4)), atol=1e-4)


def rows_of_v8() -> NDArray[np.float32]:
    """Three boxes in 42 rows: a cat, the same cat again a little worse, and a dog in the cat's place."""
    rows = np.zeros((42, 6), np.float32)
    rows[3] = [20, 10, 8, 4, 0.9, 0.1]
    rows[4] = [20, 10, 8, 5, 0.8, 0.1]  # IoU 32/40 = 0.8 with the first
    rows[9] = [20, 10, 8, 4, 0.3, 0.7]
    rows[10] = [50, 20, 8, 4, 0.24, 0.2]  # below the floor
    return rows


CAT = ([16.0, 8.0, 24.0, 12.0], 0.9, 0)
DOG = ([16.0, 8.0, 24.0, 12.0], 0.7, 1)


def test_v8_suppresses_within_a_class_only() -> None:
    output = rows_of_v8().T[np.newaxis]
    assert_is(head("v8")([output], 0.25, 0.5)[0], [CAT, DOG])


def test_v8_reads_its_transpose() -> None:
    assert_is(head("v8")([rows_of_v8()[np.newaxis]], 0.25, 0.5)[0], [CAT, DOG])


def test_v8_answers_for_each_picture_of_a_batch() -> None:
    full = rows_of_v8().T
    found = head("v8")([np.stack((np.zeros_like(full), full))], 0.25, 0.5)
    assert_is(found[0], [])
    assert_is(found[1], [CAT, DOG])


def test_v8_keeps_overlapping_boxes_below_the_limit() -> None:
    found = head("v8")([rows_of_v8().T[np.newaxis]], 0.25, 0.85)[0]
    assert_is(found, [CAT, ([16, 7.5, 24, 12.5], 0.8, 0), DOG])


def test_v5_multiplies_objectness_and_class() -> None:
    rows = np.zeros((126, 7), np.float32)
    rows[0] = [20, 10, 8, 4, 0.9, 1.0, 0.1]
    rows[1] = [20, 10, 8, 5, 0.8, 0.9, 0.1]
    rows[2] = [20, 10, 8, 4, 0.7, 0.1, 1.0]
    rows[3] = [50, 20, 8, 4, 0.9, 0.2, 0.2]  # 0.18
    rows[4] = [50, 20, 8, 4, 0.2, 1.0, 1.0]  # 0.2
    assert_is(head("v5")([rows[np.newaxis]], 0.25, 0.5)[0], [CAT, DOG])
    assert_is(head("yolox-decoded")([rows[np.newaxis]], 0.25, 0.5)[0], [CAT, DOG])


def test_yolox_places_its_boxes_by_cell() -> None:
    rows = np.zeros((42, 7), np.float32)
    # Row 10 is the cell of column 2, row 1 at stride 8: (0.5 + 2) * 8 = 20, (0.25 + 1) * 8 = 10.
    rows[10] = [0.5, 0.25, np.log(1.0), np.log(0.5), 0.9, 1.0, 0.1]
    # Row 32 + 5 is column 1, row 1 at stride 16: (-0.5 + 1) * 16 = 8, (0 + 1) * 16 = 16.
    rows[37] = [-0.5, 0.0, np.log(0.5), np.log(2.0), 0.5, 0.1, 1.0]
    # Row 40 + 1 is column 1, row 0 at stride 32: (0.5 + 1) * 32 = 48, 0.5 * 32 = 16.
    rows[41] = [0.5, 0.5, 0.0, 0.0, 0.4, 1.0, 0.0]
    found = head("yolox")([rows[np.newaxis]], 0.25, 0.5)[0]
    assert_is(found, [CAT, ([4, 0, 12, 32], 0.5, 1), ([32, 0, 64, 32], 0.4, 0)])


def test_end2end_is_taken_as_it_is() -> None:
    rows = np.zeros((300, 6), np.float32)
    rows[0] = [16, 8, 24, 12, 0.7, 1]
    rows[1] = [16, 8, 24, 12, 0.9, 0]  # out of order
    rows[2] = [16, 8, 24, 12, 0.5, 1]  # overlaps: the network meant it
    rows[3] = [16, 8, 24, 12, 0.6, 2]  # no such class
    rows[4] = [-9, -9, 4, 4, 0.3, 0]  # outside: the way back clips it
    found = head("end2end")([rows[np.newaxis]], 0.25, 0.5)[0]
    assert_is(found, [CAT, DOG, (DOG[0], 0.5, 1), ([-9, -9, 4, 4], 0.3, 0)])


def test_end2end_padding_is_nothing_even_without_a_floor() -> None:
    assert_is(head("end2end")([np.zeros((1, 300, 6), np.float32)], 0.0, 0.5)[0], [])


def test_suppression_matches_the_plain_definition() -> None:
    rng = np.random.default_rng(11)
    for _ in range(50):
        corner = rng.uniform(-50, 100, (80, 2))
        given = np.concatenate((corner, corner + rng.uniform(5, 60, (80, 2))), axis=1).astype(np.float32)
        scores = rng.permutation(80).astype(np.float32) / 80 + np.float32(0.001)
        class_ids = rng.integers(0, 3, 80).astype(np.int32)
        found = suppress(given, scores, class_ids, iou=0.5)
        kept = _plainly_suppressed(given, scores, class_ids)
        np.testing.assert_array_equal(found.scores, scores[kept])
        np.testing.assert_array_equal(found.boxes, given[kept])
        np.testing.assert_array_equal(found.class_ids, class_ids[kept])


def _plainly_suppressed(
    given: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int32]
) -> list[int]:
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(class_ids[i] != class_ids[j] or _iou(given[i], given[j]) <= 0.5 for j in kept):
            kept.append(int(i))
    return kept


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, float(w)) * max(0.0, float(h))
    areas = sum(float((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b))
    return both / (areas - both)


def test_a_network_gone_mad_is_bounded() -> None:
    rng = np.random.default_rng(2)
    corner = rng.uniform(0, 1e4, (20_000, 2))
    given = np.concatenate((corner, corner + 1), axis=1).astype(np.float32)
    scores = rng.random(20_000, np.float32)
    found = suppress(given, scores, np.zeros(20_000, np.int32), iou=0.5)
    assert len(found) == MAX_KEPT
    assert found.scores[0] == scores.max()


def test_cells_count_as_the_reference_says() -> None:
    assert count_cells((640, 640), STRIDES) == 8400
    assert count_cells((416, 416), STRIDES) == 3549
    assert count_cells((416, 416), (8, 16, 32, 64)) == 3585
    xy, stride = cells((384, 640), STRIDES)
    assert len(xy) == len(stride) == count_cells((384, 640), STRIDES) == 5040
    assert xy[79].tolist() == [79, 0]
    assert xy[80].tolist() == [0, 1]


def test_an_unknown_head_names_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'v0'.*v8, yolox, yolox-decoded"):
        head("v0")


def test_two_boxes_apart_stay() -> None:
    found = suppress(
        boxes((0, 0, 10, 10), (20, 20, 30, 30)), np.array([0.4, 0.6], np.float32), np.zeros(2, np.int32), iou=0.5
    )
    assert found.boxes.tolist() == [[20, 20, 30, 30], [0, 0, 10, 10]]
