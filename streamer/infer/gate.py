"""Promise 5: another backend or precision is used only while it gives the same answer on the cameras' own frames.

The inference thread offers its canvases; now and then the gate runs the exact backend and a candidate over those it
kept, on a thread of its owner, and adds up the evidence until there is enough for a decision. The owner keeps what was
decided, so that the next start is fast from its first frame; but the promise says *while* they agree, so evidence is
gathered anew after a start and, with `forget`, from time to time; the owner goes back to the exact one when it fails.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .comparison import Comparison, Terms, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.clock import Clock

    from .backends.base import Backend
    from .comparison import Answers
    from .network import Found

BATCH = 16  # canvases that one run compares: 20 MB at 640
_MOST_EMPTY = BATCH // 4  # of them on which nothing is found: what is seen where nothing is counts too
_EVERY = 10  # frames from one canvas kept to the next: neighbours say the same twice
_EVERY_LOOK = 3  # a classifier's are fewer, and of different objects
_TERMS = Terms()


class PrecisionGate:
    """Keeps canvases of real frames and compares a candidate with the exact backend on them.

    `offer` is for the inference thread, `run` for one other; both may go on at once.
    """

    def __init__(
        self, answers: Answers, *, clock: Clock, pictures: int = 1, most: int = 1, looks: bool = False
    ) -> None:
        """Keep nothing yet; the arguments are those of `Comparison`.

        Args:
            answers: reads both backends' outputs, and compares them.
            clock: times the answers.
            pictures: in a batch, for a network that always computes so many.
            most: in a batch of the candidate's.
            looks: whether what is offered are a classifier's looks, not each frame of a camera.
        """
        self._answers = answers
        self._every = _EVERY_LOOK if looks else _EVERY
        self._comparison = Comparison(answers, clock=clock, pictures=pictures, most=most)
        self._lock = threading.Lock()  # guards the three below
        self._kept: list[NDArray[np.uint8]] = []
        self._empty = 0
        self._since_kept = self._every

    def offer(self, canvas: Callable[[], NDArray[np.uint8]], found: Found) -> None:
        """Keep a copy of a canvas if it is one to learn from. A `Sample` of `Network`.

        Args:
            canvas: gives it, (H, W, 3), valid until the next call; asked only for one that is kept.
            found: what was seen on it.
        """
        empty = not self._answers.shows(found)
        with self._lock:
            self._since_kept += 1
            if self._since_kept <= self._every or len(self._kept) >= BATCH or (empty and self._empty >= _MOST_EMPTY):
                return
            self._since_kept = 0
        kept = canvas().copy()  # outside the lock: it may have to be fetched from a GPU
        with self._lock:
            self._empty += empty
            self._kept.append(kept)

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
        terms: Terms = _TERMS,
    ) -> Verdict:
        """Compare the two on the kept canvases and let go of them.

        Both backends are opened and closed here, on the calling thread, which should be a nice one: it takes the cores
        from inference for a second or two.

        Args:
            open_reference: opens the exact one.
            open_candidate: opens the other one, with the same options otherwise.
            beat: called between two canvases.
            stopping: asked between two canvases; once true, nothing more is learned.
            terms: what the candidate is held to.

        Raises:
            BackendError: one of the two failed.
        """
        with self._lock:
            canvases, self._kept, self._empty = self._kept, [], 0
        reference = open_reference()
        try:
            candidate = open_candidate()
            try:
                for canvas in canvases:
                    if stopping():
                        break
                    beat()
                    self._comparison.add(canvas, reference, candidate, terms.bar)
            finally:
                candidate.close()
        finally:
            reference.close()
        return self.verdict(terms)

    def verdict(self, terms: Terms = _TERMS) -> Verdict:
        """Say what the evidence so far allows. A candidate that fails stays refused: call `forget` to try again."""
        return self._comparison.verdict(terms)

    def forget(self) -> None:
        """Begin anew: the scene may have changed, or another candidate's turn has come."""
        self._comparison.forget()
