"""A network in use: pictures in, raw outputs out. What a detector and a classifier have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError
from streamer.core.results import ModelRef

from .backends.base import IN_FLIGHT
from .backends.open import open_backend
from .canvas import open_canvases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.frame import Picture
    from streamer.pixels.fit import Placement

    from .backends.base import Backend, BackendOptions, Ticket
    from .spec import ModelSpec


@dataclass(frozen=True, slots=True, eq=False)
class ModelTicket:
    """A claim on the answers to one submitted batch. Compared by identity."""

    ticket: Ticket
    canvases: NDArray[np.uint8]  # (B or more, H, W, 3), until `IN_FLIGHT` more batches have been submitted
    placements: list[Placement]


class Network:
    """One network, called by one thread; at most `IN_FLIGHT` batches at once."""

    def __init__(self, spec: ModelSpec, backend: Backend, *, depth: int = IN_FLIGHT) -> None:
        self.spec = spec
        self.ref = _ref(spec, backend)
        self.depth = depth  # batches to keep in flight
        self._backend = backend
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
        """Whether its answers would come at once."""
        return self._backend.ready(ticket.ticket)

    def outputs(self, ticket: ModelTicket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the raw outputs of a batch, which are valid until its slot is used again.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """
        self._in_flight -= 1
        return self._backend.collect(ticket.ticket)

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
