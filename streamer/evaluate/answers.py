"""A model's answers to labelled pictures, in the data set's own numbering of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .truths import LabelledPicture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class Judged:
    """What a detector said of one picture, beside what is there."""

    picture: LabelledPicture
    width: int  # px
    height: int  # px
    boxes: NDArray[np.float32]  # (M, 4) x1 y1 x2 y2, px
    scores: NDArray[np.float32]  # (M,) above the floor
    class_ids: NDArray[np.int64]  # (M,) index into the set's labels
