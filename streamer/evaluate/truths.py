"""What a data set says of its pictures. Passive data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

LabelledTask = Literal["detect", "classify"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class LabelledPicture:
    """A picture, and what is in it."""

    path: Path
    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px, within the picture; (0, 4) of a picture that is classified
    class_ids: NDArray[np.int64]  # (N,) index into the set's labels; (1,) of a picture that is classified
    crowd: NDArray[np.bool_]  # (N,) a box around many (COCO's iscrowd): neither right nor wrong to find


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Pictures of one task, and the names of what is in them."""

    task: LabelledTask
    labels: tuple[str, ...]
    pictures: tuple[LabelledPicture, ...]
