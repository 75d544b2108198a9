"""A backend without a network: it answers from a script or from the pixels, and can be slow, hang or fail."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError

from .batch import ANSWER_LIMIT_S, check_batch
from .pool import Outputs, Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

    from .base import Backend, BackendOptions, Ticket


@dataclass(slots=True, kw_only=True)
class Faults:
    """What a test does to a fake backend; may be changed while it runs, from any thread."""

    go: threading.Event = field(default_factory=threading.Event)  # cleared: it hangs
    slow_s: float = 0.0  # that each batch takes longer
    failing: str = ""  # the next batches fail with this sentence

    def __post_init__(self) -> None:
        self.go.set()


class FakeBackend:
    """Answers each batch with `answer(batch)`, one after the other, on a thread of its own."""

    kind = "fake"
    precision = "f32"

    def __init__(
        self,
        answer: Callable[[NDArray[np.uint8]], Outputs],
        *,
        input_spec: InputSpec,
        on_ready: Callable[[], None],
        faults: Faults | None = None,
        limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        self.faults = faults or Faults()
        self._answer = answer
        self._input = input_spec
        self._limit_s = limit_s
        self._closing = threading.Event()
        self._pool = Pool(name="fake", threads=1, run=self._run, on_ready=on_ready, limit_s=limit_s)

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Start on a batch."""
        check_batch(batch, self._input)
        return self._pool.submit(batch)

    def ready(self, ticket: Ticket) -> bool:
        """Whether `collect` would return at once."""
        return self._pool.ready(ticket)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the answer."""
        return self._pool.collect(ticket)

    def close(self) -> None:
        """End the thread: slowness ends at once, a hang is reported after the limit."""
        self._closing.set()
        self._pool.close()

    def _run(self, _slot: int, batch: NDArray[np.uint8]) -> Outputs:
        """Answer one batch.

        Thread: streamer-fake-0, of the pool.  Ends: with the answer; a hang ends after twice the limit.
        Blocks on: `faults.go` (set, twice the limit), `slow_s`.
        """
        if not self.faults.go.wait(2 * self._limit_s):
            raise BackendError("fake: hung")
        self._closing.wait(self.faults.slow_s)
        if self.faults.failing:
            raise BackendError(self.faults.failing)
        return self._answer(batch)


def from_script(frames: tuple[NDArray[np.float32], ...]) -> Callable[[NDArray[np.uint8]], Outputs]:
    """Return an answer that plays prepared outputs, a row of each array for each picture, over and over.

    Args:
        frames: one array for each output, (F, ...): row i is the answer to picture i of the run.
    """
    seen = 0

    def answer(batch: NDArray[np.uint8]) -> Outputs:
        nonlocal seen
        first = seen % len(frames[0])
        seen += len(batch)
        if len(batch) == 1:  # a view: copying megabytes would count as the pipeline's own work in a measurement
            return tuple(output[first : first + 1] for output in frames)
        rows = np.arange(first, first + len(batch)) % len(frames[0])
        return tuple(output[rows] for output in frames)

    return answer


def open_fake(path: str, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions) -> Backend:
    """Open a script: an `.npz` with an array for each output, (F, ...), a row for each frame.

    Raises:
        BackendError: the file can't be read, or an output is not in it.
    """
    name = Path(path).name
    try:
        with np.load(path) as script:
            frames = tuple(np.asarray(script[output], np.float32) for output in output_names)
    except (OSError, ValueError, KeyError) as exc:
        raise BackendError(f"{name}: not a script with {', '.join(output_names)}: {exc}") from exc
    if len({len(output) for output in frames}) != 1 or not len(frames[0]):
        raise BackendError(f"{name}: every output needs the same number of frames, at least one")
    return FakeBackend(from_script(frames), input_spec=input_spec, on_ready=options.on_ready)
