"""Loading the bytes of an engine, and what can be asked of it."""

# ruff: noqa: ARG002  the arguments are TensorRT's

from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING, Any

from ._base import Handle
from ._context import IExecutionContext
from ._device import CudaError, CudaMemoryError, facts, hook, misused, require_alive, require_context
from ._dims import Buffer, Dims, IHostMemory
from ._enums import (
    DataType,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    LayerInformationFormat,
    ProfilingVerbosity,
    TensorFormat,
    TensorIOMode,
    TensorLocation,
)
from ._faults import faults
from ._graph import TYPES
from ._interfaces import ILogger, emit, error, register
from ._names import NotInFake
from ._plan import BadPlanError, decode

if TYPE_CHECKING:
    from ._graph import Layer, Tensor
    from ._plan import Plan

_SPELLED = {name: (late, early) for name, late, early in TYPES.values()}


def reserved(logger: ILogger, nbytes: int, owner: object) -> bool:
    """Take GPU memory that is given back when `owner` goes; False, and the reason in the logger: there is none."""
    try:
        require_alive()
        reservation = hook.reserve(nbytes)
    except CudaMemoryError:
        error(logger, f"Error Code 2: OutOfMemory (Requested size was {nbytes} bytes.)")
        return False
    except CudaError as exc:
        error(logger, f"Error Code 1: Cuda Runtime ({exc})")
        return False
    weakref.finalize(owner, reservation.free)
    return True


class Runtime(Handle):
    __slots__ = ("_logger", "engine_host_code_allowed", "max_threads")

    def __init__(self, logger: ILogger) -> None:
        self._logger = register(logger)
        self.engine_host_code_allowed = False
        self.max_threads = 1

    @property
    def logger(self) -> ILogger:
        return self._logger

    def deserialize_cuda_engine(self, serialized_engine: Buffer) -> ICudaEngine | None:
        require_context("deserialize_cuda_engine")
        try:
            plan = decode(bytes(serialized_engine))
        except BadPlanError as exc:
            error(self._logger, f"[runtime.cpp] Error Code 1: Serialization ({exc})")
            return None
        wrong = _misfit(plan, self._logger)
        if wrong is not None:
            error(self._logger, wrong)
            return None
        engine = ICudaEngine(plan, self)
        size = faults().engine_bytes
        return engine if reserved(self._logger, len(plan.onnx) if size is None else size, engine) else None


def _misfit(plan: Plan, logger: ILogger) -> str | None:
    said, here = faults(), facts()
    if plan.version != said.version:
        return (
            "[runtime.cpp] Error Code 1: Serialization (The engine plan file is not compatible with this version of "
            f"TensorRT, expecting library version {said.version} got {plan.version}, please rebuild.)"
        )
    if plan.compute_capability != tuple(here.compute_capability):
        want, got = (".".join(map(str, cc)) for cc in (here.compute_capability, plan.compute_capability))
        return (
            "[runtime.cpp] Error Code 6: API Usage Error (The engine plan file is generated on an incompatible device, "
            f"expecting compute {want} got compute {got}, please rebuild.)"
        )
    if plan.device != here.name:
        emit(
            logger,
            ILogger.Severity.WARNING,
            "Using an engine plan file across different models of devices is not supported",
        )
    return None


class ICudaEngine(Handle):
    __slots__ = ("_plan", "_runtime", "_tensors")

    def __init__(self, plan: Plan, runtime: Runtime) -> None:
        self._plan = plan
        self._runtime = runtime
        self._tensors = {t.name: t for t in (*plan.inputs, *plan.outputs)}

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def num_layers(self) -> int:
        return len(self._plan.layers)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._plan.profiles)

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def refittable(self) -> bool:
        return False

    @property
    def streamable_weights_size(self) -> int:
        return 0

    @property
    def device_memory_size_v2(self) -> int:
        return faults().context_bytes

    @property
    def profiling_verbosity(self) -> ProfilingVerbosity:
        return ProfilingVerbosity[self._plan.verbosity]

    @property
    def hardware_compatibility_level(self) -> HardwareCompatibilityLevel:
        return HardwareCompatibilityLevel.NONE

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def __getitem__(self, arg0: int) -> str:
        return self.get_tensor_name(arg0)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        if name not in self._tensors:
            return TensorIOMode.NONE
        return TensorIOMode.INPUT if name in self._inputs() else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._tensor(name).dtype]

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(self._tensor(name).shape or ())

    def get_tensor_location(self, name: str) -> TensorLocation:
        self._tensor(name)
        return TensorLocation.DEVICE

    def get_tensor_format(self, name: str, profile_index: int = 0) -> TensorFormat:
        self._tensor(name)
        return TensorFormat.LINEAR

    def get_tensor_format_desc(self, name: str, profile_index: int = 0) -> str:
        return f"Row major linear {_SPELLED[self._tensor(name).dtype][1]} format (kLINEAR)"

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        if name not in self._inputs():
            return [Dims()] * 3
        return [Dims(shape) for shape in self._plan.profiles[profile_index][name]]

    def is_shape_inference_io(self, name: str) -> bool:
        self._tensor(name)
        return False

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self)

    def create_execution_context(
        self, strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC
    ) -> IExecutionContext | None:
        require_context("create_execution_context")
        managed = strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        context = IExecutionContext(self, self._runtime.logger, managed=managed)
        nbytes = faults().persistent_bytes + (0 if managed else self.device_memory_size_v2)
        return context if not nbytes or reserved(self._runtime.logger, nbytes, context) else None

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._plan.encode())

    def _inputs(self) -> set[str]:
        return {t.name for t in self._plan.inputs}

    def _tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            misused(f"{name!r} is no tensor of this engine: TensorRT logs it and returns a value without meaning")
        return self._tensors[name]


class EngineInspector(Handle):
    __slots__ = ("_engine", "execution_context")

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self.execution_context: IExecutionContext | None = None

    def get_engine_information(self, format: LayerInformationFormat) -> str:  # noqa: A002  the real name
        plan = self._engine._plan
        if format is not LayerInformationFormat.JSON:
            raise NotInFake("the inspector's lines")
        shapes_known = self._shapes_known()
        said: dict[str, Any] = {"Layers": [_layer(layer, plan, shapes_known=shapes_known) for layer in _shown(plan)]}
        if plan.version.startswith("10."):
            said["Bindings"] = [t.name for t in (*plan.inputs, *plan.outputs)]
        else:
            said["ProfilingVerbosity"] = plan.verbosity
            said["I/O Tensors"] = [_border(t, plan, "Input") for t in plan.inputs]
            said["I/O Tensors"] += [_border(t, plan, "Output") for t in plan.outputs]
        return json.dumps(said)

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:  # noqa: A002
        plan = self._engine._plan
        if format is not LayerInformationFormat.JSON:
            raise NotInFake("the inspector's lines")
        return json.dumps(_layer(plan.layers[layer_index], plan, shapes_known=self._shapes_known()))

    def _shapes_known(self) -> bool:
        return self.execution_context is not None and self.execution_context.all_binding_shapes_specified


def _shown(plan: Plan) -> tuple[Layer, ...]:
    return () if plan.verbosity == "NONE" else plan.layers


def _layer(layer: Layer, plan: Plan, *, shapes_known: bool) -> object:
    if plan.verbosity != "DETAILED":
        return layer.name
    said: dict[str, Any] = {
        "Name": layer.name,
        "LayerType": layer.kind,
        "Inputs": [_inner(t, plan.version, shapes_known=shapes_known) for t in layer.inputs],
        "Outputs": [_inner(t, plan.version, shapes_known=shapes_known) for t in layer.outputs],
        "ParameterType": layer.kind,
        "TacticValue": "0x0000000000000000",
        "StreamId": 0,
        "Metadata": f"[ONNX Layer: {layer.name}]",
    }
    if layer.weights:
        said["Weights"] = {"Type": _SPELLED[layer.weights][0], "Count": 1}
    return said


def _inner(tensor: Tensor, version: str, *, shapes_known: bool) -> dict[str, Any]:
    """One tensor of a layer. 10 has format and type in one field, the early ones as a phrase; 11 has two fields."""
    late, early = _SPELLED[tensor.dtype]
    if not shapes_known and (tensor.shape is None or -1 in tensor.shape):
        late, early = "N/A due to dynamic shapes", "N/A due to dynamic shapes"
    said: dict[str, Any] = {"Name": tensor.name, "Location": "Device", "Dimensions": list(tensor.shape or ())}
    if version.startswith("10.3."):
        return {**said, "Format/Datatype": f"Row major linear {early} format"}
    if version.startswith("10."):
        return {**said, "Format/Datatype": late}
    return {**said, "Format": "Row major linear", "DataType": late}


def _border(tensor: Tensor, plan: Plan, mode: str) -> dict[str, Any]:
    late, early = _SPELLED[tensor.dtype]
    profiles = [p[tensor.name] for p in plan.profiles if tensor.name in p]
    return {
        "Name": tensor.name,
        "IOMode": mode,
        "DataType": late,
        "Dimensions": list(tensor.shape or ()),
        "Location": "Device",
        "IsShapeInferenceIO": False,
        "ProfileInfo": [
            {
                "MinShape": list(low),
                "OptShape": list(middle),
                "MaxShape": list(high),
                "Format": f"Row major linear {early} format (kLINEAR)",
            }
            for low, middle, high in profiles
        ],
    }
