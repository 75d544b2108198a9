"""What TensorRT says: kept, because the reason for a refusal stands nowhere else."""

from __future__ import annotations

import logging
import textwrap
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import tensorrt

    class KeepingLogger(tensorrt.ILogger):
        """What every logger here is; its class can only be made once TensorRT is there."""

        tail: Tail


_log = logging.getLogger(__name__)

_LINES_KEPT = 64
_MOST = 400  # characters of a reason
_NO_REASON = "TensorRT gives no reason"

_lock = threading.Lock()  # guards `_loggers`
# One for each TensorRT that was imported, which is one for each process. Never let go: TensorRT keeps a bare pointer.
_loggers: dict[ModuleType, KeepingLogger] = {}


class Tail:
    """The last warnings and errors. Written from TensorRT's own threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._count = 0

    def add(self, line: str) -> bool:
        """Keep a line; return whether it is not among those kept already."""
        with self._lock:
            new = line not in self._lines
            self._lines.append(line)
            self._count += 1
        return new

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._lines))

    def mark(self) -> int:
        """Return how many lines have come so far, for `since`."""
        with self._lock:
            return self._count

    def since(self, mark: int) -> str:
        """Return what was said after a mark, as one line."""
        with self._lock:
            new = min(self._count - mark, len(self._lines))
            lines = list(self._lines)[len(self._lines) - new :]
        return textwrap.shorten("; ".join(lines), _MOST, placeholder=" ...") or _NO_REASON


def process_logger(trt: ModuleType) -> KeepingLogger:
    """Return the one logger of this process; its `tail` is a `Tail`."""
    with _lock:
        logger = _loggers.get(trt)
        if logger is None:
            logger = _loggers[trt] = _open(trt)
    return logger


def forget_loggers() -> None:
    """Let go of every logger: nothing of TensorRT's may be left that uses one."""
    with _lock:
        _loggers.clear()


def _open(trt: ModuleType) -> KeepingLogger:
    """Make a logger: its class can only be made once TensorRT is there."""
    warning = int(trt.ILogger.Severity.WARNING)

    class TrtLogger(trt.ILogger):  # type: ignore[name-defined,misc]  # known only when it runs
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # mandatory: TypeError without
            self.tail = Tail()

        def log(self, severity: Any, msg: str) -> None:  # noqa: ANN401  an enum of pybind11's
            """Keep and pass on. Called from TensorRT's own threads."""
            if int(severity) > warning:
                return
            if self.tail.add(msg):  # once: some are said with every batch
                _log.warning("TensorRT: %s", msg)

    return TrtLogger()
