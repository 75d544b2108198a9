"""CUDA graphs: work that is recorded once and launched as one. pycuda has none, so libcuda is called by ctypes."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

from .driver import Driver, load_driver

if TYPE_CHECKING:
    from collections.abc import Callable

    from .gpu import Gpu, Stream

_log = logging.getLogger(__name__)

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do meanwhile, allocating for instance, neither fails nor
# spoils the capture. In the GLOBAL mode both happen.
_THREAD_LOCAL = 1
# One capture at a time: each switches the collector off, and on again, for the whole process.
_lock = threading.Lock()


class CudaGraph:
    """As `gpu.Graph`."""

    def __init__(self, gpu: Gpu, driver: Driver, executable: ctypes.c_void_p) -> None:
        self._gpu = gpu
        self._driver = driver
        self._executable: ctypes.c_void_p | None = executable

    def launch(self, stream: Stream) -> None:
        """Queue it.

        Raises:
            BackendError: the driver refuses.
        """
        if self._executable is None:
            raise BackendError("this graph of the GPU is closed")
        with self._gpu.current():
            self._driver.call("cuGraphLaunch", self._executable, ctypes.c_void_p(stream.handle))

    def close(self) -> None:
        """Free it. Idempotent."""
        executable, self._executable = self._executable, None
        if executable is not None:
            with self._gpu.current():
                code = self._driver.code("cuGraphExecDestroy", executable)
            if code:  # of a lost device: whoever worked with it was told
                _log.debug("a graph was not freed: %s", self._driver.text(code))


def capture(gpu: Gpu, stream_handle: int, work: Callable[[], None]) -> CudaGraph:
    """Record what `work` queues on the stream. Nothing may be queued on it that is not done.

    Raises:
        BackendError: it can't be captured; the stream can be used as before.
    """
    driver = load_driver()
    with gpu.current(), _lock, _NoCollection():
        graph = _recorded(driver, ctypes.c_void_p(stream_handle), work)
        executable = ctypes.c_void_p()
        try:
            driver.call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        finally:
            driver.call("cuGraphDestroy", graph)
    return CudaGraph(gpu, driver, executable)


def _recorded(driver: Driver, stream: ctypes.c_void_p, work: Callable[[], None]) -> ctypes.c_void_p:
    """Return the graph of what `work` queues. The capture is ended whatever happens: the stream would stay unusable."""
    graph = ctypes.c_void_p()
    driver.call("cuStreamBeginCapture_v2", stream, ctypes.c_int(_THREAD_LOCAL))
    try:
        work()
    except BaseException:
        driver.code("cuStreamEndCapture", stream, ctypes.byref(graph))
        if graph.value:
            driver.call("cuGraphDestroy", graph)
        raise
    code = driver.code("cuStreamEndCapture", stream, ctypes.byref(graph))
    if code or not graph.value:
        reason = driver.text(code) if code else "no graph came of it"
        raise BackendError(f"the GPU's work can't be captured: {reason}")
    return graph


class _NoCollection:
    """Keeps the collector from freeing device memory just now: a free spoils what is being captured."""

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_on:
            gc.enable()
