"""What a head is: from a network's raw outputs to boxes, scores and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class Candidates:
    """What a network saw in one picture, best first, still in the network's own pixels."""

    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px of the network's input; may reach outside it
    scores: NDArray[np.float32]  # (N,) 0..1, descending
    class_ids: NDArray[np.int32]  # (N,)

    @classmethod
    def empty(cls) -> Candidates:
        """Return the only spelling of "nothing"."""
        return cls(boxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.scores)


class Head(Protocol):
    """One family's way of writing boxes into its outputs."""

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode the outputs of one batch.

        Args:
            outputs: in the order of the spec's output names; only read.
            floor: scores below it are left out.
            iou: of two boxes of one class that overlap more, the better stays (families that have no NMS inside).

        Returns:
            One value for each picture of the batch. Numbers that are not finite never reach it.
        """
