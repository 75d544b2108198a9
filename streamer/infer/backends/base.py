"""What a runtime must do to be one of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

STREAMS = 2  # batches that are computed at once, where many a second count more than one as fast as possible
# Tickets a backend holds at once: one more, drawn already, waits for its turn, so that a stream whose batch is done
# goes on at once, while the results of that batch are still being looked at.
IN_FLIGHT = STREAMS + 1


class EngineMissing(BackendError):  # noqa: N818  it is what is wrong with the machine
    """The runtime works here, but nobody has built an engine of this model for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A claim on the outputs of one submitted batch. Compared by identity."""

    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """That of a network's one output only the anchors that reach a floor are wanted: a backend may leave out the rest.

    `infer/picking.py` says which heads may have it. They can't tell the difference.
    """

    channels: int  # numbers of an anchor: its box, its objectness if it has one, its classes
    objectness: bool  # whether the fifth is one: the score is then its product with the best class
    placed: bool  # whether an anchor's place in the output says where it lies in the picture: it is then kept
    floor: float  # above 0; scores below it are not wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """How a backend is opened."""

    precision: str  # f32 | bf16 | f16 | int8: what it must compute in, not a hint
    latency: bool  # True: one batch as fast as possible; False: the most batches a second
    threads: int  # CPU threads to use, 0 = all
    on_ready: Callable[[], None]  # called from any thread whenever a ticket has become ready
    device: int = 0  # index of the GPU, for a runtime that uses one
    pick: Pick | None = None  # what may be left out of the output, for a runtime where that saves time


class Backend(Protocol):
    """One compiled network. Opened and called by one thread.

    Pixels go in as 8-bit (B, H, W, 3) in the input's channel order; normalising and re-ordering is the backend's own
    work, done inside the graph where the runtime can.
    """

    kind: str  # tensorrt | openvino | onnxruntime | fake
    precision: str

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Start on a (B, H, W, 3) batch; blocks while `IN_FLIGHT` are unfinished.

        The batch is read while it is computed, not copied: it stays as it is until its ticket is ready.

        Raises:
            BackendError: the runtime refused or failed.
        """

    def ready(self, ticket: Ticket) -> bool:
        """Whether `collect` would return at once."""

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the outputs, in the order of the spec's output names.

        They are valid until the ticket's slot is used again: whoever keeps them copies them.

        Raises:
            BackendError: the runtime failed.
        """

    def close(self) -> None:
        """Wait for what is in flight and free everything. Idempotent.

        After a `collect` without an answer it waits no more and frees nothing that the runtime may still use: its
        thread, a daemon, stays to the end of the process.

        Raises:
            BackendError: what is in flight is not answered in time.
        """


class OpenBackend(Protocol):
    """The signature of every backend's opener."""

    def __call__(
        self, path: str, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions
    ) -> Backend:
        """Load and compile a model file.

        Raises:
            BackendError: this runtime can't run this model here.
        """
