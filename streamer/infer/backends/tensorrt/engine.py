"""A built engine, loaded: what stands on its outside, and the contexts that run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.infer.backends.batch import check_input, check_names

from .logger import process_logger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import tensorrt

    from streamer.cuda.gpu import Memory
    from streamer.infer.spec import InputSpec

Shape = tuple[int, ...]

# In TensorRT's reasons for reading no engine: it is the GPU or its driver then, and building anew would be in vain.
_NOT_THE_PLAN = ("cuda runtime", "cuda driver", "cuda initialization")


class PlanRefused(BackendError):  # noqa: N818  it is what TensorRT does with a plan
    """TensorRT can't read a plan: it is damaged, or of another version or GPU than its facts say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output."""

    name: str
    shape: Shape  # -1: open
    dtype: str  # numpy's name, or bfloat16


class Engine:
    """An engine and what keeps it alive. The GPU is current in whoever calls it."""

    def __init__(self, trt: ModuleType, runtime: tensorrt.Runtime, handle: tensorrt.ICudaEngine) -> None:
        """Read its outside.

        Raises:
            BackendError: it has tensors that we can't feed or read.
        """
        self._trt = trt
        self._runtime = runtime  # outlives the engine
        self._handle = handle
        names = [handle.get_tensor_name(i) for i in range(handle.num_io_tensors)]
        for name in names:
            on_device = handle.get_tensor_location(name) == trt.TensorLocation.DEVICE
            if not on_device or handle.get_tensor_format(name) != trt.TensorFormat.LINEAR:
                raise BackendError(f"its tensor {name!r} is no plain one in the GPU's memory: such engines are not run")
        is_input = {name: handle.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self.inputs = {name: self._tensor(name) for name in names if is_input[name]}
        self.outputs = {name: self._tensor(name) for name in names if not is_input[name]}
        self.activation_bytes = int(handle.device_memory_size_v2)  # of one context, at the profile's largest shapes

    def check(self, spec: InputSpec, wanted: Sequence[str]) -> None:
        """Check that this is an engine of the model.

        Raises:
            BackendError: it has other tensors, or computes fewer pictures at once.
        """
        check_input(spec)
        check_names(spec, list(self.inputs), self.outputs, wanted)
        picture = self.inputs[spec.name]
        expected = picture_shape(spec, -1 if picture.shape[0] == -1 else spec.max_batch)
        if picture.shape != expected:
            raise BackendError(f"its input {picture.name!r} is {picture.shape}, expected {expected}")
        allowed = ("uint8",) if spec.dtype == "uint8" else ("float32", "float16")  # what the kernel writes
        if picture.dtype not in allowed:
            raise BackendError(f"its input {picture.name!r} takes {picture.dtype}, expected {' or '.join(allowed)}")
        least, _, most = (tuple(shape) for shape in self._handle.get_tensor_profile_shape(spec.name, 0))
        fewest = spec.max_batch if spec.fixed_batch else 1
        if picture.shape[0] == -1 and not (least[0] <= fewest and spec.max_batch <= most[0]):
            built = f"{least[0]}..{most[0]} pictures"
            raise BackendError(f"it was built for {built} at once, {fewest}..{spec.max_batch} are wanted")

    def open_context(self, activations: Memory, shapes: Mapping[str, Shape]) -> tensorrt.IExecutionContext:
        """Return a new execution context for inputs of these shapes, which shares the memory of its activations.

        Raises:
            BackendError: memory is short, or a shape is outside the profile.
        """
        tail = process_logger(self._trt).tail
        mark = tail.mark()
        context = self._handle.create_execution_context(self._trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise BackendError(f"TensorRT can't open it, most often for want of GPU memory: {tail.since(mark)}")
        context.set_device_memory(activations.pointer, activations.nbytes)
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise BackendError(f"its input {name!r} can't be {shape}: {tail.since(mark)}")
        missing = context.infer_shapes()
        if missing:
            raise BackendError(f"its shapes stay open without {', '.join(missing)}: {tail.since(mark)}")
        return context

    def close(self) -> None:
        """Let go of it; contexts are gone already. Once."""
        del self._handle
        del self._runtime

    def _tensor(self, name: str) -> Tensor:
        kinds = {
            self._trt.DataType.FLOAT: "float32",
            self._trt.DataType.HALF: "float16",
            self._trt.DataType.BF16: "bfloat16",
            self._trt.DataType.INT32: "int32",
            self._trt.DataType.INT64: "int64",
            self._trt.DataType.INT8: "int8",
            self._trt.DataType.UINT8: "uint8",
            self._trt.DataType.BOOL: "bool",
        }
        dtype = self._handle.get_tensor_dtype(name)
        if dtype not in kinds:
            raise BackendError(f"its tensor {name!r} is {dtype}: such numbers are not read")
        return Tensor(name=name, shape=tuple(self._handle.get_tensor_shape(name)), dtype=kinds[dtype])


def picture_shape(spec: InputSpec, pictures: int) -> Shape:
    """Return the shape of the input for so many pictures."""
    each = (*spec.hw, 3) if spec.layout == "nhwc" else (3, *spec.hw)
    return (pictures, *each) if spec.batched else each


def load_engine(trt: ModuleType, plan: bytes) -> Engine:
    """Read a plan. It holds native code: it must come from our own cache. The GPU is current.

    Raises:
        PlanRefused: TensorRT can't read it.
        BackendError: memory is short, or it has tensors that we can't feed or read.
    """
    logger = process_logger(trt)
    mark = logger.tail.mark()
    try:
        runtime = trt.Runtime(logger)
        handle = runtime.deserialize_cuda_engine(plan)
    except Exception as exc:  # pybind11: a TypeError for want of a GPU, a MemoryError, a RuntimeError
        raise BackendError(f"TensorRT can't start: {logger.tail.since(mark)} ({exc})") from exc
    if handle is None:
        said = logger.tail.since(mark)
        if "memory" in said.lower():
            raise BackendError(f"the GPU's memory is short: {said}")
        if any(word in said.lower() for word in _NOT_THE_PLAN):
            raise BackendError(f"TensorRT can't work on this GPU now: {said}")
        raise PlanRefused(said)
    return Engine(trt, runtime, handle)
