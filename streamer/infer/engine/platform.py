"""Where an engine is built and runs: on any other GPU or TensorRT it is another engine."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.cuda.gpu import GpuInfo

_CUDA_BUILDS = (13, 12)  # TensorRT's wheels, `tensorrt_cu13_libs` ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlatform:
    """All that a plan depends on beside the model and the recipe."""

    tensorrt: str  # full version, as the runtime says it
    cuda: int  # major version that TensorRT was built for
    os: str
    machine: str  # x86_64, aarch64 ...
    gpu: str  # its name
    compute_capability: tuple[int, int]
    multiprocessors: int  # slices of a GPU and variants of one name differ in it


def this_platform(device: int) -> EnginePlatform:
    """Return what this process would build for.

    Args:
        device: GPU index.

    Raises:
        BackendError: TensorRT, the driver or a GPU is missing; the message says how to get it.
        ConfigError: there are GPUs, but none of this index.
    """
    from streamer.infer.backends.tensorrt.runtime import load_runtime  # noqa: PLC0415  only when chosen

    version = str(load_runtime().__version__)
    gpu = _gpu(device)
    return EnginePlatform(
        tensorrt=version,
        cuda=_cuda_of_wheels(version) or gpu.cuda_version[0],
        os=platform.system().lower(),
        machine=platform.machine().lower(),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        multiprocessors=gpu.multiprocessors,
    )


def _gpu(device: int) -> GpuInfo:
    from streamer.cuda.gpu import look_for_gpus  # noqa: PLC0415  only when chosen
    from streamer.cuda.open import open_gpu  # noqa: PLC0415  only when chosen

    gpus = look_for_gpus()
    if gpus and device >= len(gpus):
        there = "there is one, 0" if len(gpus) == 1 else f"there are 0..{len(gpus) - 1}"
        raise ConfigError(f"device: GPU {device} is not here; {there}")
    return gpus[device] if gpus else open_gpu(device).info  # which says what is missing


def _cuda_of_wheels(version: str, installed: Callable[[str], str] = importlib.metadata.version) -> int | None:
    """Return the CUDA major that TensorRT's wheels of this version are for; None: it came otherwise, as on a Jetson."""
    for major in _CUDA_BUILDS:
        try:
            if installed(f"tensorrt-cu{major}") == version:
                return major
        except importlib.metadata.PackageNotFoundError:  # noqa: PERF203  two names
            continue
    return None
