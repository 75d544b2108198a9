"""What the caller subclasses: logger, progress monitor, output allocator."""

# ruff: noqa: ARG002  the arguments are TensorRT's

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ._base import Names
from ._device import misused

if TYPE_CHECKING:
    from ._dims import Dims


class _Overridden(type):
    """As pybind11: an `__init__` that does not call that of the interface leaves an object that can't be used."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  it makes whatever class it is of
        made = super().__call__(*args, **kwargs)
        if "_is_made" not in vars(made):
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}.__init__() must be called when overriding __init__")
        return made


class _Interface(metaclass=_Overridden):
    def __init__(self) -> None:
        self._is_made = True


class ILogger(_Interface):
    class Severity(Names):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Severity, msg: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "ILogger::log"')


class Logger(ILogger):
    def __init__(self, min_severity: ILogger.Severity = ILogger.Severity.WARNING) -> None:
        super().__init__()
        self.min_severity = min_severity

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        if int(severity) <= int(self.min_severity):
            sys.stderr.write(f"[TRT] [{severity.name[0]}] {msg}\n")


class IProgressMonitor(_Interface):
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::phase_start"')

    def phase_finish(self, phase_name: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::phase_finish"')

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::step_complete"')


class IOutputAllocator(_Interface):
    def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
        raise RuntimeError('Tried to call pure virtual function "IOutputAllocator::reallocate_output_async"')

    def notify_shape(self, tensor_name: str, shape: Dims) -> None:
        raise RuntimeError('Tried to call pure virtual function "IOutputAllocator::notify_shape"')


_first: weakref.ref[ILogger] | None = None
_registering = threading.Lock()


def register(logger: ILogger) -> ILogger:
    """Return the logger of this process: the first that was given; another is ignored, and told so."""
    global _first  # noqa: PLW0603  TensorRT keeps one logger a process
    if not isinstance(logger, ILogger):
        raise TypeError("incompatible constructor arguments: a logger must be a tensorrt.ILogger")
    with _registering:
        known = _first() if _first is not None else None
        if known is None:
            if _first is not None:
                misused("the logger that TensorRT was first given is gone: it is used to the end of the process")
            _first = weakref.ref(logger)
            return logger
    if known is not logger:
        emit(
            known, ILogger.Severity.WARNING, "The logger passed differs from the one already registered: it is ignored"
        )
    return known


def forget_logger() -> None:
    """Begin as a new process does (for tests)."""
    global _first  # noqa: PLW0603
    _first = None


def emit(logger: ILogger, severity: ILogger.Severity, message: str) -> None:
    """Give one line to the logger, from a thread of the library's own, as TensorRT may."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            logger.log(severity, message)
        except BaseException as exc:  # noqa: BLE001  it is raised again in the caller's thread
            raised.append(exc)

    caller = threading.Thread(target=call, name="tensorrt-log", daemon=True)
    caller.start()
    caller.join(10)
    if raised:
        misused(f"ILogger.log raised {raised[0]!r}: TensorRT's own threads end the process then")


def error(logger: ILogger, message: str) -> None:
    """Give one error to the logger."""
    emit(logger, ILogger.Severity.ERROR, message)
