"""Pictures in a GPU's memory on their way into a network: drawn there, or copied to the CPU where nobody draws them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from device_pictures import freed, uploaded
from trt_engines import input_of, open_built

from streamer.capture.scenes.shapes import Scene
from streamer.core.frame import Picture, PixelFormat
from streamer.infer.agreement import iou_of
from streamer.infer.backends.base import Ticket
from streamer.infer.catalogue import open_catalogue
from streamer.infer.heads import Candidates, open_head
from streamer.infer.model import Model
from streamer.infer.picking import pick_of
from streamer.infer.recognise.load import load_spec
from streamer.infer.spec import ModelSpec, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.core.frame import AnyPicture, DevicePicture
    from streamer.core.results import Detections
    from streamer.pixels.fit import Placement


SPEC = ModelSpec(
    name="small",
    path=Path("small.onnx"),
    digest="sha256:" + "0" * 64,
    task=Task.DETECT,
    head="end2end",
    labels=("a", "b", "c"),
    input=input_of((64, 64), max_batch=2),
    output_names=("output0",),
    decided_by="options",
)


def nothing(outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
    """A head that sees nothing in any picture."""
    del floor, iou
    one = Candidates(
        boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int32)
    )
    return [one] * len(outputs[0])


def model_of(backend: Watched) -> Model:
    return Model(SPEC, backend, nothing, floor=0.1, iou=0.5)


def nv12_of(bgr: NDArray[np.uint8]) -> Picture:
    h, w = bgr.shape[:2]
    packed = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    u, v = (packed[h * w :].reshape(2, h // 2, w // 2)[n] for n in (0, 1))
    planes = packed[: h * w].reshape(h, w), np.stack([u, v], axis=2)
    return Picture(format=PixelFormat.NV12, planes=planes, width=w, height=h)


def scene(number: int, w: int = 320, h: int = 180) -> Picture:
    return nv12_of(Scene(5, w, h).at(2.0 + number / 5).bgr)


class Watched:
    """A backend that says what it was given; `Drawing` can draw pictures of a GPU."""

    def __init__(self) -> None:
        self.batches: list[NDArray[np.uint8]] = []
        self.kind, self.precision = "watched", "f32"

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        self.batches.append(batch.copy())
        return Ticket(0)

    def ready(self, _: Ticket) -> bool:
        return True

    def collect(self, _: Ticket) -> tuple[NDArray[np.float32], ...]:
        return (np.zeros((2, 0, 6), np.float32),)

    def close(self) -> None:
        """Nothing is open."""


class Drawing(Watched):
    """One that draws."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[list[AnyPicture], list[Placement]]] = []

    def submit_pictures(
        self, pictures: Sequence[AnyPicture], placements: Sequence[Placement], canvases: NDArray[np.uint8]
    ) -> Ticket:
        self.given.append((list(pictures), list(placements)))
        return self.submit(canvases)


@pytest.fixture
def pair(fake_gpu: FakeGpu) -> Iterator[tuple[Picture, DevicePicture]]:
    here = scene(0)
    there = uploaded(here, fake_gpu)
    yield here, there
    freed(there, fake_gpu)


def test_a_backend_that_cant_draw_sees_the_canvas_of_the_same_picture(pair: tuple[Picture, DevicePicture]) -> None:
    here, there = pair
    backend = Watched()
    model = model_of(backend)
    model.collect(model.submit([here, there]))
    first, second = backend.batches[0]
    assert np.array_equal(first, second)
    model.close()


def test_one_that_draws_is_given_the_picture_and_its_place(pair: tuple[Picture, DevicePicture]) -> None:
    here, there = pair
    backend = Drawing()
    model = model_of(backend)
    ticket = model.submit([there, here])
    (pictures, placements), (canvases,) = backend.given[0], backend.batches
    assert pictures == [there, here]
    assert placements[0] == placements[1] == ticket.placements[0]
    assert (canvases[0] == SPEC.input.pad).all()  # not drawn
    assert len(np.unique(canvases[1])) > 20
    model.collect(ticket)
    model.close()


def test_host_pictures_alone_go_the_way_they_always_went() -> None:
    backend = Drawing()
    model = model_of(backend)
    model.collect(model.submit([scene(0), scene(1)]))
    assert not backend.given
    model.close()


def test_a_sample_is_drawn_on_the_cpu_only_when_it_is_asked_for(
    fake_gpu: FakeGpu, pair: tuple[Picture, DevicePicture]
) -> None:
    here, there = pair
    backend = Drawing()
    model = model_of(backend)
    kept: list[NDArray[np.uint8]] = []
    model.sample = lambda *_: None
    before = fake_gpu.machine.synchronous_copies
    model.collect(model.submit([there, here]))
    assert fake_gpu.machine.synchronous_copies == before
    model.sample = lambda canvas, _: kept.append(canvas().copy())
    model.collect(model.submit([there, here]))
    assert np.array_equal(kept[0], kept[1])
    assert np.array_equal(kept[1], backend.batches[1][1])
    assert fake_gpu.machine.synchronous_copies > before
    model.close()


def test_after_a_swap_to_one_that_cant_draw_pictures_come_to_the_cpu(pair: tuple[Picture, DevicePicture]) -> None:
    here, there = pair
    first, second = Drawing(), Watched()
    model = model_of(first)
    model.collect(model.submit([there]))
    model.swap(second)
    model.collect(model.submit([there]))
    model.collect(model.submit([here]))
    assert np.array_equal(second.batches[0], second.batches[1])
    model.close()


def detections(model: Model, pictures: Sequence[AnyPicture]) -> list[Detections]:
    found: list[Detections] = model.collect(model.submit(pictures))
    return found


def assert_same(one: Detections, two: Detections) -> None:
    assert len(one) == len(two)
    near = iou_of(one.boxes, two.boxes).max(axis=1, initial=0)
    assert near.min(initial=1) > 0.97
    assert np.abs(one.scores - two.scores).max(initial=0) < 0.01
    assert sorted(one.class_ids) == sorted(two.class_ids)


@pytest.mark.parametrize("picked", [False, True], ids=["whole", "picked"])
def test_the_same_content_gives_the_same_detections_from_either_memory(
    fake_gpu: FakeGpu, tmp_path: Path, *, picked: bool
) -> None:
    spec = load_spec("shapes", catalogue=open_catalogue({}))
    built = open_built(tmp_path, spec, pick=pick_of(spec, 0.3) if picked else None)
    model = Model(spec, built.backend, open_head(spec), floor=0.3, iou=0.5)
    seen = 0
    for number in range(6):
        here = scene(number, 640, 360)
        for deep in (None, np.random.default_rng(number).integers(0, 2, (360, 640))):
            there = uploaded(here, fake_gpu, deep=deep)
            (on_cpu,), (on_gpu,) = detections(model, [here]), detections(model, [there])
            assert_same(on_cpu, on_gpu)
            seen += len(on_gpu)
            freed(there, fake_gpu)
    assert seen >= 10
    model.close()
