"""How an object moves between two sightings, however far apart in time they are."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from trackers.utils.state_representations import XCYCWHStateEstimator

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_RATE = 30.0  # Hz: the unit of time in the library's filter; the cameras' own rates do not matter

# In units of the object's size (the square root of its box's area) and seconds.
_COAST_S = 0.7  # time constant with which an unseen object is taken to slow down
_SPEED = 2.0  # usual speed, sizes a second: a walker does 1.3, a car or a runner 3
_WANDER = 0.3  # how far an object strays from its course within a second, sizes: turns, stops, gestures
_RESIZE = 0.2  # how much its width and height change within a second, sizes
_BOX_NOISE = 0.05  # how far a detector's boxes jump, sizes
_REACH_DEVIATIONS = 3.0  # how many standard deviations from its expected place an object may be ...
_REACH = 2.5  # ... and how many sizes at most


@lru_cache(maxsize=64)  # cameras send at few distinct steps, and each step serves every track
def _step(dt_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (8, 8) transition and (8, 8) process noise (of size 1) of an Ornstein-Uhlenbeck velocity over `dt_s`."""
    kept = math.exp(-dt_s / _COAST_S)
    transition = np.eye(8)
    noise = np.zeros((8, 8))
    spread = (2 * dt_s / _COAST_S - 3 + 4 * kept - kept**2) * (_SPEED * _COAST_S) ** 2
    for position, velocity in ((0, 4), (1, 5)):
        transition[position, velocity] = _COAST_S * (1 - kept)
        transition[velocity, velocity] = kept
        noise[position, position] = spread + _WANDER**2 * dt_s
        noise[position, velocity] = noise[velocity, position] = _SPEED**2 * _COAST_S * (1 - kept) ** 2
        noise[velocity, velocity] = _SPEED**2 * (1 - kept**2)
    noise[2, 2] = noise[3, 3] = _RESIZE**2 * dt_s
    transition[6, 6] = transition[7, 7] = 0.0  # width and height wander, they have no velocity
    return transition, noise


class CoastingEstimator(XCYCWHStateEstimator):  # type: ignore[misc]  # the library is untyped
    """Centre, width, height and velocity; an unseen object slows down, and keeps its size.

    The library's own motion models are made for 30 frames a second: noise in pixels whatever the object's size, and
    over steps of 0.2 s and more a velocity that overshoots at each sighting. Over a gap of seconds, noise in one
    measured box then carries a standing person away, and blows its box up or turns it inside out.
    """

    def __init__(self, bbox: NDArray[np.float64]) -> None:
        super().__init__(bbox)
        self._speed_unknown = True

    def predict(self, frame_step: float = 1.0, frame_rate: float | None = None) -> None:  # noqa: ARG002  the base's
        """Move on by `frame_step` (unit: 1 / FRAME_RATE s)."""
        kf = self.kf
        if self._speed_unknown:
            self._speed_unknown = False
            area = self._area()
            kf.state_covariance = np.diag([_BOX_NOISE**2] * 4 + [_SPEED**2] * 2 + [0.0] * 2) * area
        kf.transition_mtx, unit = _step(round(frame_step / FRAME_RATE, 3))
        kf.process_noise = unit * self._area()
        kf.predict()

    def update(self, bbox: NDArray[np.float64] | None) -> None:
        """Take a new sighting in, x1 y1 x2 y2 px."""
        self.kf.measurement_noise = np.eye(4) * (_BOX_NOISE**2 * self._area())
        super().update(bbox)

    def state_to_bbox(self) -> NDArray[np.float64]:
        """Return x1 y1 x2 y2 and how far from there the centre may be, px: what `Nearness` takes."""
        cx, cy, width, height = self.kf.state[:4, 0].tolist()
        variance = self.kf.state_covariance[0, 0] + self.kf.state_covariance[1, 1]
        reach = min(_REACH_DEVIATIONS * math.sqrt(variance / 2), _REACH * math.sqrt(self._area()))
        return np.array([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2, reach])

    def _area(self) -> float:
        width, height = self.kf.state[2:4, 0].tolist()
        return float(max(width, 1.0) * max(height, 1.0))
