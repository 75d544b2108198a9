"""Heads find the same in what was picked on the GPU as in the whole output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from trt_engines import input_of, open_built, spec_of
from trt_networks import CHANNELS, SIDE, write_rows

from streamer.capture.scenes.shapes import Scene
from streamer.infer.backends.base import IN_FLIGHT, BackendOptions
from streamer.infer.backends.onnxruntime import open_onnxruntime
from streamer.infer.backends.tensorrt import picked
from streamer.infer.canvas import open_canvases
from streamer.infer.heads import open_head
from streamer.infer.picking import pick_of
from streamer.infer.recognise import load_spec
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from nvidia import FakeGpu
    from trt_engines import Opened

    from streamer.infer.heads import Candidates
    from streamer.infer.spec import ModelSpec

pytestmark = pytest.mark.usefixtures("fake_gpu")

FLOOR, IOU = 0.4, 0.5
CELLS = 525  # of strides 8, 16 and 32 over 160 x 160
MOST = 200  # kept here, so that networks this small have more


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picked, "MOST", MOST)


def both(folder: Path, spec: ModelSpec) -> tuple[Opened, Opened]:
    """The same engine twice: whole, and picked."""
    pick = pick_of(spec, FLOOR)
    assert pick is not None
    return open_built(folder / "whole", spec), open_built(folder / "picked", spec, pick=pick)


def answer(opened: Opened, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = opened.backend.collect(opened.backend.submit(batch))[0].copy()
    return output


def check_equal(found: list[Candidates], wanted: list[Candidates]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)


def drawn(seed: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("head", "major", "classes"),
    [("v8", False, 2), ("v8", True, 2), ("v5", True, 1), ("yolox-decoded", True, 1), ("yolox", True, 1)],
)
def test_the_head_finds_the_same(tmp_path: Path, fake_gpu: FakeGpu, head: str, major: bool, classes: int) -> None:  # noqa: FBT001  a parameter
    path = write_rows(tmp_path / "rows.onnx", anchors=CELLS, anchor_major=major, power=12.0 if head == "v8" else 3.0)
    spec = spec_of(path, input_of((SIDE, SIDE), 3), ("out",), head=head, classes=classes)
    whole, less = both(tmp_path, spec)
    read = open_head(spec)
    seen = 0
    for seed in range(8):
        batch = drawn(seed, 1 + seed % 3)
        batch[0, : SIDE * seed // 8] //= 2  # some see little
        everything, some = answer(whole, batch), answer(less, batch)
        assert (some.shape == everything.shape) is (head == "yolox")  # its anchors keep their places
        wanted = read([everything], FLOOR, IOU)
        check_equal(read([some], FLOOR, IOU), wanted)
        seen += sum(map(len, wanted))
    assert seen > 50
    assert less.backend.whole_batches == 0
    assert "pick_gather" in fake_gpu.machine.launches
    whole.backend.close()
    less.backend.close()


def test_nothing_seen_is_nothing_found(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.onnx", anchors=CELLS, anchor_major=False)
    spec = spec_of(path, input_of((SIDE, SIDE), 2), ("out",))
    whole, less = both(tmp_path, spec)
    for batch in (drawn(1, 2), np.zeros((1, SIDE, SIDE, 3), np.uint8)):
        batch[:] //= 8
        check_equal(
            open_head(spec)([answer(less, batch)], FLOOR, IOU), open_head(spec)([answer(whole, batch)], FLOOR, IOU)
        )
    whole.backend.close()
    less.backend.close()


def test_a_crowd_comes_whole_while_other_batches_are_computed(tmp_path: Path) -> None:
    """Its slot's output is nobody else's, so it is still there when the count is known."""
    path = write_rows(tmp_path / "rows.onnx", anchors=CELLS, anchor_major=False, power=0.5)
    spec = spec_of(path, input_of((SIDE, SIDE), 2), ("out",))
    whole, less = both(tmp_path, spec)
    for round_ in range(3):
        batches = [drawn(10 * round_ + i, 1 + i % 2) // (1, 16, 1)[i] for i in range(IN_FLIGHT)]
        tickets = [less.backend.submit(batch) for batch in batches]
        for ticket, batch in zip(tickets, batches, strict=True):
            (some,) = less.backend.collect(ticket)
            check_equal(open_head(spec)([some], FLOOR, IOU), open_head(spec)([answer(whole, batch)], FLOOR, IOU))
    assert less.backend.whole_batches == 6
    whole.backend.close()
    less.backend.close()


@pytest.mark.parametrize("head", ["v8", "yolox"])
def test_more_than_is_kept_comes_whole_and_is_counted_and_said_once(
    tmp_path: Path, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    major = head == "yolox"
    path = write_rows(tmp_path / "rows.onnx", anchors=CELLS, anchor_major=major, power=0.5)
    spec = spec_of(path, input_of((SIDE, SIDE), 2), ("out",), head=head, classes=1 if major else 2)
    whole, less = both(tmp_path, spec)
    quiet = drawn(9, 1) // 16
    for batch in (drawn(1, 2), quiet, drawn(2, 1), quiet):
        everything, some = answer(whole, batch), answer(less, batch)
        check_equal(open_head(spec)([some], FLOOR, IOU), open_head(spec)([everything], FLOOR, IOU))
    assert less.backend.whole_batches == 2
    assert len([r for r in caplog.records if "all is copied then" in r.message]) == 1
    whole.backend.close()
    less.backend.close()


def test_a_picked_axis_is_never_as_long_as_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A v8 head tells anchors from channels by their lengths."""
    monkeypatch.setattr(picked, "MOST", CHANNELS)
    path = write_rows(tmp_path / "rows.onnx", anchors=CELLS, anchor_major=True, power=60.0)
    spec = spec_of(path, input_of((SIDE, SIDE), 1), ("out",))
    whole, less = both(tmp_path, spec)
    batch = drawn(3, 1)
    batch[0, 8:] = 0
    some = answer(less, batch)
    assert some.shape == (1, CHANNELS + 1, CHANNELS)
    check_equal(open_head(spec)([some], FLOOR, IOU), open_head(spec)([answer(whole, batch)], FLOOR, IOU))
    whole.backend.close()
    less.backend.close()


def test_the_shipped_network_sees_the_same_picked_whole_and_on_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picked, "MOST", 64)
    spec = load_spec("shapes")
    whole, less = both(tmp_path, spec)
    options = BackendOptions(precision="f32", latency=False, threads=1, on_ready=lambda: None)
    exact = open_onnxruntime(str(spec.path), spec.input, spec.output_names, options)
    canvases, read = open_canvases(spec.input), open_head(spec)
    seen = 0
    scene = Scene(seed=5, width=640, height=360)
    for second in (3.0, 9.0, 15.0, 21.0, 27.0):
        batch, _ = canvases.fill([picture_of_bgr(scene.at(second).bgr)])
        everything = answer(whole, batch)
        wanted = read([everything], FLOOR, IOU)
        check_equal(read([answer(less, batch)], FLOOR, IOU), wanted)
        np.testing.assert_allclose(everything, exact.collect(exact.submit(batch))[0], rtol=1e-4, atol=1e-3)
        seen += sum(map(len, wanted))
    assert seen >= 5
    for backend in (exact, whole.backend, less.backend):
        backend.close()
