"""Picking on the GPU: the heads find in what was picked exactly what they find in the whole output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from host_gpu import STREAM, HostGpu
from host_kernels import host_library
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.cuda import pick
from streamer.cuda.pick import Layout, Picker
from streamer.infer.heads.v5 import V5Head
from streamer.infer.heads.v8 import V8Head
from streamer.infer.heads.yolox import YoloxHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.infer.heads.base import Candidates, Head

    Output = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def _host_kernels() -> Iterator[None]:
    host_library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pick, "kernel_image", lambda _info: b"")
        yield


@dataclass(frozen=True)
class Picked:
    values: Output  # (B, C, most) or (B, most, C)
    indices: NDArray[np.int32]  # (B, most)
    counts: list[int]


def picked_of(output: Output, layout: Layout, *, floor: float, most: int = 512, backwards: bool = False) -> Picked:
    gpu = HostGpu(backwards=backwards)
    picker = Picker(gpu.gpu, layout, floor=floor, most=most, max_batch=len(output))
    before = gpu.put(output)
    picker.enqueue(before, len(output), STREAM)
    values = gpu.read(picker.picked, (len(output), *picker.shape), np.float32)
    indices = gpu.read(picker.indices, (len(output), picker.most), np.int32)
    counts = gpu.read(picker.counts, (len(output),), np.int32)
    assert np.array_equal(gpu.read(before, output.shape, np.uint32), output.view(np.uint32))  # it is only read
    gpu.close()  # looks whether anything was written beside the memory that was asked for
    return Picked(values, indices, counts.tolist())


def in_numpy(output: Output, layout: Layout, floor: float) -> list[NDArray[np.intp]]:
    """Return which anchors of each picture reach the floor, by numpy's own NaN rules."""
    rows = output if layout.anchor_major else output.transpose(0, 2, 1)
    best = rows[..., layout.first_class :].max(axis=-1)
    score = rows[..., 4] * best if layout.objectness else best
    passed = score >= np.float32(floor)
    if layout.objectness:
        passed &= rows[..., 4] >= np.float32(floor)
    return [np.flatnonzero(row) for row in passed]


def assert_same(found: Sequence[Candidates], expected: Sequence[Candidates]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a.boxes, b.boxes)
        assert np.array_equal(a.scores, b.scores)
        assert np.array_equal(a.class_ids, b.class_ids)


def noise(rng: np.random.Generator, layout: Layout, pictures: int, share: float) -> Output:
    """Boxes in px, and about `share` of the anchors likely; the others nothing."""
    rows = np.zeros((pictures, layout.anchors, layout.channels), np.float32)
    rows[..., :2] = rng.uniform(0, 640, (*rows.shape[:2], 2))
    rows[..., 2:4] = rng.uniform(1, 200, (*rows.shape[:2], 2))
    rows[..., 4:] = rng.uniform(0, 1, (*rows.shape[:2], layout.channels - 4))
    rows[..., 4:] *= rng.uniform(0, 1, rows.shape[:2])[..., None] < share
    return rows if layout.anchor_major else np.ascontiguousarray(rows.transpose(0, 2, 1))


def spoil(rng: np.random.Generator, output: Output) -> None:
    """Put NaN, infinities, ties and numbers that no probability has in some places."""
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1.0, 1.0, 0.25, 0.25, np.nextafter(np.float32(0.25), 0), 1e30, -3])
    places = rng.random(output.shape) < 0.02
    output[places] = rng.choice(odd, int(places.sum())).astype(np.float32)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["v8", "v8-transposed", "v5"]),
    classes=st.integers(1, 40),
    anchors=st.one_of(st.integers(1, 70), st.integers(71, 700)),
    pictures=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    odd=st.booleans(),
    most=st.sampled_from([1, 7, 64, 512]),
)
def test_heads_find_the_same(
    *, seed: int, kind: str, classes: int, anchors: int, pictures: int, share: float, odd: bool, most: int
) -> None:
    rng = np.random.default_rng(seed)
    floor, objectness = 0.25, kind == "v5"
    first = 5 if objectness else 4
    layout = Layout(
        channels=first + classes, anchors=anchors, anchor_major=kind != "v8", objectness=objectness, first_class=first
    )
    output = noise(rng, layout, pictures, share)
    if odd:
        spoil(rng, output)
    found = picked_of(output, layout, floor=floor, most=most)
    rows = output if layout.anchor_major else output.transpose(0, 2, 1)
    kept = found.values if layout.anchor_major else found.values.transpose(0, 2, 1)
    most = kept.shape[1]  # one more than asked for where heads would mix up the axes
    head: Head = V5Head() if objectness else V8Head(classes)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = in_numpy(output, layout, floor)
    for picture, anchors_in in enumerate(expected):
        assert found.counts[picture] == len(anchors_in)
        fits = min(len(anchors_in), most)
        kept_rows = np.ascontiguousarray(kept[picture, :fits]).view(np.uint32)  # bit for bit, NaN too
        assert np.array_equal(kept_rows, np.ascontiguousarray(rows[picture][anchors_in[:fits]]).view(np.uint32))
        assert not kept[picture, fits:].any()
        assert found.indices[picture].tolist() == [*anchors_in[:fits].tolist(), *[-1] * (most - fits)]
        if len(anchors_in) <= most and (kind != "v8-transposed" or anchors != layout.channels):
            whole = head([output[picture : picture + 1]], floor, 0.5)
            assert_same(head([found.values[picture : picture + 1]], floor, 0.5), whole)


def _v8(anchors: int, classes: int = 3) -> Layout:
    return Layout(channels=4 + classes, anchors=anchors, anchor_major=False, objectness=False, first_class=4)


def test_a_network_of_usual_size() -> None:
    rng = np.random.default_rng(1)
    layout = _v8(8400, 80)
    output = noise(rng, layout, 2, 0.03)
    found = picked_of(output, layout, floor=0.25)
    assert min(found.counts) > 100
    head = V8Head(80)
    assert_same(head([found.values], 0.25, 0.5), head([output], 0.25, 0.5))


@pytest.mark.parametrize("most", [99, 100, 101])
def test_of_too_many_the_first_are_kept_and_all_are_counted(most: int) -> None:
    layout = _v8(100)
    output = np.ones((1, layout.channels, 100), np.float32)
    output[0, 0] = np.arange(100)
    found = picked_of(output, layout, floor=0.5, most=most)
    assert found.counts == [100]
    assert found.values[0, 0, :100].tolist() == [*range(min(most, 100))]


def test_a_score_of_just_the_floor_passes_and_of_just_less_does_not() -> None:
    layout = _v8(2, 1)
    for floor in (0.25, 0.3, 0.1, 1e-3):
        at = np.float32(floor)
        output = np.ones((1, 5, 2), np.float32)
        output[0, 4] = at, np.nextafter(at, np.float32(0))
        assert picked_of(output, layout, floor=floor).counts == [1]
        assert len(V8Head(1)([output], floor, 1.0)[0]) == 1  # the head says so too


def test_an_objectness_of_just_the_floor_passes_with_a_sure_class() -> None:
    layout = Layout(channels=6, anchors=2, anchor_major=True, objectness=True, first_class=5)
    rows = np.ones((1, 2, 6), np.float32)
    rows[0, :, 4] = 0.25, np.nextafter(np.float32(0.25), np.float32(0))
    rows[0, 1, 5] = 1.01  # the product passes, the objectness does not
    assert picked_of(rows, layout, floor=0.25).counts == [1]
    assert len(V5Head()([rows], 0.25, 1.0)[0]) == 1  # the head says so too


def test_nan_never_passes() -> None:
    layout = Layout(channels=7, anchors=4, anchor_major=True, objectness=True, first_class=5)
    rows = np.ones((1, 4, 7), np.float32)
    rows[0, 0, 4] = rows[0, 1, 5] = rows[0, 2, 6] = np.nan
    assert picked_of(rows, layout, floor=0.1).counts == [1]


def test_the_order_in_which_threads_run_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    for major in (False, True):
        layout = Layout(channels=9, anchors=333, anchor_major=major, objectness=True, first_class=5)
        output = noise(rng, layout, 2, 0.3)
        first, second = (picked_of(output, layout, floor=0.2, most=40, backwards=b) for b in (False, True))
        assert first.counts == second.counts
        assert np.array_equal(first.values, second.values)


def test_an_anchor_major_head_can_still_tell_its_axes_apart() -> None:
    layout = Layout(channels=12, anchors=50, anchor_major=True, objectness=False, first_class=4)
    rng = np.random.default_rng(7)
    output = noise(rng, layout, 1, 0.1)
    found = picked_of(output, layout, floor=0.25, most=12)
    assert found.values.shape == (1, 13, 12)
    head = V8Head(8)
    assert_same(head([found.values], 0.25, 0.5), head([output], 0.25, 0.5))


@pytest.mark.parametrize("hw", [(96, 160), (416, 416)])
def test_rows_put_back_at_their_anchors_are_what_a_head_of_cells_reads(hw: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    cells = sum((hw[0] // s) * (hw[1] // s) for s in (8, 16, 32))
    layout = Layout(channels=10, anchors=cells, anchor_major=True, objectness=True, first_class=5)
    output = noise(rng, layout, 2, 0.05)
    output[..., :2] = rng.uniform(-1, 2, output[..., :2].shape)
    output[..., 2:4] = rng.uniform(-2, 3, output[..., 2:4].shape)
    output[0, :6, 2] = 1e9, np.nan, -np.inf, np.inf, 200, -200  # logarithms of no box
    found = picked_of(output, layout, floor=0.3)
    whole = np.zeros_like(output)
    for picture, count in enumerate(found.counts):
        assert count > 5
        whole[picture, found.indices[picture, :count]] = found.values[picture, :count]
    head = YoloxHead(hw)
    assert_same(head([whole], 0.3, 0.5), head([output], 0.3, 0.5))


@pytest.mark.parametrize(
    "wrong", [{"channels": 4}, {"first_class": 3}, {"anchors": 0}, {"objectness": True}, {"first_class": 9}]
)
def test_a_layout_without_a_class_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"channels": 9, "anchors": 10, "anchor_major": True, "objectness": False, "first_class": 4}
    Layout(**right)
    with pytest.raises(ValueError, match="no class lies in"):
        Layout(**{**right, **wrong})


@pytest.mark.parametrize("wrong", [{"floor": 0.0}, {"floor": float("nan")}, {"most": 0}, {"max_batch": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Picker(HostGpu().gpu, _v8(10), **{"floor": 0.5, "max_batch": 1, **wrong})


def test_too_many_pictures_are_refused() -> None:
    picker = Picker(HostGpu().gpu, _v8(10), floor=0.5, max_batch=2)
    for pictures in (0, 3):
        with pytest.raises(ValueError, match=r"expected 1\.\.2"):
            picker.enqueue(256, pictures, STREAM)
