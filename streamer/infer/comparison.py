"""Two backends of one network on the same pictures: how alike their answers are, and which is the faster."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from .agreement import FASTER, Agreement, Bar, agreement, floor_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.clock import Clock

    from .backends.base import Backend
    from .heads import Candidates, Head

LEAST_GAIN = 1.1  # times faster, or another precision is not worth it


class Decision(str, Enum):
    """What may be done with the candidate."""

    USE = "use"
    REFUSE = "refuse"
    UNDECIDED = "undecided"  # more frames are needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a candidate is held to."""

    bar: Bar = FASTER
    least_gain: float = LEAST_GAIN  # times faster than the reference; 0: it need not be


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


class Comparison:
    """Adds up evidence, a canvas at a time. Used by one thread."""

    def __init__(
        self, *, head: Head, threshold: float, iou: float, clock: Clock, pictures: int = 1, most: int = 1
    ) -> None:
        """Store the parts.

        Args:
            head: reads both backends' outputs.
            threshold: boxes above it count.
            iou: of two boxes of a class that overlap more, the better stays.
            clock: times the answers.
            pictures: in a batch, for a network that always computes so many.
            most: in a batch of the candidate's: it answers every second canvas in one that is full.
        """
        self._head = head
        self._threshold = threshold
        self._iou = iou
        self._clock = clock
        self._pictures = pictures
        self._most = max(most, pictures)
        self._evidence = Agreement()
        self._gains: list[float] = []

    def add(self, canvas: NDArray[np.uint8], reference: Backend, candidate: Backend, bar: Bar) -> None:
        """Run a canvas (H, W, 3) on both, in turn: whatever else the machine does slows both alike.

        Raises:
            BackendError: one of the two failed.
        """
        full = self._evidence.frames % 2 == 1 and self._most > self._pictures
        exact, exact_ns = self._answer(reference, canvas, self._pictures)
        other, other_ns = self._answer(candidate, canvas, self._most if full else self._pictures)
        self._evidence += agreement(exact, other, threshold=self._threshold, bar=bar)
        if not full:
            self._gains.append(exact_ns / other_ns)

    def verdict(self, terms: Terms) -> Verdict:
        """Say what the evidence so far allows."""
        gain = statistics.median(self._gains) if self._gains else 0.0
        if not self._evidence.enough:
            decision = Decision.UNDECIDED
        elif self._evidence.passes(terms.bar) and gain >= terms.least_gain:
            decision = Decision.USE
        else:
            decision = Decision.REFUSE
        return Verdict(decision=decision, agreement=self._evidence, gain=gain)

    def forget(self) -> None:
        """Begin anew."""
        self._evidence = Agreement()
        self._gains = []

    def _answer(self, backend: Backend, canvas: NDArray[np.uint8], pictures: int) -> tuple[list[Candidates], int]:
        """Return what is seen on the last canvas of a batch of the same, one value, and what it took, ns."""
        batch = np.repeat(canvas[None], pictures, axis=0) if pictures > 1 else canvas[None]
        started_ns = self._clock.monotonic_ns()
        outputs = backend.collect(backend.submit(batch))
        took_ns = self._clock.monotonic_ns() - started_ns
        return self._head(outputs, floor_for(self._threshold), self._iou)[pictures - 1 : pictures], max(took_ns, 1)
