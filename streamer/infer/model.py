"""A model in use: pictures in, detections out. Joins a spec, a runtime and a head; knows no camera and no thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.results import Detections

from .backends.base import IN_FLIGHT, STREAMS, BackendOptions
from .heads import open_head
from .network import ModelTicket, Network, Sample, open_warm

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.pixels.fit import Placement

    from .backends.base import Backend
    from .heads import Candidates, Head
    from .spec import ModelSpec

__all__ = ["Model", "ModelTicket", "Sample", "open_model", "open_warm"]


class Model(Network[Detections]):
    """One detector, called by one thread; at most `IN_FLIGHT` batches at once."""

    def __init__(
        self, spec: ModelSpec, backend: Backend, head: Head, *, floor: float, iou: float, depth: int = IN_FLIGHT
    ) -> None:
        super().__init__(spec, backend, depth=depth)
        self._head = head
        self._floor = floor
        self._iou = iou

    def collect(self, ticket: ModelTicket) -> list[Detections]:
        """Wait for a batch; return what was found in each picture, boxes in its own px.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """
        found = self._head(self.outputs(ticket), self._floor, self._iou)[: len(ticket.placements)]
        self._sampled(ticket, found)
        return [_detections(c, placement) for c, placement in zip(found, ticket.placements, strict=True)]


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


def _detections(found: Candidates, placement: Placement) -> Detections:
    """Map boxes to the frame; one that lies in the padding alone is nothing."""
    boxes = placement.to_frame(found.boxes)
    detections = Detections(boxes=boxes, scores=found.scores, class_ids=found.class_ids)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return detections if inside.all() else detections[inside]
