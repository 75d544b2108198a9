"""An engine at work: `IN_FLIGHT` slots around one compute stream.

Uploads and copies out go on a stream of each slot, the network on the one that all share: while one batch is computed
the next one's pixels come in and the last one's answers go out. Two networks side by side would each take the memory
of their activations, most of what an engine needs, and would not compute more with batches that fill the GPU.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.core.frame import DevicePicture, PixelFormat
from streamer.cuda.draw import Drawer, Target
from streamer.infer.backends.base import IN_FLIGHT
from streamer.infer.backends.batch import extra_values
from streamer.infer.spec import ColorOrder
from streamer.pixels.device import drawing_of, drawing_of_canvas

from .buffers import allocated, nbytes_of
from .closing import Closing
from .engine import picture_shape
from .graphs import CaptureFailed
from .slot import Slot, SlotPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.frame import Picture
    from streamer.cuda.draw import Drawing
    from streamer.cuda.gpu import Gpu
    from streamer.infer.backends.base import Pick
    from streamer.infer.backends.pool import Outputs
    from streamer.infer.spec import InputSpec
    from streamer.pixels.fit import Placement

    from .engine import Engine

_log = logging.getLogger(__name__)

_LARGER = "%s: some batches are computed as larger ones, which costs some time: %s"
_NO_GRAPHS = "%s: runs without CUDA graphs, which costs some time: %s"


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What is submitted: canvases, and in place of some of them pictures in the GPU's memory."""

    canvases: NDArray[np.uint8]  # (B, H, W, 3); the rows of pictures on the GPU say nothing
    pictures: Sequence[Picture | DevicePicture] = ()  # empty: all are drawn already
    placements: Sequence[Placement] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """What is run, and how it is fed and read."""

    trt: ModuleType
    name: str  # of the model, for messages
    input_spec: InputSpec
    output_names: tuple[str, ...]
    pick: Pick | None


class Session:
    """Runs batches. `run` may be called from several threads at once, each with a slot of its own."""

    def __init__(self, gpu: Gpu, engine: Engine, plan: SessionPlan) -> None:
        """Allocate everything that a batch of any size needs. The engine is the session's from here on.

        Raises:
            BackendError: memory is short; nothing is left allocated, and the engine is closed.
        """
        self._gpu, self._engine, self._plan = gpu, engine, plan
        self._order = threading.Lock()  # guards the compute stream: the commands of a batch lie on it without a gap
        self._counting = threading.Lock()  # guards the two below
        self._told: set[str] = set()
        self.whole_batches = 0  # whose output was copied whole, because more was in it than can be picked
        self._failed = False
        self._slots: list[Slot] = []
        self._closing = Closing()
        self._closing.callback(engine.close)
        with gpu.current():
            try:
                self._open()
            except BaseException:
                self._slots.clear()
                self._closing.close()
                raise

    def run(self, index: int, batch: Batch) -> Outputs:
        """Compute a batch in a slot; the outputs lie in the slot's memory.

        Blocks on: the GPU, without a limit: `collect` gives up on it after its own, but what the GPU may still use
        must outlive what hangs, and so does the thread that holds it. The order of the compute stream: as long as
        another thread enqueues, which waits for nothing but the GPU: with a new batch size, and where only the pixels
        decide how long an output is.

        Raises:
            BackendError: TensorRT or the GPU failed.
        """
        slot = self._slots[index]
        try:
            with self._gpu.current():
                try:
                    self._start(slot, batch)
                    return self._finish(slot, len(batch.canvases))
                except BaseException:
                    self._settle(slot)
                    raise
        except BackendError as exc:
            self._failed = True
            raise BackendError(f"{self._plan.name}: {exc}") from exc

    def close(self) -> None:
        """Free everything; no batch is under way. Idempotent.

        Raises:
            BackendError: the GPU failed, and no batch has said so yet.
        """
        with self._gpu.current():
            failure = self._closing.close()
            self._slots.clear()  # and with them what is page-locked
        if failure is not None and not self._failed:  # after a lost GPU nothing can be freed, and that is known
            raise BackendError(f"{self._plan.name}: {failure}")

    def _open(self) -> None:
        """Allocate. What comes last is freed first: contexts go before what they point at."""
        gpu, engine, spec, closing = self._gpu, self._engine, self._plan.input_spec, self._closing
        dtype = engine.inputs[spec.name].dtype
        activations = allocated(gpu, closing, engine.activation_bytes)
        pixels = allocated(gpu, closing, nbytes_of(picture_shape(spec, spec.max_batch), dtype))
        self._compute = gpu.open_stream()
        closing.callback(self._compute.close)
        addresses = {spec.name: pixels.pointer, **self._extras()}
        drawer = Drawer(gpu, target_of(spec, dtype), max_batch=spec.max_batch)
        closing.callback(drawer.close)
        slots = SlotPlan(
            trt=self._plan.trt,
            engine=engine,
            activations=activations,
            addresses=addresses,
            drawer=drawer,
            input_spec=spec,
            output_names=self._plan.output_names,
            pick=self._plan.pick,
            short_of_memory=self._tell_short,
        )
        self._slots = [Slot(gpu, closing, slots) for _ in range(IN_FLIGHT)]
        closing.callback(self._compute.synchronize)
        if self._slots[0].growing:
            _log.warning(_NO_GRAPHS, self._plan.name, f"only the pixels decide how long {self._slots[0].growing} is")

    def _extras(self) -> dict[str, int]:
        """Fill the inputs beside the picture, once: every picture is given the same. Return their addresses."""
        addresses = {}
        for name, values in extra_values(self._plan.input_spec, self._plan.input_spec.max_batch).items():
            filled = values.astype(self._engine.inputs[name].dtype)
            memory = allocated(self._gpu, self._closing, filled.nbytes)
            self._compute.copy_in(memory.pointer, filled)
            self._compute.synchronize()
            addresses[name] = memory.pointer
        return addresses

    def _start(self, slot: Slot, batch: Batch) -> None:
        """Enqueue all of a batch."""
        count = len(batch.canvases)
        on_gpu = {i: p for i, p in enumerate(batch.pictures) if isinstance(p, DevicePicture)}
        rows = [row for row in range(count) if row not in on_gpu]
        slot.canvases.upload(batch.canvases, rows, slot.stream)
        uploaded = slot.stream.record()
        drawings = self._drawings(slot, batch, on_gpu) if on_gpu else None
        failure = ""
        with self._order:
            self._compute.after(uploaded)
            if drawings is None:
                slot.draw_canvases(count, self._compute)
            else:
                self._compute.after_default()  # FFmpeg's decoder works on that stream
                slot.draw(drawings, self._compute)
            try:
                slot.start(count, self._compute)
            except CaptureFailed as exc:
                failure = str(exc)
            computed = self._compute.record()
        slot.stream.after(computed)
        slot.copy_out(count)
        if failure and self._first("graphs"):
            _log.warning(_NO_GRAPHS, self._plan.name, failure)

    def _finish(self, slot: Slot, count: int) -> Outputs:
        """Wait for a batch and return its outputs."""
        slot.stream.record().wait()
        outputs, whole = slot.read(count)
        if whole:
            with self._counting:
                self.whole_batches += 1
            if self._first("whole"):
                _log.info("%s: sees more at once than is picked on the GPU; all is copied then", self._plan.name)
        return outputs

    def _tell_short(self, reason: str) -> None:
        if self._first("memory"):
            _log.warning(_LARGER, self._plan.name, reason)

    def _first(self, what: str) -> bool:
        """Whether this is the first time that something is told."""
        with self._counting:
            first = what not in self._told
            self._told.add(what)
        return first

    def _drawings(self, slot: Slot, batch: Batch, on_gpu: dict[int, DevicePicture]) -> list[Drawing]:
        spec = self._plan.input_spec
        order = PixelFormat.RGB if spec.color is ColorOrder.RGB else PixelFormat.BGR
        for picture in on_gpu.values():
            if picture.device != self._gpu.info.index:
                here = self._gpu.info.index
                raise BackendError(f"a picture lies on GPU {picture.device}, the engine on GPU {here}")
        return [
            drawing_of(on_gpu[row], batch.placements[row], order)
            if row in on_gpu
            else drawing_of_canvas(slot.canvases.pointer(row), spec.hw)
            for row in range(len(batch.canvases))
        ]

    def _settle(self, slot: Slot) -> None:
        """After a failure, wait for what was enqueued before it: it reads pixels that are about to be let go."""
        with suppress(BackendError):  # the first failure is told; a lost GPU fails here again, and reads nothing more
            slot.stream.synchronize()
            with self._order:
                self._compute.synchronize()


def target_of(spec: InputSpec, dtype: str) -> Target:
    """Return what the kernel draws, in the dtype that the engine was built for."""
    return Target(
        hw=spec.hw,
        layout=spec.layout,
        dtype=dtype,
        scale=spec.scale,
        mean=spec.mean,
        std=spec.std,
        pad=spec.pad,
        area=spec.area,
    )
