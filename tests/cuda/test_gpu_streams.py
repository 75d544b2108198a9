"""Copies, waits, events and kernels on the streams of a GPU, over the fake of pycuda."""

from __future__ import annotations

import ctypes
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.cuda.open import open_gpu

if TYPE_CHECKING:
    from nvidia import FakeGpu

    from streamer.cuda.gpu import Gpu

KERNELS = b'extern "C" __global__ void fill(unsigned char* values, int count, int value) {}\n'


@pytest.fixture
def gpu(fake_gpu: FakeGpu) -> Gpu:
    assert fake_gpu
    return open_gpu()


def test_copies_from_plain_arrays_are_done_before_they_return(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    memory, out = gpu.allocate(8), np.zeros(8, np.uint8)
    with closing(gpu.open_stream()) as stream:
        stream.copy_in(memory.pointer, np.arange(8, dtype=np.uint8))
        stream.copy_out(out, memory.pointer)
        assert out.tolist() == list(range(8))
        stream.copy_in(memory.pointer, np.empty(0, np.uint8))  # nothing is no copy
        stream.copy_out(np.empty(0, np.uint8), memory.pointer)
    assert fake_gpu.machine.synchronous_copies == 2
    memory.free()


@pytest.mark.parametrize("source_on_device", [True, False])
@pytest.mark.parametrize("target_on_device", [True, False])
def test_rows_are_copied_between_any_two_places(
    gpu: Gpu, fake_gpu: FakeGpu, *, source_on_device: bool, target_on_device: bool
) -> None:
    picture = np.arange(4 * 10, dtype=np.uint8).reshape(4, 10)  # 7 of 10 bytes are the row
    source, target = gpu.pinned((4, 10), np.uint8), gpu.pinned((4, 16), np.uint8)
    source[:], target[:] = picture, 0xCD
    memories = [gpu.allocate(40), gpu.allocate(64)]
    with closing(gpu.open_stream()) as stream:
        stream.copy_in(memories[0].pointer, source)
        stream.copy_rows(
            memories[1].pointer if target_on_device else target,
            16,
            memories[0].pointer if source_on_device else source,
            10,
            7,
            4,
        )
        stream.synchronize()
    copied = fake_gpu.read(memories[1].pointer, 64).reshape(4, 16) if target_on_device else target
    assert (copied[:, :7] == picture[:, :7]).all()
    assert (copied[:, 7:] == 0xCD).all(), "nothing beside the rows"
    for memory in memories:
        memory.free()


def test_a_stream_waits_for_another_and_for_the_decoder(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    surface = fake_gpu.surface(np.full(4, 8, np.uint8))
    memory, host, out = gpu.allocate(4), gpu.pinned(4, np.uint8), gpu.pinned(8, np.uint8)
    host[:] = 5
    early = gpu.pinned(4, np.uint8)
    with closing(gpu.open_stream()) as one, closing(gpu.open_stream()) as two:
        two.copy_out(early, surface)
        two.synchronize()
        assert early.tolist() == [0xCD] * 4, "no stream of ours waits for the default stream by itself"
        one.copy_in(memory.pointer, host)
        two.after(one.record())
        two.copy_out(out[:4], memory.pointer)
        two.after_default()
        two.copy_out(out[4:], surface)
        two.synchronize()
        assert out.tolist() == [5] * 4 + [8] * 4
    memory.free()


def test_events_are_used_again_once_they_are_dropped(gpu: Gpu) -> None:
    with closing(gpu.open_stream()) as stream:
        first: Any = stream.record()
        raw = first.raw
        second: Any = stream.record()
        assert second.raw is not raw
        del first
        third: Any = stream.record()
        assert third.raw is raw
        assert all(event.done() for event in (second, third))
    assert second.done(), "an event outlives its stream"


def test_kernels_are_loaded_once_and_run_in_order(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    def fill(name: str, grid: object, block: object, arguments: tuple[np.generic, ...]) -> None:
        assert (name, grid, block) == ("fill", (2, 1, 1), (4, 1, 1))
        pointer, count, value = map(int, arguments)
        ctypes.memset(pointer, value, count)

    fake_gpu.machine.kernels = fill
    kernels, memory, out = gpu.load(KERNELS), gpu.allocate(8), gpu.pinned(8, np.uint8)
    assert gpu.load(KERNELS) is kernels
    with closing(gpu.open_stream()) as stream:
        arguments = (np.uintp(memory.pointer), np.int32(8), np.int32(7))
        kernels.launch("fill", grid=(2, 1, 1), block=(4, 1, 1), stream=stream, arguments=arguments)
        stream.copy_out(out, memory.pointer)
        stream.synchronize()
        assert out.tolist() == [7] * 8
        with pytest.raises(TypeError):
            kernels.launch("fill", grid=(2, 1, 1), block=(4, 1, 1), stream=stream, arguments=(np.uintp(0), 8, 7))  # type: ignore[arg-type]
        with pytest.raises(BackendError, match="named symbol not found"):
            kernels.launch("full", grid=(2, 1, 1), block=(4, 1, 1), stream=stream, arguments=arguments)
    with pytest.raises(BackendError, match="device kernel image is invalid"):
        gpu.load(b"no image")
    memory.free()


def test_a_closed_stream_refuses_work_and_closes_once(gpu: Gpu) -> None:
    stream, memory = gpu.open_stream(), gpu.allocate(4)
    stream.close()
    stream.close()
    for call in (
        stream.synchronize,
        stream.record,
        stream.after_default,
        lambda: stream.copy_in(memory.pointer, np.zeros(4, np.uint8)),
        lambda: stream.copy_rows(memory.pointer, 4, memory.pointer, 4, 4, 1),
    ):
        with pytest.raises(BackendError, match="this stream of the GPU is closed"):
            call()
    memory.free()
