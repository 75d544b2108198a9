"""What every backend must do, asked of each of them: a runtime that is not installed is a skip with its name."""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import trt_engines
from onnx import TensorProto, helper, numpy_helper

from streamer.core.errors import BackendError
from streamer.infer.backends.base import IN_FLIGHT, BackendOptions
from streamer.infer.backends.fake import FakeBackend
from streamer.infer.backends.open import open_backend
from streamer.infer.spec import ColorOrder, ExtraInput, Fit, InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.backends.base import Backend

HW = (8, 12)
SPEC = InputSpec(
    name="images",
    hw=HW,
    color=ColorOrder.RGB,
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    fit=Fit.LETTERBOX,
    pad=114,
    layout="nchw",
    dtype="float32",
    max_batch=1,
)
OUTPUTS = ("second", "first")  # not in the order of the file: a spec's order counts
KINDS = ("fake", "onnxruntime", "openvino", "tensorrt")  # TensorRT over stand-ins for it and for the GPU
LIMIT_S = 5.0


def expected(batch: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.float64], ...]:
    """What the small network answers: twice the input as (B, 3, H, W), and the mean of each channel plus all extras."""
    values = (batch * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    tensor = values.transpose(0, 3, 1, 2)
    return 2 * tensor, tensor.mean(axis=(2, 3)) + sum(sum(extra.row) for extra in spec.extras)


def write_network(path: Path, spec: InputSpec) -> Path:
    """Write a network with the outputs `first` (means) and `second` (twice the input)."""
    kinds = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
    extra_kinds = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int64": TensorProto.INT64}
    batch = spec.max_batch if spec.fixed_batch or spec.max_batch == 1 else "batch"
    shape: list[int | str] = [*spec.hw, 3] if spec.layout == "nhwc" else [3, *spec.hw]
    nodes = [helper.make_node("Cast", [spec.name], ["float" if spec.batched else "alone"], to=TensorProto.FLOAT)]
    if spec.batched:
        shape = [batch, *shape]
    else:
        nodes.append(helper.make_node("Unsqueeze", ["alone", "zero"], ["float"]))
    nodes.append(
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2])
        if spec.layout == "nhwc"
        else helper.make_node("Identity", ["float"], ["planes"])
    )
    nodes.append(helper.make_node("Mul", ["planes", "two"], ["second"]))
    nodes.append(helper.make_node("ReduceMean", ["planes"], ["means"], axes=[2, 3], keepdims=0))
    for i, extra in enumerate(spec.extras):
        nodes.append(helper.make_node("Cast", [extra.name], [f"extra{i}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("ReduceSum", [f"extra{i}", "one"], [f"sum{i}"], keepdims=1))
    nodes.append(helper.make_node("Sum", ["means", *(f"sum{i}" for i in range(len(spec.extras)))], ["first"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info(spec.name, kinds[spec.dtype], shape),
            *(helper.make_tensor_value_info(e.name, extra_kinds[e.dtype], [batch, 2]) for e in spec.extras),
        ],
        [
            helper.make_tensor_value_info("first", TensorProto.FLOAT, [batch, 3]),
            helper.make_tensor_value_info("second", TensorProto.FLOAT, [batch, 3, *spec.hw]),
        ],
        [
            numpy_helper.from_array(np.array([2], np.float32), "two"),
            numpy_helper.from_array(np.array([0], np.int64), "zero"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


@dataclass
class Bench:
    """Opens backends of one kind, and closes them."""

    kind: str
    folder: Path
    opened: list[Backend] = field(default_factory=list)
    ready: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def open(self, spec: InputSpec = SPEC, *, latency: bool = False) -> Backend:
        on_ready: Callable[[], Any] = self.ready.release
        backend: Backend
        if self.kind == "fake":
            answer = partial(_computed, spec=spec)
            backend = FakeBackend(answer, input_spec=spec, on_ready=on_ready, limit_s=LIMIT_S)
        else:
            if importlib.util.find_spec(self.kind) is None:
                pytest.skip(f"needs {self.kind}")
            options = BackendOptions(precision="f32", latency=latency, threads=0, on_ready=on_ready)
            path = write_network(self.folder / "small.onnx", spec)
            if self.kind == "tensorrt":
                trt_engines.store_engine(self.folder, trt_engines.spec_of(path, spec, OUTPUTS))
            backend = open_backend(self.kind, str(path), input_spec=spec, output_names=OUTPUTS, options=options)
        self.opened.append(backend)
        return backend

    def told(self) -> bool:
        return self.ready.acquire(timeout=LIMIT_S)


def _computed(batch: NDArray[np.uint8], *, spec: InputSpec) -> tuple[NDArray[np.float32], ...]:
    return tuple(output.astype(np.float32) for output in expected(batch, spec))


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "tensorrt":
        request.getfixturevalue("fake_gpu")
        monkeypatch.setenv("STREAMER_CACHE", str(tmp_path))
    it = Bench(request.param, tmp_path)
    yield it
    for backend in it.opened:
        backend.close()


def batch_of(seed: int, spec: InputSpec = SPEC, count: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *spec.hw, 3), dtype=np.uint8)


def check(outputs: tuple[NDArray[np.float32], ...], batch: NDArray[np.uint8], spec: InputSpec = SPEC) -> None:
    atol = 5e-3 if spec.dtype == "float16" else 1e-4
    assert len(outputs) == len(OUTPUTS)
    for output, value in zip(outputs, expected(batch, spec), strict=True):
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, value, atol=atol, rtol=atol)


def test_outputs_are_right_and_in_the_order_asked_for(bench: Bench) -> None:
    backend = bench.open()
    batch = batch_of(1)
    check(backend.collect(backend.submit(batch)), batch)
    assert backend.kind == bench.kind
    assert backend.precision == "f32"


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_picture_may_come_without_a_batch(bench: Bench, layout: str) -> None:
    spec = replace(SPEC, batched=False, layout=layout)
    backend = bench.open(spec)
    batch = batch_of(1)
    check(backend.collect(backend.submit(batch)), batch, spec)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_inputs_beside_the_picture_are_given_for_each_picture(bench: Bench, dtype: str) -> None:
    sizes = ExtraInput(name="orig_target_sizes", dtype=dtype, row=(12, 8))
    spec = replace(SPEC, max_batch=4, extras=(sizes, ExtraInput(name="scale_factor", dtype="float32", row=(1, 0.5))))
    backend = bench.open(spec)
    for count in (1, 3, 2):
        batch = batch_of(count, count=count)
        check(backend.collect(backend.submit(batch)), batch, spec)


def test_a_fixed_batch_is_always_whole(bench: Bench) -> None:
    spec = replace(SPEC, max_batch=4, fixed_batch=True)
    backend = bench.open(spec)
    batch = batch_of(1, count=4)
    check(backend.collect(backend.submit(batch)), batch, spec)
    with pytest.raises(ValueError, match=r"expected \(4..4, 8, 12, 3\) uint8, got \(1, 8, 12, 3\)"):
        backend.submit(batch_of(1))


@pytest.mark.parametrize("latency", [True, False])
def test_two_in_flight_are_answered_each_with_its_own(bench: Bench, latency: bool) -> None:  # noqa: FBT001  a parameter
    backend = bench.open(latency=latency)
    for seed in range(0, 40, 2):
        first, second = batch_of(seed), batch_of(seed + 1)
        tickets = backend.submit(first), backend.submit(second)
        assert tickets[0].slot != tickets[1].slot
        check(backend.collect(tickets[1]), second)
        check(backend.collect(tickets[0]), first)


def test_the_batch_may_be_overwritten_once_it_is_answered_and_is_not_by_the_backend(bench: Bench) -> None:
    backend = bench.open()
    buffers = [batch_of(1), batch_of(2)]
    tickets = [backend.submit(buffer) for buffer in buffers]
    kept = []
    for seed, (ticket, buffer) in enumerate(zip(tickets, buffers, strict=True), start=1):
        assert bench.told()
        kept.append(backend.collect(ticket))
        np.testing.assert_array_equal(buffer, batch_of(seed))
        buffer[:] = 0
    for seed, outputs in enumerate(kept, start=1):
        check(outputs, batch_of(seed))
    check(backend.collect(backend.submit(buffers[0])), np.zeros_like(buffers[0]))


def test_outputs_last_until_the_slot_is_used_again(bench: Bench) -> None:
    backend = bench.open()
    batches = [batch_of(seed) for seed in range(3)]
    kept = backend.collect(backend.submit(batches[0]))
    other = backend.submit(batches[1])
    backend.collect(other)
    check(kept, batches[0])
    check(backend.collect(backend.submit(batches[2])), batches[2])


def test_a_submit_beyond_the_slots_waits_and_spends_the_oldest_ticket(bench: Bench) -> None:
    backend = bench.open()
    tickets = [backend.submit(batch_of(seed)) for seed in range(IN_FLIGHT + 1)]
    for seed in range(1, IN_FLIGHT + 1):
        check(backend.collect(tickets[seed]), batch_of(seed))
    with pytest.raises(ValueError, match="used again"):
        backend.collect(tickets[0])
    with pytest.raises(ValueError, match="used again"):
        backend.ready(tickets[0])


def test_it_says_when_a_ticket_has_become_ready(bench: Bench) -> None:
    backend = bench.open()
    for seed in range(5):
        ticket = backend.submit(batch_of(seed))
        assert bench.told()
        assert backend.ready(ticket)
        check(backend.collect(ticket), batch_of(seed))
        assert backend.ready(ticket)
    assert not bench.ready.acquire(blocking=False)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 8, 11, 3), np.uint8),
        np.zeros((1, 3, 8, 12), np.uint8),
        np.zeros((2, 8, 12, 3), np.uint8),
        np.zeros((0, 8, 12, 3), np.uint8),
        np.zeros((8, 12, 3), np.uint8),
        np.zeros((1, 8, 12, 3), np.float32),
    ],
    ids=lambda b: f"{b.shape}-{b.dtype}",
)
def test_a_wrong_batch_is_refused_and_nothing_else_suffers(bench: Bench, batch: NDArray[Any]) -> None:
    backend = bench.open()
    with pytest.raises(ValueError, match=r"batch: expected \(1\.\.1, 8, 12, 3\) uint8, got"):
        backend.submit(batch)
    check(backend.collect(backend.submit(batch_of(3))), batch_of(3))


def test_close_waits_for_what_is_in_flight_and_may_be_called_again(bench: Bench) -> None:
    backend = bench.open()
    backend.submit(batch_of(1))
    backend.submit(batch_of(2))
    backend.close()
    backend.close()
    assert bench.told()
    assert bench.told()
    with pytest.raises(BackendError, match="closed"):
        backend.submit(batch_of(3))


def test_close_without_work(bench: Bench) -> None:
    backend = bench.open()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.submit(batch_of(1))


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, layout="nhwc"),
        replace(SPEC, dtype="float16"),
        replace(SPEC, dtype="float16", layout="nhwc"),
        replace(SPEC, scale=1.0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)),
        replace(SPEC, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        replace(SPEC, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), dtype="uint8"),
        replace(SPEC, scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), dtype="uint8", layout="nhwc"),
    ],
    ids=lambda s: f"{s.dtype}-{s.layout}-{s.scale:.3f}",
)
def test_every_dtype_layout_and_normalisation(bench: Bench, spec: InputSpec) -> None:
    backend = bench.open(spec)
    batch = batch_of(9, spec)
    check(backend.collect(backend.submit(batch)), batch, spec)


def test_batches_of_every_size_up_to_the_largest(bench: Bench) -> None:
    spec = replace(SPEC, max_batch=4)
    backend = bench.open(spec)
    for count in (4, 1, 3, 2, 4):
        batch = batch_of(count, spec, count)
        check(backend.collect(backend.submit(batch)), batch, spec)
