"""How fast an object moves in the picture, for those who are told of it."""

from __future__ import annotations

import math

from streamer.core.results import Velocity

# In units of the object's size (the square root of its box's area) and seconds.
_SPEED = 2.0  # usual speed, sizes a second: all that is known before the second sighting
_TURNS = 1.0  # how much a velocity changes within a second, sizes a second: walkers stop and turn
_BOX_NOISE = 0.05  # how far a detector's boxes jump, sizes


class Pace:
    """The velocity of a box's centre: a Kalman filter whose object keeps its speed until it is seen to change it.

    The filter that pairs tracks with detections lets an object slow down by itself, which is right for one that is
    out of sight, and makes one in steady motion seem a sixth too slow. Never divides by the time between two frames:
    frames that come too close to one another tell little, and change little.
    """

    __slots__ = ("_cx", "_cy", "_place", "_shared", "_speed", "_vx", "_vy")

    def __init__(self, cx: float, cy: float, area: float) -> None:
        """Begin with the first sighting.

        Args:
            cx: of the box's centre, px.
            cy: of the box's centre, px.
            area: of the box, px^2.
        """
        self._cx, self._cy = cx, cy
        self._vx = self._vy = 0.0  # px/s
        self._place = _BOX_NOISE**2 * area  # variances, of either axis: of the centre, px^2,
        self._shared = 0.0  # of centre and velocity, px^2/s,
        self._speed = _SPEED**2 * area  # of the velocity, px^2/s^2

    def move(self, step_s: float, area: float) -> None:
        """Let `step_s` pass, of an object whose box has `area` px^2."""
        self._cx += step_s * self._vx
        self._cy += step_s * self._vy
        noise = _TURNS**2 * area * step_s
        self._place += step_s * (2 * self._shared + step_s * (self._speed + noise / 3))
        self._shared += step_s * (self._speed + noise / 2)
        self._speed += noise

    def see(self, cx: float, cy: float, area: float) -> None:
        """Take a sighting in; arguments as those of the first."""
        certainty = 1.0 / (self._place + _BOX_NOISE**2 * area)
        gain, speed_gain = self._place * certainty, self._shared * certainty
        off_x, off_y = cx - self._cx, cy - self._cy
        self._cx += gain * off_x
        self._cy += gain * off_y
        self._vx += speed_gain * off_x
        self._vy += speed_gain * off_y
        self._speed = max(0.0, self._speed - speed_gain * self._shared)  # rounding may take it below
        self._shared *= 1 - gain
        self._place *= 1 - gain

    def velocity(self) -> Velocity:
        """Return the velocity at the last sighting, and how well it is known."""
        return Velocity(self._vx, self._vy, math.sqrt(self._speed))
