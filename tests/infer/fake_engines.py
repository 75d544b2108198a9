"""Small networks, and engines of the fake TensorRT made from them."""

# ruff: noqa: ANN401  the fake's module and its classes belong to the import of each test; protobuf has no types

from __future__ import annotations

import contextlib
import gc
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import tensorrt as trt
    from numpy.typing import NDArray

SHAPE = (3, 4, 4)  # of one picture of `write_doubling`


class Fake:
    """The fake TensorRT as one test has it. Made under the fixture `fake_gpu`."""

    def __init__(self) -> None:
        self.trt: Any = importlib.import_module("tensorrt")
        self.faults = importlib.import_module("tensorrt._faults")
        self.Misuse: type[AssertionError] = importlib.import_module("tensorrt._names").Misuse
        self.NotPortable: type[AssertionError] = importlib.import_module("tensorrt._names").NotPortable
        self.said: list[str] = []
        self._context: Any = None
        said = self.said

        class Keeps(self.trt.ILogger):  # type: ignore[name-defined, misc]  # of this test's import
            def __init__(self) -> None:
                super().__init__()

            def log(self, severity: Any, msg: str) -> None:  # noqa: ARG002  as TensorRT calls it
                said.append(msg)

        self.logger = Keeps()

    def set(self, **faults: Any) -> None:
        self.faults.set_faults(self.faults.Faults(**faults))

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU's context current in this thread."""
        driver = importlib.import_module("pycuda.driver")
        self._context = self._context or driver.Device(0).retain_primary_context()
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()


def save(
    path: Path, nodes: Sequence[Any], *, inputs: Sequence[Any], outputs: Sequence[Any], weights: Sequence[Any] = ()
) -> Path:
    """Write one graph as a model."""
    graph = helper.make_graph(list(nodes), "small", list(inputs), list(outputs), initializer=list(weights))
    onnx.save(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8
        ),
        str(path),
    )
    return path


def tensor(name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> Any:
    """Describe an input or an output."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def weight(name: str, value: NDArray[Any]) -> Any:
    """Return a weight."""
    return numpy_helper.from_array(value, name)


def write_doubling(path: Path, *, batch: int | str = "batch") -> Path:
    """Write a network that doubles each value of `images`, (batch, 3, 4, 4), in f32."""
    return save(
        path,
        [helper.make_node("Mul", ["images", "two"], ["doubled"], name="double")],
        inputs=[tensor("images", (batch, *SHAPE))],
        outputs=[tensor("doubled", (batch, *SHAPE))],
        weights=[weight("two", np.array(2.0, np.float32))],
    )


def write_half(path: Path) -> Path:
    """Write a network that doubles in f16, between casts."""
    nodes = [
        helper.make_node("Cast", ["images"], ["h"], name="to-half", to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["h", "two"], ["hh"], name="double"),
        helper.make_node("Cast", ["hh"], ["doubled"], name="to-float", to=TensorProto.FLOAT),
    ]
    ports = {"inputs": [tensor("images", (1, *SHAPE))], "outputs": [tensor("doubled", (1, *SHAPE))]}
    return save(path, nodes, **ports, weights=[weight("two", np.array(2.0, np.float16))])


def write_quantized(path: Path, *, zero: NDArray[Any] | None = None, bias: NDArray[Any] | None = None) -> Path:
    """Write a convolution between quantising nodes."""
    zero = np.array(0, np.int8) if zero is None else zero
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "s", "zw"], ["dw"], name="dw"),
        helper.make_node("Conv", ["dq", "dw", *(["db"] if bias is not None else [])], ["seen"], name="conv"),
    ]
    weights = [
        weight("s", np.array(0.1, np.float32)),
        weight("z", zero),
        weight("zw", np.array(0, np.int8)),
        weight("w", np.ones((2, 3, 1, 1), np.int8)),
    ]
    if bias is not None:
        nodes.insert(0, helper.make_node("DequantizeLinear", ["b", "s"], ["db"], name="db"))
        weights.append(weight("b", bias))
    return save(
        path, nodes, inputs=[tensor("images", (1, *SHAPE))], outputs=[tensor("seen", (1, 2, 4, 4))], weights=weights
    )


def write_finding(path: Path) -> Path:
    """Write a network whose output is as long as there are values above 0."""
    nodes = [helper.make_node("NonZero", ["images"], ["found"], name="find")]
    return save(path, nodes, inputs=[tensor("images", (4,))], outputs=[tensor("found", (1, "n"), TensorProto.INT64)])


@dataclass(frozen=True, slots=True)
class Parsed:
    """A builder with a network in it."""

    builder: trt.Builder
    network: trt.INetworkDefinition
    config: trt.IBuilderConfig
    parser: trt.OnnxParser
    taken: bool


def parse(library: Any, logger: trt.ILogger, path: Path) -> Parsed:
    """Parse a model as code for 10.x and 11.x does."""
    builder = library.Builder(logger)
    old = library.__version__.startswith("10.")
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if old else 0)
    parser = library.OnnxParser(network, logger)
    taken = parser.parse_from_file(str(path))
    config = builder.create_builder_config()
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    return Parsed(builder, network, config, parser, taken)


def plan_of(library: Any, logger: trt.ILogger, path: Path, *, max_batch: int = 4) -> bytes:
    """Build a model; a batch axis that is open becomes 1 to `max_batch`."""
    parsed = parse(library, logger, path)
    assert parsed.taken, [str(parsed.parser.get_error(i)) for i in range(parsed.parser.num_errors)]
    shape = tuple(parsed.network.get_input(0).shape)
    if -1 in shape:
        profile = parsed.builder.create_optimization_profile()
        profile.set_shape(parsed.network.get_input(0).name, (1, *shape[1:]), (1, *shape[1:]), (max_batch, *shape[1:]))
        assert parsed.config.add_optimization_profile(profile) == 0
    built = parsed.builder.build_serialized_network(parsed.network, parsed.config)
    assert built is not None
    return bytes(built)


PICTURE_BYTES = 4 * int(np.prod(SHAPE))


class Running:
    """An engine with its context, buffers and stream; the CUDA context is current while the test lasts."""

    def __init__(self, fake: Fake, plan: bytes, *, max_batch: int = 4) -> None:
        self.cuda = importlib.import_module("pycuda.driver")
        self.stream = self.cuda.Stream(1)
        self.runtime = fake.trt.Runtime(fake.logger)
        self.engine = self.runtime.deserialize_cuda_engine(plan)
        assert self.engine is not None, fake.said
        self.context = self.engine.create_execution_context()
        self.source = self.cuda.mem_alloc(max_batch * PICTURE_BYTES)
        self.target = self.cuda.mem_alloc(max_batch * PICTURE_BYTES)

    def bind(self, batch: int = 1) -> None:
        assert self.context.set_input_shape("images", (batch, *SHAPE))
        assert self.context.infer_shapes() == []
        assert self.context.set_tensor_address("images", int(self.source))
        assert self.context.set_tensor_address("doubled", int(self.target))

    def close(self) -> None:
        """Let go of everything, while the CUDA context is current."""
        self.stream.synchronize()
        self.context = self.engine = self.runtime = self.source = self.target = self.stream = None
        gc.collect()

    def put(self, pictures: NDArray[np.float32]) -> None:
        self.cuda.memcpy_htod(self.source, np.ascontiguousarray(pictures))

    def got(self, batch: int) -> NDArray[np.float32]:
        found = np.empty((batch, *SHAPE), np.float32)
        self.cuda.memcpy_dtoh(found, self.target)
        return found


def pictures(batch: int) -> NDArray[np.float32]:
    """Return that many pictures, all values different."""
    return np.arange(batch * np.prod(SHAPE), dtype=np.float32).reshape(batch, *SHAPE)
