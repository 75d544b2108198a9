"""TensorRT itself: imported only when it is chosen, and only in a version that we know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.cuda.open import install_line

from .logger import forget_loggers, process_logger

if TYPE_CHECKING:
    from types import ModuleType

    from .logger import KeepingLogger

# 10.3 is the first in which contexts can share the memory of their activations (`set_device_memory`), and the one of
# JetPack 6.2; no JetPack and no current package has an older 10.
LEAST, BELOW = (10, 3, 0), (12, 0, 0)
_prepared: set[ModuleType] = set()  # whose plugins are registered: that of this process


def load_runtime() -> ModuleType:
    """Import TensorRT, with its plugins registered.

    Raises:
        BackendError: it is not installed, can't be loaded on this machine, or is of a version that we do not know.
    """
    try:
        import tensorrt  # noqa: PLC0415  late: only where it is chosen
    except ModuleNotFoundError as exc:
        raise BackendError(f"backend: tensorrt is not installed; {install_line()}") from exc
    except ImportError as exc:
        raise BackendError(f"backend: tensorrt can't be loaded here ({_first_line(exc)}); {install_line()}") from exc
    trt: ModuleType = tensorrt
    found = version(trt)
    if not LEAST <= found < BELOW:
        allowed = f"{'.'.join(map(str, LEAST))} or later, below {BELOW[0]}"
        raise BackendError(
            f"backend: TensorRT {trt.__version__} is not supported, it must be {allowed}; {install_line()}"
        )
    if trt not in _prepared:
        trt.init_libnvinfer_plugins(process_logger(trt), "")  # before a plan that holds plugins is read
        _prepared.add(trt)
    return trt


def logger() -> KeepingLogger:
    """Return the one logger of this process; its `tail` keeps what was said last.

    Raises:
        BackendError: TensorRT can't be loaded.
    """
    return process_logger(load_runtime())


def forget() -> None:
    """Let go of all that is kept of TensorRT for the process. For tests, in which it comes and goes."""
    _prepared.clear()
    forget_loggers()


def version(trt: ModuleType | None = None) -> tuple[int, ...]:
    """Return TensorRT's version as three numbers: `10.14.1.48.post1` -> (10, 14, 1).

    Raises:
        BackendError: it can't be loaded, or its version can't be read.
    """
    spelled = (trt or load_runtime()).__version__
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", spelled)
    if numbers is None:
        raise BackendError(f"backend: TensorRT's version {spelled!r} can't be read")
    return tuple(map(int, numbers.groups()))


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
