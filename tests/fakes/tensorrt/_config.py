"""What a build is told: flags, limits, profiles, the timing cache, the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._base import Handle
from ._dims import Buffer, Dims, IHostMemory, ShapeLike
from ._enums import (
    BuilderFlag,
    DeviceType,
    EngineCapability,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    ProfilingVerbosity,
)
from ._faults import faults
from ._names import NotInFake

if TYPE_CHECKING:
    from ._interfaces import IProgressMonitor

_TIMING = b"FAKETIMING "


class IOptimizationProfile(Handle):
    __slots__ = ("_shapes",)

    def __init__(self, builder: object) -> None:
        del builder  # the real one can't be made otherwise either
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: ShapeLike, opt: ShapeLike, max: ShapeLike) -> None:  # noqa: A002  the real names
        three = (tuple(min), tuple(opt), tuple(max))
        if not all(len(s) == len(three[0]) for s in three) or not all(
            0 <= low <= middle <= high for low, middle, high in zip(*three, strict=True)
        ):
            raise RuntimeError(f"Shape provided for min, opt or max is inconsistent for input {input}: {three}")
        self._shapes[input] = three

    def get_shape(self, input: str) -> list[Dims]:  # noqa: A002  the real name
        return [Dims(shape) for shape in self._shapes.get(input, ())]


class ITimingCache(Handle):
    """How long tactics took. Of another TensorRT or GPU it is refused."""

    __slots__ = ("_entries", "_origin")

    def __init__(self, origin: str, entries: set[str]) -> None:
        self._origin = origin
        self._entries = entries

    def serialize(self) -> IHostMemory:
        return IHostMemory(_TIMING + "\n".join([self._origin, *sorted(self._entries)]).encode())

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:  # noqa: FBT001  as TensorRT has it
        if input_cache._origin != self._origin and not ignore_mismatch:
            return False
        self._entries |= input_cache._entries
        return True

    def reset(self) -> bool:
        self._entries.clear()
        return True


class IBuilderConfig(Handle):
    __slots__ = (
        "_cache",
        "_flags",
        "_origin",
        "_pools",
        "_profiles",
        "avg_timing_iterations",
        "builder_optimization_level",
        "default_device_type",
        "engine_capability",
        "hardware_compatibility_level",
        "max_aux_streams",
        "profiling_verbosity",
        "progress_monitor",
    )

    def __init__(self, *, device: str, memory_bytes: int) -> None:
        self._origin = f"{faults().version} on {device}"
        self._flags = {BuilderFlag.TF32}  # TensorRT's own default
        self._pools: dict[MemoryPoolType, int] = {MemoryPoolType.WORKSPACE: memory_bytes}
        self._profiles: list[IOptimizationProfile] = []
        self._cache: ITimingCache | None = None
        self.avg_timing_iterations = 1
        self.builder_optimization_level = 3
        self.default_device_type = DeviceType.GPU
        self.engine_capability = EngineCapability.STANDARD
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.max_aux_streams = -1
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.progress_monitor: IProgressMonitor | None = None

    def set_flag(self, flag: BuilderFlag) -> None:
        self._flags.add(_flag(flag))

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._flags.discard(_flag(flag))

    def get_flag(self, flag: BuilderFlag) -> bool:
        return _flag(flag) in self._flags

    @property
    def flags(self) -> int:
        return sum(1 << int(flag) for flag in self._flags)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        return self._pools.get(pool, 0)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        if not profile._shapes:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    def create_timing_cache(self, serialized_timing_cache: Buffer) -> ITimingCache | None:
        data = bytes(serialized_timing_cache)
        if not data:
            return ITimingCache(self._origin, set())
        if not data.startswith(_TIMING):
            return None
        origin, *entries = data[len(_TIMING) :].decode(errors="replace").split("\n")
        return ITimingCache(origin, set(entries))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:  # noqa: FBT001  as TensorRT has it
        if cache._origin != self._origin and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


def _flag(flag: BuilderFlag) -> BuilderFlag:
    if not isinstance(flag, BuilderFlag):
        raise TypeError(f"incompatible function arguments: {flag!r} is no BuilderFlag")
    if flag in {
        BuilderFlag.VERSION_COMPATIBLE,
        BuilderFlag.STRIP_PLAN,
        BuilderFlag.WEIGHT_STREAMING,
        BuilderFlag.REFIT,
    }:
        raise NotInFake(f"the fake builds no engine with BuilderFlag.{flag.name}")
    return flag
