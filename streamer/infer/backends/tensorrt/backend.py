"""TensorRT as one of our runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.infer.backends.base import STREAMS
from streamer.infer.backends.batch import FIRST_ANSWER_LIMIT_S, check_batch
from streamer.infer.backends.pool import Pool

from .session import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.frame import DevicePicture, Picture
    from streamer.infer.backends.base import BackendOptions, Ticket
    from streamer.infer.spec import InputSpec
    from streamer.pixels.fit import Placement

    from .session import Session


class TensorRtBackend:
    """A session, and threads that enqueue a batch and wait for it: TensorRT tells nobody when it is done.

    One waits for the batch that is computed while the other one brings in the next.
    """

    kind = "tensorrt"

    def __init__(self, session: Session, *, input_spec: InputSpec, options: BackendOptions) -> None:
        self.precision = options.precision
        self._session = session
        self._input = input_spec
        self._pool: Pool[Batch] = Pool(
            name="tensorrt",
            threads=STREAMS,
            run=session.run,
            on_ready=options.on_ready,
            first_limit_s=FIRST_ANSWER_LIMIT_S,
        )

    @property
    def whole_batches(self) -> int:
        """Batches whose answer was copied whole, because more was in it than can be picked on the GPU."""
        return self._session.whole_batches

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Start on a batch."""
        check_batch(batch, self._input)
        return self._pool.submit(Batch(batch))

    def submit_pictures(
        self,
        pictures: Sequence[Picture | DevicePicture],
        placements: Sequence[Placement],
        canvases: NDArray[np.uint8],
    ) -> Ticket:
        """Start on pictures, of which some lie in the GPU's memory: those are drawn there, in one launch for all.

        Args:
            pictures: 1 to `max_batch`; those on the GPU are held until their ticket is ready.
            placements: where each goes on its canvas.
            canvases: (B, H, W, 3) as for `submit`, on which the other pictures are drawn already.

        Raises:
            BackendError: the runtime refused or failed.
        """
        check_batch(canvases, self._input)
        if not 0 < len(pictures) == len(placements) <= len(canvases):
            counts = f"{len(pictures)} pictures, {len(placements)} placements and {len(canvases)} canvases"
            raise ValueError(f"expected as many of each, got {counts}")
        return self._pool.submit(Batch(canvases, tuple(pictures), tuple(placements)))

    def ready(self, ticket: Ticket) -> bool:
        """Whether `collect` would return at once."""
        return self._pool.ready(ticket)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the outputs, which lie in the slot's page-locked memory."""
        return self._pool.collect(ticket)

    def close(self) -> None:
        """Wait for what is in flight, then free everything on the GPU; nothing of one that hangs.

        Raises:
            BackendError: what is in flight is not answered, and `collect` has not said so.
        """
        self._pool.close()
        if not self._pool.hung:
            self._session.close()
