"""A network in use: pictures in, raw outputs out. What a detector and a classifier have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from streamer.core.errors import BackendError
from streamer.core.frame import Picture
from streamer.core.results import Classification, ModelRef

from .backends.base import IN_FLIGHT
from .backends.open import open_backend
from .canvas import open_canvases
from .heads.base import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import AnyPicture, DevicePicture
    from streamer.pixels.convert import Canvases
    from streamer.pixels.fit import Placement

    from .backends.base import Backend, BackendOptions, Ticket
    from .spec import ModelSpec

Answer = TypeVar("Answer")  # to one picture
Found: TypeAlias = Candidates | Classification  # what a network says of one picture, with its scores
# Told of each picture: what gives its canvas (H, W, 3), to be copied if it is kept, and what was seen on it. Where the
# GPU drew it, to ask for the canvas costs a download; so only who keeps it asks.
Sample = Callable[[Callable[[], "NDArray[np.uint8]"], Found], None]


@runtime_checkable
class DrawsPictures(Protocol):
    """A backend that can draw pictures of its GPU's memory itself."""

    def submit_pictures(
        self, pictures: Sequence[AnyPicture], placements: Sequence[Placement], canvases: NDArray[np.uint8]
    ) -> Ticket:
        """Start on a batch; those of its pictures that are on the CPU are drawn on the canvas of the same index.

        The canvases are read as those of `Backend.submit` are, and the pictures are kept until they have been.

        Raises:
            BackendError: the runtime refused or failed.
        """


@dataclass(frozen=True, slots=True, eq=False)
class ModelTicket:
    """A claim on the answers to one submitted batch. Compared by identity."""

    ticket: Ticket
    # (B or more, H, W, 3), until `IN_FLIGHT` more batches have been submitted. Those of `undrawn` are not drawn.
    canvases: NDArray[np.uint8]
    placements: list[Placement]
    undrawn: dict[int, DevicePicture]  # by index: what the backend draws itself


class Network(ABC, Generic[Answer]):
    """One network, called by one thread; at most `IN_FLIGHT` batches at once."""

    def __init__(self, spec: ModelSpec, backend: Backend, *, depth: int = IN_FLIGHT) -> None:
        self.spec = spec
        self.ref = _ref(spec, backend)
        self.depth = depth  # batches to keep in flight
        self.asked = 0  # pictures so far
        self.sample: Sample | None = None
        self._backend = backend
        self._canvases = [open_canvases(spec.input) for _ in range(IN_FLIGHT)]
        self._late: Canvases | None = None  # for what is drawn after all
        self._submitted = 0
        self._in_flight = 0

    def submit(self, pictures: Sequence[AnyPicture]) -> ModelTicket:
        """Draw the pictures and start on them.

        Those in a GPU's memory stay there where the backend can draw them; else they are copied to the CPU first.

        Args:
            pictures: 1 to `spec.input.max_batch`; they may be let go on return.

        Raises:
            BackendError: the runtime failed.
            ValueError: too many pictures, planes that are not those of their format, or `IN_FLIGHT` batches in flight:
                the backend may still read their canvases.
        """
        if self._in_flight >= IN_FLIGHT:
            raise ValueError(f"{self.spec.name}: {self._in_flight} batches are in flight: collect one first")
        ticket = self._start(pictures, self._canvases[self._submitted % IN_FLIGHT])
        self._submitted += 1
        self.asked += len(pictures)
        self._in_flight += 1
        return ticket

    def canvas(self, ticket: ModelTicket, index: int) -> NDArray[np.uint8]:
        """Return the canvas (H, W, 3) of one picture of a batch, valid until the next call or its slot's next use.

        One that was drawn on the GPU is copied to the CPU and drawn there: some milliseconds.

        Raises:
            BackendError: the GPU failed.
        """
        canvases, picture = ticket.canvases, ticket.undrawn.get(index)
        if picture is not None:
            if self._late is None:
                self._late = open_canvases(self.spec.input)
            (canvases, _), index = self._late.fill([_on_cpu(picture)]), 0
        drawn: NDArray[np.uint8] = canvases[index]
        return drawn

    def ready(self, ticket: ModelTicket) -> bool:
        """Whether its answers would come at once."""
        return self._backend.ready(ticket.ticket)

    @abstractmethod
    def collect(self, ticket: ModelTicket) -> list[Answer]:
        """Wait for a batch; return the answer to each of its pictures.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """

    def outputs(self, ticket: ModelTicket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the raw outputs of a batch, which are valid until its slot is used again.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """
        self._in_flight -= 1
        return self._backend.collect(ticket.ticket)

    def _sampled(self, ticket: ModelTicket, found: Sequence[Found]) -> None:
        """Show what was found in a batch to whoever learns from it."""
        if self.sample is not None:
            for index, one in enumerate(found):
                self.sample(partial(self.canvas, ticket, index), one)

    def _start(self, pictures: Sequence[AnyPicture], onto: Canvases) -> ModelTicket:
        undrawn = {index: picture for index, picture in enumerate(pictures) if not isinstance(picture, Picture)}
        if undrawn and isinstance(self._backend, DrawsPictures):
            canvases, placements = onto.fill(pictures)
            started = self._backend.submit_pictures(pictures, placements, canvases)
            return ModelTicket(started, canvases, placements, undrawn)
        canvases, placements = onto.fill([_on_cpu(picture) for picture in pictures])
        return ModelTicket(self._backend.submit(canvases), canvases, placements, {})

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


def open_warm(spec: ModelSpec, kind: str, options: BackendOptions) -> Backend:
    """Open a backend for a spec and run it once on grey: what is lazy in a runtime is done then.

    Raises:
        BackendError: the runtime can't run this model here.
    """
    backend = open_backend(kind, str(spec.path), input_spec=spec.input, output_names=spec.output_names, options=options)
    return warmed(spec, backend)


def warmed(spec: ModelSpec, backend: Backend) -> Backend:
    """Run an open backend once on grey, and return it; it is closed if that fails.

    Raises:
        BackendError: the runtime can't run this model here.
    """
    if backend.kind == "fake":  # it plays a script: the first row is for the first picture
        return backend
    try:
        pictures = spec.input.max_batch if spec.input.fixed_batch else 1
        backend.collect(backend.submit(np.full((pictures, *spec.input.hw, 3), spec.input.pad, np.uint8)))
    except BaseException:
        backend.close()
        raise
    return backend


def _on_cpu(picture: AnyPicture) -> Picture:
    if isinstance(picture, Picture):
        return picture
    from streamer.pixels.device import downloaded  # noqa: PLC0415  nothing of a GPU is loaded where there is none

    return downloaded(picture)


def _ref(spec: ModelSpec, backend: Backend) -> ModelRef:
    return ModelRef(name=spec.name, digest=spec.digest, backend=backend.kind, precision=backend.precision)
