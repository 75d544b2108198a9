"""Drawing and picking through the real wrapper of the GPU, on the fake pycuda: order, slots, capture, freeing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from draw_reference import PLAIN

from streamer.core.errors import BackendError
from streamer.cuda.draw import Drawer, Drawing
from streamer.cuda.open import open_gpu
from streamer.cuda.pick import Layout, Picker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.cuda.gpu import Gpu, Memory, Stream

WHOLE = replace(PLAIN, layout="nhwc", dtype="uint8")
V8 = Layout(channels=7, anchors=100, anchor_major=False, objectness=False, first_class=4)


@pytest.fixture
def gpu(fake_gpu: FakeGpu) -> Gpu:
    assert fake_gpu
    return open_gpu()


@pytest.fixture
def stream(gpu: Gpu) -> Iterator[Stream]:
    stream = gpu.open_stream()
    yield stream
    stream.synchronize()
    stream.close()


def canvas_at(pointer: int) -> Drawing:
    return Drawing(
        pixels="packed", pointers=(pointer,), pitches=(24,), frame_hw=(8, 8), size_hw=(8, 8), top=0, left=0, weights=()
    )


def put(gpu: Gpu, stream: Stream, values: NDArray[np.generic]) -> Memory:
    memory = gpu.allocate(values.nbytes)
    stream.copy_in(memory.pointer, values)
    stream.synchronize()
    return memory


def got(stream: Stream, pointer: int, shape: tuple[int, ...], dtype: type) -> NDArray[np.generic]:
    values: NDArray[np.generic] = np.empty(shape, dtype)
    stream.copy_out(values, pointer)
    stream.synchronize()
    return values


def test_many_batches_may_be_on_their_way_at_once(gpu: Gpu, stream: Stream) -> None:
    rng = np.random.default_rng(1)
    contents = rng.integers(0, 256, (9, 8, 8, 3), np.uint8)
    canvases = [put(gpu, stream, content) for content in contents]
    tensors = [gpu.allocate(192) for _ in contents]
    drawer = Drawer(gpu, WHOLE, max_batch=1)
    for canvas, tensor in zip(canvases, tensors, strict=True):  # nobody waits in between: slots are used again
        drawer.draw([canvas_at(canvas.pointer)], tensor.pointer, stream)
    for content, tensor in zip(contents, tensors, strict=True):
        assert np.array_equal(got(stream, tensor.pointer, (8, 8, 3), np.uint8), content)
    drawer.close()
    drawer.close()
    for memory in (*canvases, *tensors):
        memory.free()


def test_what_two_streams_draw_does_not_mix(gpu: Gpu, stream: Stream) -> None:
    other = gpu.open_stream()
    contents = [np.full((8, 8, 3), level, np.uint8) for level in range(1, 7)]
    canvases = [put(gpu, stream, content) for content in contents]
    tensors = [gpu.allocate(192) for _ in contents]
    drawer = Drawer(gpu, WHOLE, max_batch=2)
    for index, (canvas, tensor) in enumerate(zip(canvases, tensors, strict=True)):
        drawer.draw([canvas_at(canvas.pointer)], tensor.pointer, (stream, other)[index % 2])
    other.synchronize()  # the streams are done in another order than they were given work
    for content, tensor in zip(contents, tensors, strict=True):
        assert np.array_equal(got(stream, tensor.pointer, (8, 8, 3), np.uint8), content)
    drawer.close()
    other.close()
    for memory in (*canvases, *tensors):
        memory.free()


def test_a_decoders_surface_is_drawn_once_it_is_there(fake_gpu: FakeGpu, gpu: Gpu, stream: Stream) -> None:
    content = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    surface = fake_gpu.surface(content)
    tensor = gpu.allocate(192)
    drawer = Drawer(gpu, WHOLE, max_batch=1)
    stream.after_default()
    drawer.draw([canvas_at(surface)], tensor.pointer, stream)
    assert np.array_equal(got(stream, tensor.pointer, (8, 8, 3), np.uint8), content)
    drawer.close()
    tensor.free()
    fake_gpu.free_surface(surface)


def test_a_graph_holds_drawing_picking_and_the_way_back(gpu: Gpu, stream: Stream) -> None:
    canvas, tensor = gpu.allocate(192), gpu.allocate(192)
    output = gpu.allocate(4 * 700)
    drawer, picker = Drawer(gpu, WHOLE, max_batch=1), Picker(gpu, V8, floor=0.5, max_batch=1)
    kept = drawer.keep([canvas_at(canvas.pointer)], stream)
    counts, picked = gpu.pinned((1,), np.int32), gpu.pinned(picker.shape, np.float32)
    back = gpu.pinned((8, 8, 3), np.uint8)

    def work() -> None:
        drawer.draw_kept(kept, tensor.pointer, stream)
        picker.enqueue(output.pointer, 1, stream)
        stream.copy_out(back, tensor.pointer)
        stream.copy_out(counts, picker.counts)
        stream.copy_out(picked, picker.picked)

    work()
    graph = stream.capture(work)
    for level, anchor in ((3, 10), (250, 99)):  # other contents at the same addresses
        content, values = np.full((8, 8, 3), level, np.uint8), np.zeros((7, 100), np.float32)
        values[:, anchor] = 0.5 + level
        stream.copy_in(canvas.pointer, content)
        stream.copy_in(output.pointer, values)
        graph.launch(stream)
        stream.synchronize()
        assert np.array_equal(back, content)
        assert counts.tolist() == [1]
        assert np.array_equal(picked[:, 0], values[:, anchor])
    graph.close()
    drawer.close()
    picker.close()
    picker.close()
    for memory in (canvas, tensor, output):
        memory.free()


def test_drawing_with_new_descriptors_is_not_captured(fake_gpu: FakeGpu, gpu: Gpu, stream: Stream) -> None:
    canvas, tensor = put(gpu, stream, np.zeros(192, np.uint8)), gpu.allocate(192)
    drawer = Drawer(gpu, WHOLE, max_batch=1)
    for _ in range(4):  # from now on a slot is waited for
        drawer.draw([canvas_at(canvas.pointer)], tensor.pointer, stream)
    with pytest.raises(BackendError):
        stream.capture(lambda: drawer.draw([canvas_at(canvas.pointer)], tensor.pointer, stream))
    fake_gpu.forgive()
    drawer.close()
    canvas.free()
    tensor.free()


def test_without_memory_nothing_is_left_behind(fake_gpu: FakeGpu, gpu: Gpu) -> None:
    fake_gpu.machine.out_of_memory_after = 2000  # bytes: some of a picker's fit
    with pytest.raises(BackendError, match="memory"):
        Picker(gpu, V8, floor=0.5, max_batch=4)
    with pytest.raises(BackendError, match="memory"):
        Drawer(gpu, WHOLE, max_batch=64)
