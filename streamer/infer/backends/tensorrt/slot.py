"""One of the batches in flight: its own buffers, its own stream, and a prepared run for each batch size it has met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.pixels.device import drawing_of_canvas

from .buffers import Canvases, Output
from .engine import picture_shape
from .graphs import Run
from .growing import Growing, open_allocator
from .logger import process_logger
from .picked import Picked, layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    import tensorrt

    from streamer.cuda.draw import Drawer, Drawing, Kept
    from streamer.cuda.gpu import Gpu, Memory, Stream
    from streamer.infer.backends.base import Pick
    from streamer.infer.backends.pool import Outputs
    from streamer.infer.spec import InputSpec

    from .closing import Closing
    from .engine import Engine, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """What all slots share."""

    trt: ModuleType
    engine: Engine
    activations: Memory
    addresses: Mapping[str, int]  # of the inputs
    drawer: Drawer
    input_spec: InputSpec
    output_names: tuple[str, ...]
    pick: Pick | None
    short_of_memory: Callable[[str], None]  # told why a batch size is computed by the run of a larger one


class Slot:
    """For one batch at a time. The GPU is current in whoever calls it."""

    def __init__(self, gpu: Gpu, closing: Closing, plan: SlotPlan) -> None:
        """Allocate for the largest batch, and prepare it; `closing` frees.

        Raises:
            BackendError: memory is short.
        """
        self._gpu, self._plan = gpu, plan
        most = plan.input_spec.max_batch
        self.stream: Stream = gpu.open_stream()
        closing.callback(self.stream.close)
        self.canvases = Canvases(gpu, closing, (most, *plan.input_spec.hw, 3))
        self._outputs: dict[str, Output] = {}
        self._growing: dict[str, Growing] = {}
        self._allocators: list[tensorrt.IOutputAllocator] = []
        self._picked: Picked | None = None
        # Held here and nowhere else: an error's traceback would keep what a frame names beyond the engine's own end.
        self._contexts: dict[int, tensorrt.IExecutionContext] = {}
        self._runs: dict[int, Run] = {}
        self._shapes: dict[int, Mapping[str, Shape]] = {}  # of the outputs of each batch size
        closing.callback(self._contexts.clear)
        self._open_context(most)
        self._allocate(closing)
        closing.callback(self._close)
        self._runs[most] = self._prepared(most)
        drawings = [drawing_of_canvas(self.canvases.pointer(row), plan.input_spec.hw) for row in range(most)]
        self._kept: Kept = plan.drawer.keep(drawings, self.stream)
        closing.callback(self.stream.synchronize)

    @property
    def growing(self) -> str:
        """Names of the outputs whose length only the pixels decide; there may be none."""
        return ", ".join(self._growing)

    def start(self, count: int, stream: Stream) -> None:
        """Enqueue the network for the first `count` pictures of its input; a batch size that is new is prepared.

        The memory that was free when the model was opened may be taken by then, by the decoders of the cameras. A
        larger batch that is there serves too: what it computes beside the pictures is left where it is.

        Raises:
            CaptureFailed: it has been started, but not as a graph.
            BackendError: TensorRT or the GPU failed, and no larger batch can stand in.
        """
        run = self._runs.get(count)
        try:
            if run is None:
                run = self._runs[count] = self._prepared(count)
            run.start(stream)
        except BackendError as exc:
            if run is not None and run.warm:
                raise
            larger = self._larger(count, failed=run)
            if larger is None:
                raise
            self._runs[count] = larger
            if run is None:  # else what it has begun may still be under way
                self._contexts.pop(count, None)
            self._plan.short_of_memory(str(exc))
            larger.start(stream)

    def draw_canvases(self, count: int, stream: Stream) -> None:
        """Enqueue the drawing of the first canvases of this slot into the network's input."""
        destination = self._plan.addresses[self._plan.input_spec.name]
        self._plan.drawer.draw_kept(self._kept, destination, stream, pictures=count)

    def draw(self, drawings: Sequence[Drawing], stream: Stream) -> None:
        """Enqueue the drawing of pictures, wherever they are, into the network's input."""
        self._plan.drawer.draw(drawings, self._plan.addresses[self._plan.input_spec.name], stream)

    def copy_out(self, count: int) -> None:
        """Enqueue the outputs' way out."""
        if self._picked is not None:
            self._picked.copy_out(count, self.stream)
            return
        shapes = self._shapes[count]
        for name, output in self._outputs.items():
            if name in self._plan.output_names:
                output.copy_out(shapes[name], self.stream)

    def read(self, count: int) -> tuple[Outputs, bool]:
        """Return the outputs of a batch that is done, and whether they had to be copied whole although picked."""
        shapes = self._shapes[count]
        if self._picked is not None:
            (name,) = self._plan.output_names
            picked = self._picked.read(count)
            if picked is not None:
                return (picked,), False
            self._outputs[name].copy_out(shapes[name], self.stream)
            self.stream.synchronize()
            return (self._outputs[name].read(shapes[name]),), True
        names = self._plan.output_names
        return tuple(
            self._growing[n].read(self.stream) if n in self._growing else self._outputs[n].read(shapes[n])
            for n in names
        ), False

    def _open_context(self, count: int) -> None:
        spec = self._plan.input_spec
        shapes: dict[str, Shape] = {spec.name: picture_shape(spec, count)}
        shapes.update({extra.name: (count, *extra.axes) for extra in spec.extras})
        self._contexts[count] = self._plan.engine.open_context(self._plan.activations, shapes)

    def _allocate(self, closing: Closing) -> None:
        """Allocate every output, wanted or not: TensorRT writes them all."""
        plan, most = self._plan, self._plan.input_spec.max_batch
        for name, tensor in plan.engine.outputs.items():
            largest = tuple(self._contexts[most].get_tensor_shape(name))
            if -1 in largest:
                most_bytes = int(self._contexts[most].get_max_output_size(name))
                growing = Growing(self._gpu, tensor, most_bytes, process_logger(plan.trt).tail)
                closing.callback(growing.close)
                self._growing[name] = growing
                self._allocators.append(open_allocator(plan.trt, growing))
                continue
            output = self._outputs[name] = Output(self._gpu, closing, tensor, largest)
            wanted = name in plan.output_names
            layout = layout_of(plan.pick, largest, tensor.dtype) if plan.pick and wanted else None
            if layout is not None and len(plan.output_names) == 1 and plan.pick is not None:
                self._picked = Picked(self._gpu, closing, layout, plan.pick, most)
            elif wanted:
                output.pin()

    def _prepared(self, count: int) -> Run:
        """Give the context of a batch size its addresses; open it, if it is not there yet."""
        if count not in self._contexts:
            self._open_context(count)
        plan = self._plan
        context: tensorrt.IExecutionContext = self._contexts[count]
        addresses = {**plan.addresses, **{name: output.pointer for name, output in self._outputs.items()}}
        given = [context.set_tensor_address(name, address) for name, address in addresses.items()]
        given += [
            context.set_output_allocator(name, a) for name, a in zip(self._growing, self._allocators, strict=True)
        ]
        if not all(given):
            raise BackendError("TensorRT refuses an address of one of its tensors")
        self._shapes[count] = {name: tuple(context.get_tensor_shape(name)) for name in plan.engine.outputs}
        after = None
        if self._picked is not None:
            (name,) = plan.output_names
            after = partial(self._picked.enqueue, self._outputs[name].pointer, count)
        return Run(context, after=after, capturable=not self._growing, tail=process_logger(plan.trt).tail)

    def _larger(self, count: int, *, failed: Run | None) -> Run | None:
        """Return the run of the next larger batch size, and note of its outputs what belongs to `count` pictures.

        None: there is no other, or one of its outputs can't be cut. After a run that has failed only one that has done
        its work before comes into question.
        """
        sizes = [n for n, run in self._runs.items() if n > count and run is not failed and (failed is None or run.warm)]
        if not sizes or self._growing:
            return None
        larger = min(sizes)
        shapes: dict[str, Shape] = {}
        for name, shape in self._shapes[larger].items():
            open_ended = self._plan.engine.outputs[name].shape[:1] == (-1,)  # a row, or some, for each picture
            if open_ended and shape[0] % larger:
                return None
            shapes[name] = (shape[0] // larger * count, *shape[1:]) if open_ended else shape
        self._shapes[count] = shapes
        return self._runs[larger]

    def _close(self) -> None:
        for run in set(self._runs.values()):
            run.close()
        self._runs.clear()
        self._contexts.clear()
        self._allocators.clear()
