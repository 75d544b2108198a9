"""An engine at work, over stand-ins for TensorRT and the GPU that keep their rules."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime
import pytest
from trt_engines import input_of, open_built, set_faults, spec_of, store_engine
from trt_networks import SIDE, write_bright, write_kinds, write_rows

from streamer.core.errors import BackendError
from streamer.infer.backends.base import IN_FLIGHT, BackendOptions, Pick
from streamer.infer.backends.tensorrt import open_engine
from streamer.infer.backends.tensorrt.engine import Tensor
from streamer.infer.backends.tensorrt.runtime import load_runtime
from streamer.infer.backends.tensorrt.session import Batch
from streamer.infer.backends.tensorrt.slot import Slot
from streamer.infer.engine.precision import convert
from streamer.infer.recognise import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.infer.backends.tensorrt.graphs import Run
    from streamer.infer.backends.tensorrt.slot import SlotPlan
    from streamer.infer.spec import ModelSpec

HW = (8, 12)


def rows_spec(folder: Path, max_batch: int = 4) -> ModelSpec:
    path = write_rows(folder / "rows.onnx", anchors=525, anchor_major=False)
    return spec_of(path, input_of((SIDE, SIDE), max_batch), ("out",))


def canvases(seed: int, count: int, hw: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *hw, 3), dtype=np.uint8)


def expected(spec: ModelSpec, batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """What ONNX Runtime answers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(spec.path), options, providers=["CPUExecutionProvider"])
    pixels = (batch.transpose(0, 3, 1, 2) * np.float32(1 / 255)).astype(np.float32)
    answers: list[NDArray[Any]] = session.run(list(spec.output_names), {spec.input.name: pixels})
    return answers


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_each_slot_and_batch_size_is_replayed_as_a_graph_from_its_second_batch_on(
    fake_gpu: FakeGpu, tmp_path: Path, version: str
) -> None:
    set_faults(version=version)
    opened = open_built(tmp_path, rows_spec(tmp_path))
    backend = opened.backend
    for seed in range(4 * IN_FLIGHT):
        batch = canvases(seed, 1 + seed // IN_FLIGHT % 2)  # three of one, three of two, three of one ...
        (found,) = backend.collect(backend.submit(batch))
        np.testing.assert_allclose(found, expected(opened.spec, batch)[0], rtol=1e-4, atol=1e-4)
    assert fake_gpu.machine.graph_launches == 2 * IN_FLIGHT
    backend.close()


@pytest.mark.parametrize("why", ["engine", "driver"])
def test_what_can_not_be_captured_runs_plainly_and_that_is_said_once(
    fake_gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    opened = open_built(tmp_path, rows_spec(tmp_path))
    if why == "engine":
        set_faults(not_capturable=True)
    else:
        fake_gpu.machine.fail_capture = True
    for seed in range(3 * IN_FLIGHT):
        batch = canvases(seed, 1)
        (found,) = opened.backend.collect(opened.backend.submit(batch))
        np.testing.assert_allclose(found, expected(opened.spec, batch)[0], rtol=1e-4, atol=1e-4)
    opened.backend.close()
    assert fake_gpu.machine.graph_launches == 0
    assert len([r for r in caplog.records if "without CUDA graphs" in r.message]) == 1


def test_all_slots_in_flight_at_once_keep_their_own_answers(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    opened = open_built(tmp_path, rows_spec(tmp_path))
    unpinned = []
    for round_ in range(4):
        batches = [canvases(10 * round_ + i, 1 + i) for i in range(IN_FLIGHT)]
        tickets = [opened.backend.submit(batch) for batch in batches]
        for ticket, batch in zip(reversed(tickets), reversed(batches), strict=True):
            (found,) = opened.backend.collect(ticket)
            np.testing.assert_allclose(found, expected(opened.spec, batch)[0], rtol=1e-4, atol=1e-4)
        unpinned.append(fake_gpu.machine.synchronous_copies)
    opened.backend.close()
    assert unpinned[-1] == unpinned[0]  # only what is copied once for all is not page-locked


def test_whole_and_short_numbers_become_float32(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    del fake_gpu
    spec = spec_of(write_kinds(tmp_path / "kinds.onnx", HW), input_of(HW), ("f16", "i64", "i32"))
    opened = open_built(tmp_path, spec)
    for seed in range(2):
        batch = canvases(seed, 1, HW)
        found = opened.backend.collect(opened.backend.submit(batch))
        assert [output.dtype for output in found] == [np.float32] * 3
        for output, value in zip(found, expected(spec, batch), strict=True):
            np.testing.assert_allclose(output, value.astype(np.float32), rtol=2e-3)
    opened.backend.close()


def test_an_output_as_long_as_the_pixels_say(
    fake_gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = spec_of(write_bright(tmp_path / "bright.onnx", HW), input_of(HW), ("out", "most"))
    opened = open_built(tmp_path, spec)
    for level in (0, 40, 0, 200, 255, 90):
        batch = np.minimum(canvases(level, 1, HW), level).astype(np.uint8)
        found = opened.backend.collect(opened.backend.submit(batch))
        wanted = expected(spec, batch)
        assert found[0].shape == wanted[0].shape
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-6)
    opened.backend.close()
    assert fake_gpu.machine.graph_launches == 0
    assert caplog.text.count("without CUDA graphs, which costs some time: only the pixels decide how long out is") == 1


def test_an_engine_in_f16_is_drawn_for_and_answers_nearly_as_in_f32(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    """Its input is f16 though the model's own is f32: the kernel writes what the engine takes."""
    del fake_gpu
    spec = load_spec("shapes")
    halved = convert(spec.path, "f16", spec=spec.input, calibration=None, folder=tmp_path)
    stored = store_engine(tmp_path, spec, "f16", halved)
    options = BackendOptions(precision="f16", latency=True, threads=0, on_ready=lambda: None)
    backend = open_engine(stored, spec.input, spec.output_names, options)
    assert backend.precision == "f16"
    assert backend._session._engine.inputs[spec.input.name].dtype == "float16"
    for seed in range(2):
        batch = canvases(seed, 1, spec.input.hw)
        (found,) = backend.collect(backend.submit(batch))
        assert found.dtype == np.float32
        boxes, scores = np.split(found - expected(spec, batch)[0], [4], axis=1)
        assert np.abs(scores).mean() < 0.01
        assert np.abs(boxes).mean() < 1.0
    backend.close()


def test_what_tensorrt_refuses_is_said_with_its_reason_and_closing_adds_nothing(
    fake_gpu: FakeGpu, tmp_path: Path
) -> None:
    del fake_gpu
    opened = open_built(tmp_path, rows_spec(tmp_path))
    set_faults(execute_fails="Error Code 1: Cuda Driver (the fan has stopped)")
    with pytest.raises(BackendError, match=r"rows: TensorRT can't run it: .*the fan has stopped"):
        opened.backend.collect(opened.backend.submit(canvases(1, 1)))
    opened.backend.close()


def test_a_lost_gpu_is_an_error_of_collect_and_not_again_of_close(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    opened = open_built(tmp_path, rows_spec(tmp_path))
    opened.backend.collect(opened.backend.submit(canvases(1, 1)))
    fake_gpu.machine.lose_device()
    with pytest.raises(BackendError, match=r"^rows: GPU 0 .* is lost"):
        opened.backend.collect(opened.backend.submit(canvases(1, 1)))
    opened.backend.close()


def test_short_memory_at_load_is_one_sentence_and_nothing_stays_allocated(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    spec = rows_spec(tmp_path)
    open_built(tmp_path, spec).backend.close()
    free = fake_gpu.machine.used_bytes()
    refused = 0
    for room in (1_000, 100_000, 1_000_000, 3_000_000):
        fake_gpu.machine.out_of_memory_after = free + room
        with pytest.raises(BackendError, match="memory"):
            open_built(tmp_path, spec)
        refused += 1
        assert fake_gpu.machine.used_bytes() == free
    assert refused == 4


@pytest.mark.parametrize("floor", [None, 0.3], ids=["whole", "picked"])
def test_short_memory_for_a_new_batch_size_lets_a_larger_one_do_its_work(
    fake_gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture, floor: float | None
) -> None:
    """What was free at the start has been taken since, by the decoders of cameras: no reason to end the run."""
    path = write_rows(tmp_path / "rows.onnx", anchors=12800, anchor_major=False)
    pick = None if floor is None else Pick(channels=6, objectness=False, placed=False, floor=floor)
    opened = open_built(tmp_path, spec_of(path, input_of((SIDE, SIDE), 4), ("out",)), pick=pick)
    backend = opened.backend
    wanted = {}
    for count in (4, 2, 3, 1):
        batch = canvases(count, count)
        wanted[count] = expected(opened.spec, batch)[0]
    backend.collect(backend.submit(canvases(4, 4)))
    set_faults(persistent_bytes=1000)
    fake_gpu.machine.out_of_memory_after = fake_gpu.machine.used_bytes()
    for count in (2, 1, 3, 4, 2, 1, 3):
        (found,) = backend.collect(backend.submit(canvases(count, count)))
        assert len(found) == count
        if floor is None:
            np.testing.assert_allclose(found, wanted[count], rtol=1e-4, atol=1e-4)
    assert len([r for r in caplog.records if "computed as larger ones" in r.message]) == 1
    backend.close()


def test_so_it_is_where_memory_is_short_at_its_first_run_only(
    fake_gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT loads kernels and allocates as late as that."""
    del fake_gpu
    opened = open_built(tmp_path, rows_spec(tmp_path))
    tensorrt = load_runtime()
    execute = tensorrt.IExecutionContext.execute_async_v3

    def short(self: Any, stream_handle: int) -> bool:  # noqa: ANN401  of the fake
        return next(iter(self.get_tensor_shape("images"))) not in {2, 3} and execute(self, stream_handle)

    backend = opened.backend
    for _ in range(IN_FLIGHT):  # each slot has met the largest
        backend.collect(backend.submit(canvases(4, 4)))
    monkeypatch.setattr(tensorrt.IExecutionContext, "execute_async_v3", short)
    for count in (2, 3, 1) * 3:
        batch = canvases(count, count)
        (found,) = backend.collect(backend.submit(batch))
        np.testing.assert_allclose(found, expected(opened.spec, batch)[0], rtol=1e-4, atol=1e-4)
    assert len([r for r in caplog.records if "computed as larger ones" in r.message]) == 1
    backend.close()


@pytest.mark.parametrize(("rows", "cut"), [(8, {"out": (6, 5)}), (9, None)])
def test_rows_of_all_pictures_are_cut_where_each_has_as_many(rows: int, cut: dict[str, tuple[int, int]] | None) -> None:
    slot = object.__new__(Slot)
    engine = SimpleNamespace(outputs={"out": Tensor(name="out", shape=(-1, 5), dtype="float32")})
    slot._plan = cast("SlotPlan", SimpleNamespace(engine=engine))
    slot._runs, slot._shapes, slot._growing = {4: cast("Run", SimpleNamespace(warm=True))}, {4: {"out": (rows, 5)}}, {}
    assert (slot._larger(3, failed=None) is None) == (cut is None)
    assert slot._shapes.get(3) == cut


def test_but_not_where_it_would_tell_of_pictures_that_are_not_there(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    spec = spec_of(write_bright(tmp_path / "bright.onnx", HW, "b"), input_of(HW, 4), ("out",))
    backend = open_built(tmp_path, spec).backend
    backend.collect(backend.submit(canvases(4, 4, HW)))
    set_faults(persistent_bytes=1000)
    fake_gpu.machine.out_of_memory_after = fake_gpu.machine.used_bytes()
    with pytest.raises(BackendError, match=r"^bright: .*memory"):
        backend.collect(backend.submit(canvases(2, 2, HW)))
    fake_gpu.machine.out_of_memory_after = None
    backend.close()


def test_a_gpu_that_hangs_is_given_up_and_nothing_it_may_use_is_freed(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    opened = open_built(tmp_path, rows_spec(tmp_path))
    opened.backend.collect(opened.backend.submit(canvases(1, 1)))
    before = fake_gpu.machine.used_bytes()
    opened.backend._pool._limit_s = 0.05
    fake_gpu.machine.hang()
    ticket = opened.backend.submit(canvases(2, 1))
    assert not opened.backend.ready(ticket)
    with pytest.raises(BackendError, match=r"no answer within 0\.05 s"):
        opened.backend.collect(ticket)
    opened.backend.close()
    assert fake_gpu.machine.used_bytes() >= before
    fake_gpu.machine.release()
    for thread in opened.backend._pool._threads:
        thread.join(5)
    opened.backend._session.close()  # what only the end of the process does otherwise


def test_many_models_and_threads_share_one_context(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    spec = rows_spec(tmp_path)
    models = [open_built(tmp_path / str(i), spec) for i in range(3)]
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            for seed in range(4):
                batch = canvases(10 * index + seed, 1 + seed % 2)
                (found,) = models[index].backend.collect(models[index].backend.submit(batch))
                np.testing.assert_allclose(found, expected(spec, batch)[0], rtol=1e-4, atol=1e-4)
        except BaseException as exc:  # noqa: BLE001  it is for the test's own thread
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(8)
    assert not failures
    assert fake_gpu.machine.contexts == {0: 1}
    for model in models:
        model.backend.close()


def test_a_picture_is_let_go_once_its_batch_is_answered(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    """An idle thread must not keep a decoder's surface."""
    del fake_gpu
    opened = open_built(tmp_path, rows_spec(tmp_path))
    batch = canvases(1, 1)
    finder = threading.Event()

    class Owner:
        def __del__(self) -> None:
            finder.set()

    held: list[Any] = [Owner()]
    ticket = opened.backend._pool.submit(Batch(batch, (held.pop(),)))
    opened.backend.collect(ticket)
    assert finder.wait(2)
    opened.backend.close()


def test_pictures_and_canvases_must_be_as_many(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    del fake_gpu
    opened = open_built(tmp_path, rows_spec(tmp_path))
    with pytest.raises(ValueError, match="0 pictures, 0 placements and 1 canvases"):
        opened.backend.submit_pictures([], [], canvases(1, 1))
    with pytest.raises(ValueError, match=r"expected \(1\.\.4, 160, 160, 3\) uint8"):
        opened.backend.submit_pictures([], [], canvases(1, 5))
    opened.backend.close()


def test_the_engine_must_be_one_of_the_model(fake_gpu: FakeGpu, tmp_path: Path) -> None:
    del fake_gpu
    spec = rows_spec(tmp_path)

    def refused(change: Callable[[ModelSpec], ModelSpec]) -> str:
        other = change(spec)
        options = BackendOptions(precision="f32", latency=False, threads=0, on_ready=lambda: None)
        with pytest.raises(BackendError) as caught:
            open_engine(stored, other.input, other.output_names, options)
        return str(caught.value)

    opened = open_built(tmp_path, spec)
    stored = opened.stored
    opened.backend.close()
    assert "it has no output boxes" in refused(lambda s: replace(s, output_names=("boxes",)))
    assert "expected the one input 'x', it has images" in refused(
        lambda s: replace(s, input=replace(s.input, name="x"))
    )
    assert "1..4 pictures at once, 1..8 are wanted" in refused(
        lambda s: replace(s, input=replace(s.input, max_batch=8))
    )
    assert "takes float32, expected uint8" in refused(
        lambda s: replace(s, input=replace(s.input, dtype="uint8", scale=1.0))
    )
    assert "layout 'nwhc' is not supported" in refused(lambda s: replace(s, input=replace(s.input, layout="nwhc")))
    assert "(-1, 3, 160, 160), expected (-1, 3, 80, 160)" in refused(
        lambda s: replace(s, input=replace(s.input, hw=(80, 160)))
    )
