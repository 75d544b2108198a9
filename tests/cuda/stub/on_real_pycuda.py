"""Run in a child process by `test_real_pycuda.py`: our GPU over the real pycuda, over a driver without a GPU.

Prints "well" at the end; whatever is wrong goes to stderr, where pycuda's own warnings go as well.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
from contextlib import closing

import numpy as np

# The stub has what is called and no more: pycuda's module is bound as it is used.
sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_GLOBAL)

from streamer.core.errors import BackendError  # noqa: E402
from streamer.cuda.gpu import Gpu, Stream, look_for_gpus  # noqa: E402
from streamer.cuda.open import open_gpu  # noqa: E402

stub = ctypes.CDLL("libcuda.so.1", mode=ctypes.RTLD_GLOBAL)  # pycuda may have been linked without it
stub.stub_limit.argtypes = [ctypes.c_size_t]


def refused(call: object, words: str) -> None:
    """Demand that a call ends with one sentence that holds the words."""
    try:
        call()  # type: ignore[operator]
    except BackendError as exc:
        assert words in str(exc), str(exc)  # noqa: PT017  a program, no test
        assert "\n" not in str(exc)  # noqa: PT017
    else:
        raise AssertionError(words)


def facts(gpu: Gpu) -> None:
    assert gpu is open_gpu(0)
    assert look_for_gpus() == [gpu.info]
    assert (gpu.info.name, gpu.info.compute_capability, gpu.info.multiprocessors) == ("Stub 0", (8, 7), 16)
    assert (gpu.info.memory_bytes, gpu.info.cuda_version, gpu.info.integrated) == (1 << 34, (12, 6), True)
    assert gpu.free_bytes() == 1 << 34
    refused(lambda: open_gpu(1), "GPU 1 is not there: this machine has 1")


def memory_and_copies(gpu: Gpu) -> None:
    memory, more = gpu.allocate(1000), gpu.allocate(0)
    assert memory.pointer % 256 == more.pointer % 256 == 0
    host, out = gpu.pinned((10, 100), np.uint8), gpu.pinned(250, np.float32)
    host[:] = np.arange(1000).reshape(10, 100) % 251
    records = gpu.pinned(3, np.dtype([("pointer", np.uint64), ("value", np.float32), ("more", np.int32)]))
    assert (records.nbytes, gpu.pinned((), np.float16).shape, gpu.pinned((0, 4), np.int32).shape) == (48, (), (0, 4))
    with closing(gpu.open_stream()) as stream, closing(gpu.open_stream()) as other:
        assert stream.handle != other.handle
        stream.copy_in(memory.pointer, host)
        other.after(stream.record())
        other.after_default()
        other.copy_out(out, memory.pointer)
        stream.copy_in(memory.pointer, records)  # any dtype
        event = other.record()
        event.wait()
        assert event.done()
        other.synchronize()
        assert (out.view(np.uint8).reshape(10, 100) == host).all()
        rows(gpu, stream)
        plain = np.arange(24, dtype=np.float64).reshape(4, 6)
        stream.copy_in(memory.pointer, plain)
        stream.copy_out(out[:48], memory.pointer)
        assert (out[:48].view(np.float64) == plain.ravel()).all()
    memory.free()
    memory.free()
    more.free()


def rows(gpu: Gpu, stream: Stream) -> None:
    picture, target, memory = gpu.pinned((4, 16), np.uint8), gpu.pinned((4, 10), np.uint8), gpu.allocate(4 * 32)
    picture[:], target[:] = np.arange(64).reshape(4, 16), 0
    stream.copy_rows(memory.pointer, 32, picture, 16, 7, 4)
    stream.copy_rows(target, 10, memory.pointer, 32, 7, 4)
    stream.copy_rows(target[:, 7:], 10, picture[:, 7:], 16, 3, 4)  # views with a pitch
    assert (target == picture[:, :10]).all()
    memory.free()


def kernels_and_graphs(gpu: Gpu) -> None:
    memory, out = gpu.allocate(64), gpu.pinned(64, np.uint8)
    kernels = gpu.load(b"image\0")
    assert gpu.load(b"image\0") is kernels
    refused(lambda: gpu.load(b"another"), "GPU 0 (Stub 0): cuModuleLoadDataEx failed")
    with closing(gpu.open_stream()) as stream:

        def work(value: int = 9) -> None:
            arguments = (np.uintp(memory.pointer), np.int32(64), np.int32(value), np.float32(0.5))
            kernels.launch("fill", grid=(3, 2, 1), block=(32, 4, 1), stream=stream, arguments=arguments)
            stream.copy_out(out, memory.pointer)

        work(7)
        assert (out == 7).all()
        with closing(stream.capture(work)) as graph:
            assert (out == 7).all()
            graph.launch(stream)
            stream.synchronize()
            assert (out == 9).all()
        try:
            kernels.launch("fill", grid=(1, 1, 1), block=(1, 1, 1), stream=stream, arguments=(1, 2, 3))  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            raise AssertionError("a plain number was taken")
        refused(
            lambda: kernels.launch("full", grid=(1, 1, 1), block=(1, 1, 1), stream=stream, arguments=()),
            "named symbol not found",
        )
    memory.free()


def threads(gpu: Gpu) -> None:
    """Everything from threads that have pushed nothing; what they leave is dropped here, in rings, and there."""
    raised: list[BaseException] = []
    left: list[object] = []

    def work() -> None:
        try:
            memory_and_copies(gpu)
            kernels_and_graphs(gpu)
            stream = gpu.open_stream()
            ring: list[object] = [stream, stream.record(), gpu.allocate(4), gpu.pinned(4, np.uint8)]
            ring.append(ring)
            left.append(ring)
        except BaseException as exc:  # noqa: BLE001  shown below
            raised.append(exc)

    for _ in range(4):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert not raised, raised
    left.clear()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()


def faults(gpu: Gpu) -> None:
    stub.stub_limit(1 << 20)
    refused(lambda: gpu.allocate(2 << 20), "has no memory left: 2.0 MiB were wanted, 1.0 MiB are free")
    stub.stub_limit(1 << 34)
    stream, memory = gpu.open_stream(), gpu.allocate(4)
    event = stream.record()
    for code, words in ((719, "unspecified launch failure"), (999, "unknown error")):
        stub.stub_break(code)
        for call in (event.done, event.wait, stream.synchronize, gpu.open_stream, gpu.free_bytes):
            refused(call, f"GPU 0 (Stub 0) is lost to this process ({'cu'}")
            refused(call, words)
    stub.stub_break(0)
    del event
    stream.close()
    memory.free()


def names() -> None:
    """Every name that the fake offers must be pycuda's; handed over as JSON."""
    import pycuda.driver as cuda  # noqa: PLC0415

    missing = []
    for name, members in json.loads(os.environ["FAKE_NAMES"]).items():
        found = getattr(cuda, name, None)
        missing += [name] if found is None else [f"{name}.{m}" for m in members if not hasattr(found, m)]
    assert not missing, missing


def main() -> None:
    gpu = open_gpu()
    for part in (facts, memory_and_copies, kernels_and_graphs, threads, faults):
        part(gpu)
    names()
    gc.collect()
    assert stub.stub_live() == 1, f"{stub.stub_live()} things are left, where the kernels' module alone should be"
    assert stub.stub_retained() == 1
    assert stub.stub_calls_without_context() == 0
    assert stub.stub_waits_that_spin() == 0
    print("well")  # noqa: T201  for the test


main()
