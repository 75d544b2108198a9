"""Two backends of one network on the same pictures: how alike their answers are, and which is the faster."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .agreement import FASTER, Bar, Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.clock import Clock

    from .backends.base import Backend
    from .network import Found

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
    agreement: Evidence
    gain: float  # times faster than the reference

    def __str__(self) -> str:
        return f"{self.agreement}, {self.gain:.2f} times as fast: {self.decision.value}"


class Answers(Protocol):
    """What two networks' outputs say, and whether that is the same. `answers.py` has those of each task."""

    def read(self, outputs: Sequence[NDArray[np.float32]], picture: int) -> Any:  # noqa: ANN401  only `compare` looks into it
        """Return the answer to one picture of a batch."""

    def compare(self, reference: Sequence[Any], other: Sequence[Any], bar: Bar) -> Evidence:
        """Compare two answers to the same pictures, as many as there are."""

    def shows(self, found: Found) -> bool:
        """Whether what was found in a picture is something to agree on."""


class Comparison:
    """Adds up evidence, a canvas at a time. Used by one thread."""

    def __init__(self, answers: Answers, *, clock: Clock, pictures: int = 1, most: int = 1) -> None:
        """Store the parts.

        Args:
            answers: reads both backends' outputs, and compares them.
            clock: times the answers.
            pictures: in a batch, for a network that always computes so many.
            most: in a batch of the candidate's: it answers every second canvas in one that is full.
        """
        self._answers = answers
        self._clock = clock
        self._pictures = pictures
        self._most = max(most, pictures)
        self._evidence = answers.compare([], [], FASTER)
        self._gains: list[float] = []

    def add(self, canvas: NDArray[np.uint8], reference: Backend, candidate: Backend, bar: Bar) -> None:
        """Run a canvas (H, W, 3) on both, in turn: whatever else the machine does slows both alike.

        Raises:
            BackendError: one of the two failed.
        """
        full = self._evidence.frames % 2 == 1 and self._most > self._pictures
        exact, exact_ns = self._answer(reference, canvas, self._pictures)
        other, other_ns = self._answer(candidate, canvas, self._most if full else self._pictures)
        self._evidence += self._answers.compare([exact], [other], bar)
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
        self._evidence = self._answers.compare([], [], FASTER)
        self._gains = []

    def _answer(self, backend: Backend, canvas: NDArray[np.uint8], pictures: int) -> tuple[Any, int]:
        """Return the answer to the last canvas of a batch of the same, and what it took, ns."""
        batch = np.repeat(canvas[None], pictures, axis=0) if pictures > 1 else canvas[None]
        started_ns = self._clock.monotonic_ns()
        outputs = backend.collect(backend.submit(batch))
        took_ns = self._clock.monotonic_ns() - started_ns
        return self._answers.read(outputs, pictures - 1), max(took_ns, 1)
