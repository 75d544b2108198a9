"""A model in use: pictures in, detections out. Joins a spec, a runtime and a head; knows no camera and no thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError
from streamer.core.results import Detections, ModelRef

from .backends.base import IN_FLIGHT, STREAMS, BackendOptions
from .backends.open import open_backend
from .canvas import open_canvases
from .heads import open_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import Picture
    from streamer.pixels.fit import Placement

    from .backends.base import Backend, Ticket
    from .heads import Candidates, Head
    from .spec import ModelSpec

# Shown each picture's canvas (H, W, 3), which it copies if it keeps it, and what was seen on it.
Sample = Callable[["NDArray[np.uint8]", "Candidates"], None]


@dataclass(frozen=True, slots=True, eq=False)
class ModelTicket:
    """A claim on the detections of one submitted batch. Compared by identity."""

    ticket: Ticket
    canvases: NDArray[np.uint8]  # (B or more, H, W, 3), until `IN_FLIGHT` more batches have been submitted
    placements: list[Placement]


class Model:
    """One network, called by one thread; at most `IN_FLIGHT` batches at once."""

    def __init__(
        self, spec: ModelSpec, backend: Backend, head: Head, *, floor: float, iou: float, depth: int = IN_FLIGHT
    ) -> None:
        self.spec = spec
        self.ref = _ref(spec, backend)
        self.depth = depth  # batches to keep in flight
        self.sample: Sample | None = None
        self._backend = backend
        self._head = head
        self._floor = floor
        self._iou = iou
        self._canvases = [open_canvases(spec.input) for _ in range(IN_FLIGHT)]
        self._submitted = 0
        self._in_flight = 0

    def submit(self, pictures: Sequence[Picture]) -> ModelTicket:
        """Draw the pictures and start on them.

        Args:
            pictures: 1 to `spec.input.max_batch`; they may be let go on return.

        Raises:
            BackendError: the runtime failed.
            ValueError: too many pictures, planes that are not those of their format, or `IN_FLIGHT` batches in flight:
                the backend may still read their canvases.
        """
        if self._in_flight >= IN_FLIGHT:
            raise ValueError(f"{self.spec.name}: {self._in_flight} batches are in flight: collect one first")
        canvases, placements = self._canvases[self._submitted % IN_FLIGHT].fill(pictures)
        ticket = ModelTicket(self._backend.submit(canvases), canvases, placements)
        self._submitted += 1
        self._in_flight += 1
        return ticket

    def ready(self, ticket: ModelTicket) -> bool:
        """Whether `collect` would return at once."""
        return self._backend.ready(ticket.ticket)

    def collect(self, ticket: ModelTicket) -> list[Detections]:
        """Wait for a batch; return what was found in each picture, boxes in its own px.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """
        self._in_flight -= 1
        found = self._head(self._backend.collect(ticket.ticket), self._floor, self._iou)[: len(ticket.placements)]
        if self.sample is not None:
            for canvas, candidates in zip(ticket.canvases[: len(found)], found, strict=True):
                self.sample(canvas, candidates)
        return [_detections(c, placement) for c, placement in zip(found, ticket.placements, strict=True)]

    def swap(self, backend: Backend) -> None:
        """Go on with another backend of the same network; the old one is closed.

        Raises:
            BackendError: something is in flight.
        """
        if self._in_flight:
            raise BackendError(f"{self.spec.name}: can't swap its backend with {self._in_flight} batches in flight")
        old, self._backend = self._backend, backend
        self.ref = _ref(self.spec, backend)
        old.close()

    def close(self) -> None:
        """Wait for what is in flight and free everything. Idempotent."""
        self._backend.close()


def open_model(
    spec: ModelSpec,
    *,
    backend: str,
    precision: str,
    latency: bool,
    floor: float,
    iou: float,
    on_ready: Callable[[], None],
    threads: int = 0,
) -> Model:
    """Load a model and answer one grey picture, so that the first real one takes no longer than the others.

    Args:
        spec: the model file and how it is used.
        backend: auto | openvino | onnxruntime | fake.
        precision: auto | f32 | bf16; `auto` is f32: a faster one is swapped in once it is proved.
        latency: one batch as fast as possible, or the most batches a second.
        floor: scores below it are left out.
        iou: greatest overlap of two boxes of a class.
        on_ready: called from any thread whenever a ticket has become ready.
        threads: CPU threads, 0 = all.

    Raises:
        BackendError: the runtime can't run this model here.
        ConfigError: the spec's head is not known.
    """
    head = open_head(spec)
    options = BackendOptions(
        precision="f32" if precision == "auto" else precision, latency=latency, threads=threads, on_ready=on_ready
    )
    # A frame that waits for its turn only grows older where the newest one counts.
    depth = STREAMS if latency else IN_FLIGHT
    return Model(spec, open_warm(spec, backend, options), head, floor=floor, iou=iou, depth=depth)


def open_warm(spec: ModelSpec, kind: str, options: BackendOptions) -> Backend:
    """Open a backend for a spec and run it once on grey: what is lazy in a runtime is done then.

    Raises:
        BackendError: the runtime can't run this model here.
    """
    backend = open_backend(kind, str(spec.path), input_spec=spec.input, output_names=spec.output_names, options=options)
    if backend.kind == "fake":  # it plays a script: the first row is for the first picture
        return backend
    try:
        pictures = spec.input.max_batch if spec.input.fixed_batch else 1
        backend.collect(backend.submit(np.full((pictures, *spec.input.hw, 3), spec.input.pad, np.uint8)))
    except BaseException:
        backend.close()
        raise
    return backend


def _ref(spec: ModelSpec, backend: Backend) -> ModelRef:
    return ModelRef(name=spec.name, digest=spec.digest, backend=backend.kind, precision=backend.precision)


def _detections(found: Candidates, placement: Placement) -> Detections:
    """Map boxes to the frame; one that lies in the padding alone is nothing."""
    boxes = placement.to_frame(found.boxes)
    detections = Detections(boxes=boxes, scores=found.scores, class_ids=found.class_ids)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return detections if inside.all() else detections[inside]
