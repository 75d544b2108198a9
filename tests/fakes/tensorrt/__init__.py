"""A fake of TensorRT's Python bindings, for machines without a GPU.

Its names are those that every TensorRT of 10.x and 11.x has (`portable.txt`), no others. It parses with `onnx`,
computes with ONNX Runtime on the fake GPU's memory in the order of its streams, and raises `Misuse` where the real
library would answer with undefined behaviour. What the real one answers with None or False and a line in the logger,
so does this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._builder import Builder
from ._config import IBuilderConfig, IOptimizationProfile, ITimingCache
from ._context import IExecutionContext
from ._dims import Dims, IHostMemory, nptype, volume
from ._engine import EngineInspector, ICudaEngine, Runtime
from ._enums import (
    BuilderFlag,
    DataType,
    DeviceType,
    EngineCapability,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    LayerInformationFormat,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    OnnxParserFlag,
    ProfilingVerbosity,
    TensorFormat,
    TensorIOMode,
    TensorLocation,
)
from ._faults import faults
from ._interfaces import ILogger, IOutputAllocator, IProgressMonitor, Logger, register
from ._names import NotInFake, portable
from ._parser import INetworkDefinition, ITensor, OnnxParser, ParserError

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> Any:  # noqa: ANN401  the version, or nothing
        if name == "__version__":
            return faults().version
        raise NotInFake(f"TensorRT has {name}, the fake has not") if name in portable() else AttributeError(name)


def init_libnvinfer_plugins(logger: ILogger, namespace: str) -> bool:  # noqa: ARG001  the real names
    """Register TensorRT's own plugins; this fake has none."""
    register(logger)
    return True


__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "DeviceType",
    "Dims",
    "EngineCapability",
    "EngineInspector",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IOutputAllocator",
    "IProgressMonitor",
    "ITensor",
    "ITimingCache",
    "LayerInformationFormat",
    "Logger",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "OnnxParserFlag",
    "ParserError",
    "ProfilingVerbosity",
    "Runtime",
    "TensorFormat",
    "TensorIOMode",
    "TensorLocation",
    "init_libnvinfer_plugins",
    "nptype",
    "volume",
]
