"""The enums, with the members that every TensorRT of 10.x and 11.x has. Where the numbers moved: (10.x, 11.x)."""

from __future__ import annotations

from ._base import Names


class DataType(Names):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9


class BuilderFlag(Names):
    DEBUG = 2
    GPU_FALLBACK = 3
    REFIT = 4
    DISABLE_TIMING_CACHE = 5
    TF32 = 6
    SPARSE_WEIGHTS = 7
    SAFETY_SCOPE = 8
    DIRECT_IO = 11
    VERSION_COMPATIBLE = (13, 12)
    EXCLUDE_LEAN_RUNTIME = (14, 13)
    ERROR_ON_TIMING_CACHE_MISS = (16, 15)
    DISABLE_COMPILATION_CACHE = (18, 17)
    STRIP_PLAN = (19, 18)
    REFIT_IDENTICAL = (20, 19)
    WEIGHT_STREAMING = (21, 20)


class NetworkDefinitionCreationFlag(Names):
    STRONGLY_TYPED = (1, 0)


class MemoryPoolType(Names):
    WORKSPACE = 0
    DLA_MANAGED_SRAM = 1
    DLA_LOCAL_DRAM = 2
    DLA_GLOBAL_DRAM = 3
    TACTIC_DRAM = 4
    TACTIC_SHARED_MEMORY = 5


class TensorIOMode(Names):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Names):
    DEVICE = 0
    HOST = 1


class TensorFormat(Names):
    LINEAR = 0
    CHW2 = 1
    HWC8 = 2
    CHW4 = 3
    CHW16 = 4
    CHW32 = 5
    DHWC8 = 6
    CDHW32 = 7
    HWC = 8
    DLA_LINEAR = 9
    DLA_HWC4 = 10
    HWC16 = 11
    DHWC = 12


class HardwareCompatibilityLevel(Names):
    NONE = 0
    AMPERE_PLUS = 1


class ProfilingVerbosity(Names):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class LayerInformationFormat(Names):
    ONELINE = 0
    JSON = 1


class ExecutionContextAllocationStrategy(Names):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class DeviceType(Names):
    GPU = 0
    DLA = 1


class EngineCapability(Names):
    STANDARD = 0
    SAFETY = 1
    DLA_STANDALONE = 2


class OnnxParserFlag(Names):
    NATIVE_INSTANCENORM = 0
