"""The GPU that the rest of Streamer sees, over the fake of pycuda."""

from __future__ import annotations

import gc
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drills import in_thread

from streamer.core.errors import BackendError
from streamer.cuda.gpu import GpuInfo, look_for_gpus, version_of
from streamer.cuda.open import open_gpu

if TYPE_CHECKING:
    from nvidia import FakeGpu

    from streamer.cuda.gpu import Gpu

KERNELS = b'extern "C" __global__ void fill(unsigned char* values, int count, int value) {}\n'


@pytest.fixture
def gpu(fake_gpu: FakeGpu) -> Gpu:
    assert fake_gpu
    return open_gpu()


def test_it_knows_what_it_is(gpu: Gpu) -> None:
    expected = GpuInfo(
        index=0,
        name="NVIDIA GeForce RTX 4090",
        compute_capability=(8, 9),
        multiprocessors=128,
        memory_bytes=24 << 30,
        cuda_version=(13, 0),
        integrated=False,
    )
    assert gpu.info == expected
    assert look_for_gpus() == [expected], "the driver alone says the same"
    assert str(gpu) == "GPU 0 (NVIDIA GeForce RTX 4090)"


def test_the_driver_counts_versions_in_thousands() -> None:
    assert version_of(12060) == (12, 6)
    assert version_of(11020) == (11, 2)


def test_current_is_re_entrant_and_leaves_nothing_pushed(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    stack = fake_gpu.machine.stack
    with gpu.current():
        assert len(stack) == 1
        with gpu.current():
            gpu.allocate(1).free()
            assert len(stack) == 1, "pushed once"
        assert len(stack) == 1
    assert len(stack) == 0


def test_an_error_within_pops_as_well(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    with pytest.raises(KeyError), gpu.current():
        raise KeyError
    assert len(fake_gpu.machine.stack) == 0


def test_two_gpus_in_one_thread_each_find_their_own_context(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    fake_gpu.machine.devices.append(fake_gpu.machine.devices[0])
    other, stack = open_gpu(1), fake_gpu.machine.stack
    with gpu.current(), other.current(), gpu.current():
        assert [c.ordinal_ for c in stack] == [0, 1, 0]
    assert len(stack) == 0


def test_any_thread_may_call_without_pushing(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    def work() -> None:
        memory, host = gpu.allocate(16), gpu.pinned(4, np.float32)
        with closing(gpu.open_stream()) as stream:
            host[:] = 3
            stream.copy_in(memory.pointer, host)
            event = stream.record()
            assert not event.done()
            event.wait()
        assert fake_gpu.read(memory.pointer, 16).view(np.float32).tolist() == [3] * 4
        memory.free()

    assert in_thread(work) is None


def test_whatever_is_dropped_in_any_thread_is_freed_with_the_context(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    held: list[Any] = [gpu.allocate(16), gpu.pinned((2, 2), np.float16), gpu.open_stream()]
    held.append(held[2].record())
    held[2].synchronize()
    assert len(fake_gpu.machine.leaks()) == 3

    def drop() -> None:
        while held:
            held.pop(0)
            gc.collect()

    assert in_thread(drop) is None
    assert fake_gpu.machine.leaks() == []
    assert fake_gpu.machine.violations == []


def test_memory_is_aligned_counted_and_freed_once(gpu: Gpu) -> None:
    before = gpu.free_bytes()
    memory = gpu.allocate(1000)
    assert memory.pointer % 256 == 0
    assert (memory.nbytes, before - gpu.free_bytes()) == (1000, 1000)
    memory.free()
    memory.free()
    assert gpu.free_bytes() == before
    empty = gpu.allocate(0)
    assert (empty.nbytes, empty.pointer % 256) == (0, 0)
    empty.free()


def test_too_little_memory_is_one_sentence_with_numbers(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    fake_gpu.machine.out_of_memory_after = 10 << 20
    with pytest.raises(BackendError) as caught:
        gpu.allocate(64 << 20)
    assert str(caught.value) == (
        "GPU 0 (NVIDIA GeForce RTX 4090) has no memory left: 64.0 MiB were wanted, 10.0 MiB are free"
    )


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3), "float32"), (5, "uint8"), ((0, 4), "int32"), ((), "float16")])
def test_pinned_arrays_have_any_shape(gpu: Gpu, shape: int | tuple[int, ...], dtype: str) -> None:
    array = gpu.pinned(shape, dtype)
    assert array.shape == np.empty(shape, dtype).shape
    assert array.dtype == dtype
    assert array.flags.writeable
    assert array.flags.c_contiguous
    array[...] = 1
    assert (array == 1).all()


def test_pinned_arrays_of_records_are_pinned_too(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    kind = np.dtype([("pointer", np.uint64), ("value", np.float32), ("more", np.int32)])
    records, memory = gpu.pinned(3, kind), gpu.allocate(3 * kind.itemsize)
    records["value"] = 2.5
    with closing(gpu.open_stream()) as stream:
        stream.copy_in(memory.pointer, records)
        stream.synchronize()
    assert fake_gpu.machine.synchronous_copies == 0
    assert fake_gpu.read(memory.pointer, 48).view(kind)["value"].tolist() == [2.5] * 3
    memory.free()


def test_what_the_drivers_compiler_logs_is_one_line_of_it(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    from pycuda import driver  # noqa: PLC0415  the fake, there only while the fixture is

    def refuse(_image: bytes) -> None:
        raise driver.LogicError("cuModuleLoadDataEx failed: device kernel image is invalid - ptxas 1\nptxas 2\n\0")

    monkeypatch.setattr(driver, "module_from_buffer", refuse)
    with pytest.raises(BackendError, match=r"image is invalid - ptxas 1$"):
        gpu.load(KERNELS)


def test_a_failed_kernel_is_one_sentence(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    fake_gpu.machine.kernels, fake_gpu.machine.fail_launch = (lambda *_: None), "fill"
    stream = gpu.open_stream()
    gpu.load(KERNELS).launch(
        "fill", grid=(1, 1, 1), block=(1, 1, 1), stream=stream, arguments=(np.uintp(0), np.int32(0), np.int32(0))
    )
    with pytest.raises(BackendError) as caught:
        stream.synchronize()
    said = "GPU 0 (NVIDIA GeForce RTX 4090) is lost to this process ("
    assert str(caught.value).startswith(f"{said}cuStreamSynchronize failed: unspecified launch failure)")
    assert "\n" not in str(caught.value)
    stream.close()


def test_a_lost_gpu_is_said_by_whatever_is_called_and_lets_everything_be_freed(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    stream, memory, host = gpu.open_stream(), gpu.allocate(16), gpu.pinned(16, np.uint8)
    stream.copy_in(memory.pointer, host)
    event = stream.record()
    graph = stream.capture(lambda: stream.copy_in(memory.pointer, host))
    fake_gpu.machine.lose_device()
    for call in (event.done, event.wait, stream.synchronize, gpu.free_bytes, gpu.open_stream):
        with pytest.raises(BackendError, match=r"is lost to this process .*unknown error"):
            call()
    with pytest.raises(BackendError, match="cuGraphLaunch: unknown error"):
        graph.launch(stream)
    graph.close()
    stream.close()
    memory.free()


def test_an_error_that_is_kept_keeps_nothing_of_the_gpu(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    def errors() -> list[BackendError]:
        stream, kernels = gpu.open_stream(), gpu.load(KERNELS)
        event, more = stream.record(), [stream.record() for _ in range(3)]
        more.clear()  # to be used again
        fake_gpu.machine.lose_device()
        found = []
        for call in (
            stream.record,
            stream.after_default,
            stream.synchronize,
            event.wait,
            lambda: stream.after(event),
            lambda: kernels.launch("fill", grid=(1, 1, 1), block=(1, 1, 1), stream=stream, arguments=()),
        ):
            with pytest.raises(BackendError) as caught:
                call()
            found.append(caught.value)
        stream.close()
        return found

    kept = errors()
    assert in_thread(kept.clear) is None  # what the errors hold goes in a thread that has pushed nothing
    gc.collect()
    assert fake_gpu.machine.violations == []


def test_many_threads_share_one_context(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    at_once = threading.Barrier(6)

    def work() -> None:
        with gpu.current(), closing(gpu.open_stream()) as stream:
            at_once.wait(5.0)
            for turn in range(20):
                memory, host = gpu.allocate(64), gpu.pinned(64, np.uint8)
                host[:] = turn
                stream.copy_in(memory.pointer, host)
                stream.record().wait()
                memory.free()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert fake_gpu.machine.contexts == {0: 1}
    assert fake_gpu.machine.violations == []
