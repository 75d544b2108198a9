"""Real pictures for a calibration or a proof: a bounded number of them, spread over all that there are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.canvas import open_canvases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from streamer.core.frame import Picture
    from streamer.infer.spec import InputSpec

MOST = 96  # canvases: 118 MB at 640x640; more of the same scene say nothing new


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What int8 scales are measured on."""

    canvases: NDArray[np.uint8]  # (N, H, W, 3), N > 0, as the network sees them

    @property
    def sha256(self) -> str:
        """What tells it from another, 64 hex digits: its pixels, wherever they came from."""
        digest = hashlib.sha256(repr(self.canvases.shape).encode())
        digest.update(np.ascontiguousarray(self.canvases).data)
        return digest.hexdigest()


def spread_canvases(pictures: Iterable[Picture], spec: InputSpec, *, most: int = MOST) -> NDArray[np.uint8]:
    """Draw pictures as a network sees them; of more than `most` as many as fit at equal distances.

    How many come is known only at their end: whenever there are too many, every other one is let go, and from then on
    only each second of those that were taken before is taken.

    Args:
        pictures: in order; each is let go before the next one is asked for.
        spec: of the network's input.
        most: canvases, 2 or more.

    Returns:
        (N, H, W, 3), N from `most` / 2 to `most`, or as many as there are.

    Raises:
        ValueError: the planes of one are not those of its format.
    """
    canvases = open_canvases(replace(spec, max_batch=1, fixed_batch=False))
    kept: list[NDArray[np.uint8]] = []
    step = 1
    for number, picture in enumerate(pictures):
        if number % step:
            continue
        if len(kept) == most:
            kept = kept[::2]
            step *= 2
            if number % step:
                continue
        kept.append(canvases.fill([picture])[0][0].copy())
    return np.stack(kept) if kept else np.zeros((0, *spec.hw, 3), np.uint8)
