"""Promise 5: a faster precision is used only while it gives the same answer on the cameras' own frames.

The inference thread offers its canvases; now and then the gate runs both precisions over those it kept, on a thread of
its owner, and adds up the evidence until there is enough for a decision. `proof` keeps what was decided, so that the
next start is fast from its first frame; but the promise says *while* they agree, so evidence is gathered anew after a
start and, with `forget`, from time to time; the owner goes back to the exact one when it fails.
"""

from __future__ import annotations

import statistics
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .agreement import Agreement, agreement, floor_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.clock import Clock

    from .backends.base import Backend
    from .heads import Candidates, Head

BATCH = 16  # canvases that one run compares: 20 MB at 640
_MOST_EMPTY = BATCH // 4  # of them without a box: what is seen where nothing is counts too
_EVERY = 10  # frames from one canvas kept to the next: neighbours say the same twice
LEAST_GAIN = 1.1  # times faster, or it is not worth another precision


class Decision(str, Enum):
    """What may be done with the faster precision."""

    USE = "use"
    REFUSE = "refuse"
    UNDECIDED = "undecided"  # more frames are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the evidence so far says."""

    decision: Decision
    agreement: Agreement
    gain: float  # times faster than the reference

    def __str__(self) -> str:
        seen = self.agreement
        return (
            f"{seen.share:.1%} of {seen.boxes} boxes in {seen.frames} frames agree, "
            f"scores differ by {seen.score_off:.3f}, {self.gain:.2f} times as fast: {self.decision.value}"
        )


class PrecisionGate:
    """Keeps canvases of real frames and compares two precisions on them.

    `offer` is for the inference thread, `run` for one other; both may go on at once.
    """

    def __init__(self, *, head: Head, threshold: float, iou: float, clock: Clock) -> None:
        self._clock = clock
        self._head = head
        self._threshold = threshold
        self._iou = iou
        self._lock = threading.Lock()  # guards the three below
        self._kept: list[NDArray[np.uint8]] = []
        self._empty = 0
        self._since_kept = _EVERY
        self._evidence = Agreement()
        self._gains: list[float] = []

    def offer(self, canvas: NDArray[np.uint8], found: Candidates) -> None:
        """Keep a copy of a canvas (H, W, 3) if it is one to learn from. A `Sample` of `Model`."""
        empty = not bool((found.scores >= self._threshold).any())
        with self._lock:
            self._since_kept += 1
            if self._since_kept <= _EVERY or len(self._kept) >= BATCH or (empty and self._empty >= _MOST_EMPTY):
                return
            self._since_kept = 0
            self._empty += empty
            self._kept.append(canvas.copy())

    def due(self) -> bool:
        """Whether there are canvases enough for a `run`."""
        with self._lock:
            return len(self._kept) >= BATCH

    def run(
        self,
        open_reference: Callable[[], Backend],
        open_candidate: Callable[[], Backend],
        *,
        beat: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> Verdict:
        """Compare the two on the kept canvases and let go of them.

        Both backends are opened and closed here, on the calling thread, which should be a nice one: it takes the cores
        from inference for a second or two.

        Args:
            open_reference: opens the exact one.
            open_candidate: opens the faster one, with the same options otherwise.
            beat: called between two canvases.
            stopping: asked between two canvases; once true, nothing more is learned.

        Raises:
            BackendError: one of the two failed.
        """
        with self._lock:
            canvases, self._kept, self._empty = self._kept, [], 0
        reference = open_reference()
        try:
            candidate = open_candidate()
            try:
                self._compare(canvases, reference, candidate, beat=beat, stopping=stopping)
            finally:
                candidate.close()
        finally:
            reference.close()
        return self.verdict()

    def verdict(self) -> Verdict:
        """Say what the evidence so far allows. A precision that fails stays refused: call `forget` to try again."""
        gain = statistics.median(self._gains) if self._gains else 0.0
        if not self._evidence.enough:
            decision = Decision.UNDECIDED
        elif self._evidence.passed and gain >= LEAST_GAIN:
            decision = Decision.USE
        else:
            decision = Decision.REFUSE
        return Verdict(decision=decision, agreement=self._evidence, gain=gain)

    def forget(self) -> None:
        """Begin anew: the scene may have changed."""
        self._evidence = Agreement()
        self._gains = []

    def _compare(
        self,
        canvases: Sequence[NDArray[np.uint8]],
        reference: Backend,
        candidate: Backend,
        *,
        beat: Callable[[], None],
        stopping: Callable[[], bool],
    ) -> None:
        """Run each canvas on both, in turn: whatever else the machine does slows both alike."""
        for canvas in canvases:
            if stopping():
                return
            beat()
            exact, exact_ns = self._answer(reference, canvas)
            fast, fast_ns = self._answer(candidate, canvas)
            self._evidence += agreement(exact, fast, threshold=self._threshold)
            self._gains.append(exact_ns / fast_ns)

    def _answer(self, backend: Backend, canvas: NDArray[np.uint8]) -> tuple[list[Candidates], int]:
        """Return what is seen on a canvas, and how long the network took, ns."""
        started_ns = self._clock.monotonic_ns()
        outputs = backend.collect(backend.submit(canvas[None]))
        took_ns = self._clock.monotonic_ns() - started_ns
        return self._head(outputs, floor_for(self._threshold), self._iou), max(took_ns, 1)
