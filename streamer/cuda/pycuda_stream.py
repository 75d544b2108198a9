"""pycuda's streams and events, as `gpu.Stream` and `gpu.Event` say."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pycuda.driver as cuda

from streamer.core.errors import BackendError

from .graphs import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .gpu import Event, Graph
    from .pycuda_gpu import PycudaGpu

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING


class PycudaEvent:
    """As `gpu.Event`. pycuda's own goes back to the stream when this is dropped: making one is a call of the driver."""

    def __init__(self, gpu: PycudaGpu, raw: cuda.Event, spare: deque[cuda.Event]) -> None:
        self._gpu = gpu
        self.raw = raw
        self._spare = spare

    def done(self) -> bool:
        """Whether that moment has come."""
        with self._gpu.current():
            return bool(self.raw.query())

    def wait(self) -> None:
        """Wait for it, asleep."""
        with self._gpu.current():
            self.raw.synchronize()

    def __del__(self) -> None:
        with self._gpu.current():  # once the stream is closed, nobody but this event holds `_spare`: all ends here
            self._spare.append(self.raw)
            del self.raw, self._spare


class PycudaStream:
    """As `gpu.Stream`."""

    def __init__(self, gpu: PycudaGpu) -> None:
        self._gpu = gpu
        self._raw: cuda.Stream | None = None
        self._spare: deque[cuda.Event] = deque()
        self._raw = cuda.Stream(_NON_BLOCKING)
        self.handle = int(self._raw.handle)

    def copy_in(self, target: int, source: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        if source.nbytes:
            with self._gpu.current():
                cuda.memcpy_htod_async(target, source, self.open_raw())

    def copy_out(self, target: NDArray[Any], source: int) -> None:
        """Queue a copy from the device."""
        if target.nbytes:
            with self._gpu.current():
                cuda.memcpy_dtoh_async(target, source, self.open_raw())

    def copy_rows(
        self,
        target: int | NDArray[Any],
        target_pitch: int,
        source: int | NDArray[Any],
        source_pitch: int,
        width_bytes: int,
        rows: int,
    ) -> None:
        """Queue a copy of rows that lie a pitch apart."""
        copy = cuda.Memcpy2D()
        if isinstance(source, np.ndarray):
            copy.set_src_host(source)
        else:
            copy.set_src_device(source)
        if isinstance(target, np.ndarray):
            copy.set_dst_host(target)
        else:
            copy.set_dst_device(target)
        copy.src_pitch, copy.dst_pitch = source_pitch, target_pitch
        copy.width_in_bytes, copy.height = width_bytes, rows
        with self._gpu.current():
            copy(self.open_raw())

    def after(self, event: Event) -> None:
        """Let what follows wait for an event."""
        with self._gpu.current():
            self.open_raw().wait_for_event(cast("PycudaEvent", event).raw)  # one process has one kind of GPU

    def after_default(self) -> None:
        """Let what follows wait for the legacy default stream."""
        with self._gpu.current():
            event = self._next_event()
            event.raw.record()
            self.open_raw().wait_for_event(event.raw)  # for what it holds now: it may be recorded anew at once

    def record(self) -> PycudaEvent:
        """Mark this moment."""
        with self._gpu.current():
            event = self._next_event()
            event.raw.record(self.open_raw())
            return event

    def synchronize(self) -> None:
        """Wait for all that is queued. By an event, for those sleep whatever flags the context was made with."""
        self.record().wait()

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` queues."""
        self.synchronize()
        return capture(self._gpu, self.handle, work)

    def close(self) -> None:
        """Free it. Idempotent."""
        if self._raw is not None:
            with self._gpu.current():
                self._raw = None
                self._spare.clear()
                self._spare = deque()  # the old one belongs to the events that are still held

    def __del__(self) -> None:
        self.close()

    def open_raw(self) -> cuda.Stream:
        """Return pycuda's own, which nobody keeps: not even in a variable, for an error's traceback holds those.

        Raises:
            BackendError: it is closed.
        """
        if self._raw is None:
            raise BackendError("this stream of the GPU is closed")
        return self._raw

    def _next_event(self) -> PycudaEvent:
        self.open_raw()  # a closed stream would keep the event: nothing would free it with the context current
        if self._spare:
            return PycudaEvent(self._gpu, self._spare.popleft(), self._spare)
        flags = cuda.event_flags.BLOCKING_SYNC | cuda.event_flags.DISABLE_TIMING
        return PycudaEvent(self._gpu, cuda.Event(flags), self._spare)
