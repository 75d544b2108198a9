"""The builder: from a parsed network to the bytes of an engine."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ._base import Handle
from ._config import IBuilderConfig, IOptimizationProfile
from ._device import facts, free_bytes, misused
from ._dims import IHostMemory
from ._enums import NetworkDefinitionCreationFlag
from ._faults import faults
from ._interfaces import ILogger, emit, error, register
from ._parser import INetworkDefinition
from ._plan import Plan
from ._steps import ask_for_step

if TYPE_CHECKING:
    from ._graph import Layer, Tensor
    from ._interfaces import IProgressMonitor

BUILDING = "Building an engine from network"
_API = "Error Code 4: API Usage Error"
PHASES = (("Parsing of layers", 2), ("Tactic selection", 4))  # under BUILDING


class Builder(Handle):
    __slots__ = ("_device", "_logger", "max_threads")

    def __init__(self, logger: ILogger) -> None:
        self._logger = register(logger)
        self._device = facts()
        self.max_threads = 1

    @property
    def logger(self) -> ILogger:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802  the real name
        return 0

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        strongly = 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        if faults().major < 11 and not flags & strongly:
            misused("a weakly typed network: 10.x needs 1 << int(STRONGLY_TYPED), and 11 builds no other")
        if flags & ~strongly:
            misused(f"network flags {flags:#b}: bits that are not STRONGLY_TYPED differ between 10 and 11")
        return INetworkDefinition(self, flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(device=self._device.name, memory_bytes=free_bytes())

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile(self)

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        wrong = self._refused(network, config)
        if wrong is not None:
            error(self._logger, wrong)
            return None
        if not _run_phases(config.progress_monitor, self._logger):
            error(self._logger, "Error Code 10: Internal Error (the build was cancelled by its progress monitor)")
            return None
        if faults().build_crashes:
            os.kill(os.getpid(), signal.SIGSEGV)
        if config._cache is not None:
            config._cache._entries |= {f"{layer.kind}:{layer.name}" for layer in network._layers}
        return IHostMemory(self._plan(network, config).encode())

    def _refused(self, network: INetworkDefinition, config: IBuilderConfig) -> str | None:
        said = faults()
        if said.build_fails is not None:
            return said.build_fails
        if not network.num_outputs:
            return "Error Code 4: Internal Error (Network must have at least one output)"
        need = said.build_needs_bytes
        if need > free_bytes():
            return f"Error Code 2: OutOfMemory (Requested size was {need} bytes.)"
        return _profiles_refused(network._inputs, [p._shapes for p in config._profiles])

    def _plan(self, network: INetworkDefinition, config: IBuilderConfig) -> Plan:
        static: dict[str, tuple[tuple[int, ...], ...]] = {t.name: (t.shape or (),) * 3 for t in network._inputs}
        layers = tuple(_forgotten(layer) if faults().forget_precision else layer for layer in network._layers)
        return Plan(
            version=faults().version,
            device=self._device.name,
            compute_capability=self._device.compute_capability,
            inputs=tuple(network._inputs),
            outputs=tuple(network._outputs),
            data_dependent=network._dependent,
            profiles=tuple({**static, **p._shapes} for p in config._profiles) or (static,),
            layers=layers,
            verbosity=config.profiling_verbosity.name,
            name=network.name,
            onnx=network._onnx,
        )


def _profiles_refused(inputs: list[Tensor], profiles: list[dict[str, tuple[tuple[int, ...], ...]]]) -> str | None:
    dynamic = [t for t in inputs if t.shape is None or -1 in t.shape]
    if dynamic and not profiles:
        return f"{_API} (Network has dynamic or shape inputs, but no optimization profile has been defined.)"
    for index, profile in enumerate(profiles):
        for tensor in dynamic:
            if tensor.name not in profile:
                return f"{_API} (In optimization profile {index}, input {tensor.name} has no dimensions.)"
        for tensor in inputs:
            for shape in profile.get(tensor.name, ()):
                if tensor.shape is not None and not _fits(shape, tensor.shape):
                    return f"{_API} (Profile {index}: {tensor.name}: {shape} does not fit {tensor.shape})"
    unknown = {name for profile in profiles for name in profile} - {t.name for t in inputs}
    return f"{_API} ({sorted(unknown)} are no inputs)" if unknown else None


def _fits(shape: tuple[int, ...], allowed: tuple[int, ...]) -> bool:
    return len(shape) == len(allowed) and all(a in (-1, s) for s, a in zip(shape, allowed, strict=True))


def _forgotten(layer: Layer) -> Layer:
    def plain(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(replace(t, dtype="FLOAT") if t.dtype in {"HALF", "BF16", "INT8"} else t for t in tensors)

    return replace(layer, inputs=plain(layer.inputs), outputs=plain(layer.outputs), weights=layer.weights and "FLOAT")


def _run_phases(monitor: IProgressMonitor | None, logger: ILogger) -> bool:
    """Go through the build in a thread of the library's own; False: cancelled."""
    going = [True]
    builder = threading.Thread(target=_build, args=(monitor, logger, going), name="tensorrt-builder", daemon=True)
    builder.start()
    builder.join()
    return going[0]


def _build(monitor: IProgressMonitor | None, logger: ILogger, going: list[bool]) -> None:
    try:
        _told(monitor, "phase_start", BUILDING, None, len(PHASES))
        for number, (phase, steps) in enumerate(PHASES):
            _told(monitor, "phase_start", phase, BUILDING, steps)
            for step in range(steps):
                ask_for_step(phase)
                going[0] = going[0] and _told(monitor, "step_complete", phase, step) is not False
                if not going[0]:
                    break
            _told(monitor, "phase_finish", phase)
            if not going[0]:
                break
            going[0] = _told(monitor, "step_complete", BUILDING, number) is not False
        _told(monitor, "phase_finish", BUILDING)
    except Exception as exc:  # noqa: BLE001  as the bindings: printed, and the build is cancelled
        emit(logger, ILogger.Severity.ERROR, f"progress monitor: {type(exc).__name__}: {exc}")
        going[0] = False


def _told(monitor: IProgressMonitor | None, call: str, *args: object) -> object:
    return None if monitor is None else getattr(monitor, call)(*args)
