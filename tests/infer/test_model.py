from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.errors import BackendError, ConfigError
from streamer.core.frame import Picture, PixelFormat
from streamer.infer.backends.base import IN_FLIGHT
from streamer.infer.backends.fake import FakeBackend, Faults, from_script
from streamer.infer.heads import Candidates
from streamer.infer.model import Model, open_model
from streamer.infer.spec import ColorOrder, Fit, InputSpec, ModelSpec, Task
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

HW = (64, 64)


def spec_of(*, fit: Fit = Fit.LETTERBOX, max_batch: int = 1, path: Path = Path("script.npz")) -> ModelSpec:
    return ModelSpec(
        name="small",
        path=path,
        digest="sha256:" + "0" * 64,
        task=Task.DETECT,
        head="end2end",
        labels=("a", "b", "c"),
        input=InputSpec(
            name="images",
            hw=HW,
            color=ColorOrder.RGB,
            scale=1 / 255,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            fit=fit,
            pad=114,
            layout="nchw",
            dtype="float32",
            max_batch=max_batch,
        ),
        output_names=("output0",),
        decided_by="options",
    )


def rows_head(outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
    """A head whose network answers (B, N, 6) rows: box, score, class."""
    del iou
    found = []
    for rows in outputs[0]:
        kept = rows[rows[:, 4] >= floor]
        found.append(Candidates(boxes=kept[:, :4], scores=kept[:, 4], class_ids=kept[:, 5].astype(np.int32)))
    return found


def script(*frames: list[list[float]]) -> NDArray[np.float32]:
    return np.array(frames, np.float32).reshape(len(frames), -1, 6)


def fake(spec: ModelSpec, *frames: list[list[float]]) -> FakeBackend:
    answer = from_script((script(*frames),))
    return FakeBackend(answer, input_spec=spec.input, on_ready=lambda: None, limit_s=5.0)


def model_of(spec: ModelSpec, *frames: list[list[float]], floor: float = 0.25) -> Model:
    return Model(spec, fake(spec, *frames), rows_head, floor=floor, iou=0.5)


def grey(h: int, w: int, level: int = 128) -> Picture:
    return picture_of_bgr(np.full((h, w, 3), level, np.uint8))


@pytest.fixture
def model() -> Iterator[Model]:
    it = model_of(spec_of(), [[0, 14, 64, 50, 0.9, 2], [10, 20, 20, 30, 0.5, 0], [1, 20, 2, 30, 0.2, 1]])
    yield it
    it.close()


def test_boxes_come_back_in_pixels_of_the_frame(model: Model) -> None:
    (found,) = model.collect(model.submit([grey(360, 640)]))
    np.testing.assert_allclose(found.boxes, [[0, 0, 640, 360], [100, 60, 200, 160]], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.class_ids.tolist() == [2, 0]


def test_boxes_in_the_padding_alone_are_nothing() -> None:
    model = model_of(spec_of(), [[0, 0, 64, 10, 0.9, 1], [0, 5, 64, 20, 0.8, 1]])
    (found,) = model.collect(model.submit([grey(360, 640)]))
    np.testing.assert_allclose(found.boxes, [[0, 0, 640, 60]], atol=1e-3)
    model.close()


def test_a_fixed_batch_is_filled_up_and_answered_for_the_pictures_alone() -> None:
    spec = spec_of(max_batch=4)
    spec = replace(spec, input=replace(spec.input, fixed_batch=True))
    model = model_of(
        spec, [[0, 14, 64, 50, 0.9, 2]], [[10, 20, 20, 30, 0.5, 0]], [[0, 0, 9, 9, 0.9, 1]], [[0, 0, 9, 9, 0.1, 1]]
    )
    found = model.collect(model.submit([grey(360, 640), grey(64, 64)]))
    assert [len(one) for one in found] == [1, 1]
    np.testing.assert_allclose(found[1].boxes, [[10, 20, 20, 30]], atol=1e-3)
    model.close()


def test_nothing_found_is_nothing() -> None:
    model = model_of(spec_of(), [[0, 0, 9, 9, 0.1, 1]])
    (found,) = model.collect(model.submit([grey(20, 30)]))
    assert len(found) == 0
    model.close()


def test_two_in_flight_each_with_its_own_frame_size() -> None:
    model = model_of(spec_of(fit=Fit.STRETCH), [[0, 0, 64, 64, 0.9, 0]], [[0, 0, 32, 32, 0.8, 1]])
    for _ in range(10):
        tickets = [model.submit([grey(100, 200)]), model.submit([grey(64, 128)])]
        (first,), (second,) = (model.collect(ticket) for ticket in tickets)
        np.testing.assert_allclose(first.boxes, [[0, 0, 200, 100]], atol=1e-3)
        np.testing.assert_allclose(second.boxes, [[0, 0, 64, 32]], atol=1e-3)
    model.close()


def test_a_batch_is_answered_picture_by_picture() -> None:
    model = model_of(
        spec_of(fit=Fit.STRETCH, max_batch=3),
        [[0, 0, 64, 64, 0.9, 0]],
        [[0, 0, 64, 64, 0.8, 1]],
        [[0, 0, 64, 64, 0.7, 2]],
    )
    found = model.collect(model.submit([grey(10, 20), grey(30, 40), grey(50, 60)]))
    assert [d.class_ids.tolist() for d in found] == [[0], [1], [2]]
    assert [d.boxes[0].tolist() for d in found] == [[0, 0, 20, 10], [0, 0, 40, 30], [0, 0, 60, 50]]
    model.close()


def test_the_network_sees_the_picture() -> None:
    seen = []

    def look(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        seen.append(batch.copy())
        return (np.zeros((len(batch), 0, 6), np.float32),)

    spec = spec_of()
    model = Model(spec, FakeBackend(look, input_spec=spec.input, on_ready=lambda: None), rows_head, floor=0.1, iou=0.5)
    red = Picture(format=PixelFormat.BGR, planes=(np.full((9, 16, 3), (0, 0, 255), np.uint8),), width=16, height=9)
    model.collect(model.submit([red]))
    assert seen[0].shape == (1, 64, 64, 3)
    assert seen[0][0, 32, 32].tolist() == [255, 0, 0]  # RGB
    assert seen[0][0, 0, 0].tolist() == [114, 114, 114]
    model.close()


def test_samples_are_shown_with_the_canvas_they_were_found_on() -> None:
    model = model_of(spec_of(), [[0, 0, 64, 64, 0.9, 0]], [[0, 0, 64, 64, 0.0, 0]])
    shown = []
    tickets = [model.submit([grey(64, 64, 10)]), model.submit([grey(64, 64, 20)])]
    model.sample = lambda canvas, found: shown.append((int(canvas()[0, 0, 0]), len(found)))
    for ticket in tickets:
        model.collect(ticket)
    assert shown == [(10, 1), (20, 0)]
    model.close()


def test_a_canvas_is_not_drawn_anew_while_the_backend_reads_it() -> None:
    spec = spec_of(fit=Fit.STRETCH)
    seen: list[int] = []

    def look(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        seen.append(int(batch[0, 0, 0, 0]))
        return (np.zeros((len(batch), 0, 6), np.float32),)

    faults = Faults()
    faults.go.clear()
    backend = FakeBackend(look, input_spec=spec.input, on_ready=lambda: None, faults=faults, limit_s=5.0)
    model = Model(spec, backend, rows_head, floor=0.1, iou=0.5)
    tickets = [model.submit([grey(64, 64, level)]) for level in range(10, 10 + IN_FLIGHT)]
    with pytest.raises(ValueError, match=f"{IN_FLIGHT} batches are in flight: collect one first"):
        model.submit([grey(64, 64, 99)])
    faults.go.set()
    for ticket in tickets:
        model.collect(ticket)
    model.collect(model.submit([grey(64, 64, 99)]))
    assert seen == [*range(10, 10 + IN_FLIGHT), 99]
    model.close()


def test_a_swap_changes_the_answer_and_the_ref_and_closes_the_old_one() -> None:
    spec = spec_of(fit=Fit.STRETCH)
    old, new = fake(spec, [[0, 0, 64, 64, 0.9, 0]]), fake(spec, [[0, 0, 64, 64, 0.9, 2]])
    new.precision = "bf16"
    model = Model(spec, old, rows_head, floor=0.25, iou=0.5)
    ticket = model.submit([grey(64, 64)])
    with pytest.raises(BackendError, match="1 batches in flight"):
        model.swap(new)
    assert model.collect(ticket)[0].class_ids.tolist() == [0]
    assert model.ref.precision == "f32"
    model.swap(new)
    assert model.collect(model.submit([grey(64, 64)]))[0].class_ids.tolist() == [2]
    assert (model.ref.name, model.ref.backend, model.ref.precision) == ("small", "fake", "bf16")
    with pytest.raises(BackendError, match="closed"):
        old.submit(np.zeros((1, 64, 64, 3), np.uint8))
    model.close()


def test_a_failure_of_the_runtime_reaches_the_caller(model: Model) -> None:
    backend = model._backend
    assert isinstance(backend, FakeBackend)
    backend.faults.failing = "fake: the device is gone"
    with pytest.raises(BackendError, match="the device is gone"):
        model.collect(model.submit([grey(10, 10)]))
    backend.faults.failing = ""
    assert len(model.collect(model.submit([grey(10, 10)]))[0]) == 2


def test_closing_again_does_nothing(model: Model) -> None:
    model.submit([grey(10, 10)])
    model.close()
    model.close()
    with pytest.raises(BackendError, match="closed"):
        model.submit([grey(10, 10)])


@settings(max_examples=60)
@given(
    hw=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    fit=st.sampled_from(Fit),
    boxes=st.lists(st.tuples(*[st.floats(-100, 164, width=32)] * 4), max_size=20),
)
def test_detections_are_always_within_their_frame(
    hw: tuple[int, int], fit: Fit, boxes: list[tuple[float, float, float, float]]
) -> None:
    rows = [[min(x), min(y), max(x), max(y), 0.9, 0] for a, b, c, d in boxes for x, y in [((a, c), (b, d))]]
    model = model_of(spec_of(fit=fit), rows)
    (found,) = model.collect(model.submit([grey(*hw)]))
    model.close()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, [0, 2]] <= hw[1]).all()
    assert (found.boxes[:, [1, 3]] <= hw[0]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


def test_a_script_is_opened_like_a_network(tmp_path: Path) -> None:
    path = tmp_path / "script.npz"
    np.savez(path, output0=script([[0, 0, 64, 64, 0.9, 1]], [[0, 0, 64, 64, 0.7, 2]]))
    model = open_model(
        spec_of(fit=Fit.STRETCH, path=path),
        backend="fake",
        precision="auto",
        latency=True,
        floor=0.25,
        iou=0.5,
        on_ready=lambda: None,
    )
    found = [model.collect(model.submit([grey(8, 8)]))[0].class_ids.tolist() for _ in range(3)]
    assert found == [[1], [2], [1]]
    model.close()


def test_a_head_that_is_not_known_opens_nothing(tmp_path: Path) -> None:

    spec = replace(spec_of(path=tmp_path / "none.onnx"), head="v99")
    with pytest.raises(ConfigError, match="v99"):
        open_model(
            spec, backend="onnxruntime", precision="f32", latency=True, floor=0.25, iou=0.5, on_ready=lambda: None
        )
