"""Between probabilities and the numbers that a network computes them from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)); where exp overflows that is 0, as it should be."""
    with np.errstate(over="ignore"):
        answer: NDArray[np.float32] = np.float32(1) / (np.float32(1) + np.exp(-values))
    return answer


def logit(probability: float) -> float:
    """Return the number whose sigmoid is a probability: less than all others for 0, and more for 1."""
    if 0 < probability < 1:
        return math.log(probability / (1 - probability))
    return -math.inf if probability <= 0 else math.inf
