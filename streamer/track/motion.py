"""How an object moves between two sightings, however far apart in time they are."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from trackers.utils.state_representations import XCYCWHStateEstimator

from .pace import Pace

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


class _Step(NamedTuple):
    """What a stretch of time does to a centre's place and velocity along one axis; noise for an object of size 1."""

    travel: float  # s: how far a velocity of 1 carries
    kept: float  # share of the velocity that is left
    place_noise: float
    shared_noise: float  # covariance of place and velocity
    speed_noise: float
    size_noise: float


@lru_cache(maxsize=64)  # cameras send at few distinct steps, and each step serves every track
def _step(dt_s: float) -> _Step:
    """Return what `dt_s` does to an Ornstein-Uhlenbeck velocity and its integral."""
    kept = math.exp(-dt_s / _COAST_S)
    spread = (2 * dt_s / _COAST_S - 3 + 4 * kept - kept**2) * (_SPEED * _COAST_S) ** 2
    return _Step(
        travel=_COAST_S * (1 - kept),
        kept=kept,
        place_noise=spread + _WANDER**2 * dt_s,
        shared_noise=_SPEED**2 * _COAST_S * (1 - kept) ** 2,
        speed_noise=_SPEED**2 * (1 - kept**2),
        size_noise=_RESIZE**2 * dt_s,
    )


class CoastingEstimator(XCYCWHStateEstimator):  # type: ignore[misc]  # the library is untyped
    """Centre, width, height and velocity; an unseen object slows down, and keeps its size.

    The library's own motion models are made for 30 frames a second: noise in pixels whatever the object's size, and
    over steps of 0.2 s and more a velocity that overshoots at each sighting. Over a gap of seconds, noise in one
    measured box then carries a standing person away, and blows its box up or turns it inside out.

    A Kalman filter in plain numbers: the axes are independent and, as all noise goes by the object's size, share their
    covariances, 2x2 for a centre's place and velocity, 1x1 for a width or height. The library's 8x8 matrices would
    take eight times as long. Its filter, `kf`, is made by the base, noised by its tracklet, and not used.
    """

    def __init__(self, bbox: NDArray[np.float64]) -> None:
        super().__init__(bbox)
        self._cx, self._cy, self._width, self._height = _centred(bbox)
        self._vx = self._vy = 0.0  # px/s
        area = self._area()
        self._place = _BOX_NOISE**2 * area  # variances: of the centre along either axis, px^2,
        self._shared = 0.0  # of place and velocity, px^2/s,
        self._speed = _SPEED**2 * area  # of the velocity, px^2/s^2,
        self._size = self._place  # of width and of height, px^2
        self.pace = Pace(self._cx, self._cy, area)

    def predict(self, frame_step: float = 1.0, frame_rate: float | None = None) -> None:  # noqa: ARG002  the base's
        """Move on by `frame_step` (unit: 1 / FRAME_RATE s)."""
        step, area = _step(round(frame_step / FRAME_RATE, 3)), self._area()
        self._cx += step.travel * self._vx
        self._cy += step.travel * self._vy
        self._vx *= step.kept
        self._vy *= step.kept
        moved = self._shared + step.travel * self._speed
        self._place += step.travel * (self._shared + moved) + step.place_noise * area
        self._shared = step.kept * moved + step.shared_noise * area
        self._speed = step.kept**2 * self._speed + step.speed_noise * area
        self._size += step.size_noise * area
        self.pace.move(frame_step / FRAME_RATE, area)

    def update(self, bbox: NDArray[np.float64] | None) -> None:
        """Take a new sighting in, x1 y1 x2 y2 px."""
        if bbox is None:
            return
        area = self._area()
        noise = _BOX_NOISE**2 * area
        cx, cy, width, height = _centred(bbox)
        gain = self._place / (self._place + noise)
        speed_gain = self._shared / (self._place + noise)
        size_gain = self._size / (self._size + noise)
        off_x, off_y = cx - self._cx, cy - self._cy
        self._cx += gain * off_x
        self._cy += gain * off_y
        self._vx += speed_gain * off_x
        self._vy += speed_gain * off_y
        self._width += size_gain * (width - self._width)
        self._height += size_gain * (height - self._height)
        self._speed -= speed_gain * self._shared
        self._place *= 1 - gain
        self._shared *= 1 - gain
        self._size *= 1 - size_gain
        self.pace.see(cx, cy, area)

    def state_to_bbox(self) -> NDArray[np.float64]:
        """Return x1 y1 x2 y2 and how far from there the centre may be, px: what `Nearness` takes."""
        cx, cy, width, height = self._cx, self._cy, self._width, self._height
        reach = min(_REACH_DEVIATIONS * math.sqrt(self._place), _REACH * math.sqrt(self._area()))
        return np.array([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2, reach])

    def _area(self) -> float:
        return max(self._width, 1.0) * max(self._height, 1.0)


def _centred(bbox: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return centre, width and height of an x1 y1 x2 y2 box."""
    x1, y1, x2, y2 = bbox.tolist()
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
