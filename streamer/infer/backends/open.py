"""Where a runtime is chosen. Each is imported only when it is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import platform
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

from .base import EngineMissing

if TYPE_CHECKING:
    from streamer.infer.spec import InputSpec

    from .base import Backend, BackendOptions, OpenBackend

_log = logging.getLogger(__name__)

KINDS = ("auto", "tensorrt", "openvino", "onnxruntime")
ANY_CPU = "cpu"  # not for users: as `auto`, where TensorRT was tried and can't be had
_EVERYWHERE, _EVERYWHERE_IN = "onnxruntime", ("f32",)  # a plain dependency: it reads every ONNX file, in f32
_X86 = ("x86_64", "amd64", "i686", "i386")


def choose(kind: str) -> str:
    """Return the runtime that `auto` means here: TensorRT where it and a GPU are there, else as `on_cpu`."""
    if kind == ANY_CPU:
        return on_cpu()
    if kind != "auto":
        return kind
    return "tensorrt" if _has_tensorrt() else on_cpu()


def on_cpu() -> str:
    """Return the runtime that `auto` means without a GPU: OpenVINO on x86 where it is installed, else ONNX Runtime."""
    on_x86 = platform.machine().lower() in _X86
    return "openvino" if on_x86 and importlib.util.find_spec("openvino") is not None else "onnxruntime"


def _has_tensorrt() -> bool:
    if any(importlib.util.find_spec(package) is None for package in ("tensorrt", "pycuda")):
        return False
    from streamer.cuda.open import has_gpu  # noqa: PLC0415  only where it may be of use

    return has_gpu()


def open_backend(
    kind: str, path: str, *, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions
) -> Backend:
    """Load a model into a runtime.

    Args:
        kind: one of `KINDS`, or `ANY_CPU`, or `fake` (tests and measurements: `path` is then a script). Where `auto`
            has chosen a runtime that can't run this model, ONNX Runtime does, and a warning says so; where no engine of
            it is built, what computes it on the CPU.
        path: the model file.
        input_spec: how it is fed.
        output_names: what it answers, in the order that its head wants.
        options: precision, latency or throughput, threads.

    Raises:
        BackendError: that runtime can't run that model here; one sentence says why.
    """
    may_change = kind in ("auto", ANY_CPU) and options.precision in _EVERYWHERE_IN

    def on(runtime: str) -> Backend:
        try:
            return _opener(runtime)(path, input_spec, output_names, options)
        except BackendError as exc:
            if not may_change or runtime == _EVERYWHERE:
                raise
            missing = isinstance(exc, EngineMissing)  # no fault: to build one takes minutes, and is asked for
            other = on_cpu() if missing else _EVERYWHERE
            level = logging.DEBUG if missing else logging.WARNING
            _log.log(level, "%s; %s takes its place (`backend: %s` saves the attempt)", exc, other, other)
        return on(other)

    return on(choose(kind))


def _opener(chosen: str) -> OpenBackend:
    opener: OpenBackend
    match chosen:
        case "onnxruntime":
            from .onnxruntime import open_onnxruntime as opener  # noqa: PLC0415  only when chosen
        case "openvino":
            from .openvino import open_openvino as opener  # noqa: PLC0415  only when chosen
        case "fake":
            from .fake import open_fake as opener  # noqa: PLC0415  only when chosen
        case "tensorrt":
            from .tensorrt import open_tensorrt as opener  # noqa: PLC0415  only when chosen
        case other:
            raise BackendError(f"backend: {other!r} is not known; allowed are {', '.join(KINDS)}")
    return opener


def faster_precision(kind: str) -> str | None:
    """Return the precision that may be used once it has been proved on real frames, or None.

    Raises:
        BackendError: the runtime can't be loaded.
    """
    if choose(kind) != "openvino":
        return None
    from .openvino import has_bf16  # noqa: PLC0415  only when chosen

    return "bf16" if has_bf16() else None


def runtime_version(kind: str) -> str:
    """Return the installed version of a runtime, or `none`."""
    try:
        return importlib.metadata.version(choose(kind))
    except importlib.metadata.PackageNotFoundError:
        return "none"
