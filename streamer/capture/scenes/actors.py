"""Who comes when, from where, stops where and leaves by which edge. Pure functions of seed and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .outlines import KINDS, REACH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

_SLOT_S = 3.0  # one arrival in each slot, so 2 to 4 s lie between two arrivals
_ARRIVE_S = (0.2, 1.2)  # when within its slot
_STOP_S = (1.5, 3.5)
_MOVE_S = (0.8, 2.2)  # least and most time to walk in, or out
_LONGEST_STAY_S = _STOP_S[1] + 2 * _MOVE_S[1]
_SPEED = (0.14, 0.27)  # widths of the picture a second, on average over a walk
_RADIUS = (0.085, 0.165)  # of the picture's shorter side
_NOMINAL_ASPECT = 16 / 9  # walking times do not depend on the picture's shape
_AT_THE_EDGE = 0.15  # share of the shapes that stop partly outside the picture

# Strong colours (B, G, R) that stand out from every background; a colour says nothing about the kind.
_COLOURS = (
    (60, 76, 231),
    (34, 126, 240),
    (15, 196, 241),
    (96, 204, 46),
    (156, 188, 26),
    (219, 152, 52),
    (182, 89, 175),
    (180, 105, 255),
    (236, 236, 240),
    (200, 60, 60),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One shape's whole life. Places are fractions of width and height; `out` is in radii beyond the edge."""

    id: int
    kind: str
    radius: float  # of the picture's shorter side
    colour: tuple[int, int, int]  # B G R
    arrives_s: float
    walk_in_s: float
    stop_s: float
    walk_out_s: float
    enters_by: int  # 0 left, 1 top, 2 right, 3 bottom
    leaves_by: int
    stop_xy: tuple[float, float]
    drift: tuple[float, float]  # sideways way while entering and leaving, fraction
    angle: float  # rad, where it stops
    spin: tuple[float, float]  # rad turned while entering and leaving

    @property
    def leaves_s(self) -> float:
        """When it is wholly outside again, s."""
        return self.arrives_s + self.walk_in_s + self.stop_s + self.walk_out_s

    def pose(self, t_s: float, width: int, height: int) -> tuple[tuple[float, float], float]:
        """Return the centre (x, y), px, and the angle, rad, at a time within its life.

        It brakes while it comes in and gathers speed while it leaves, so that nothing ever jumps.
        """
        into_s = t_s - self.arrives_s
        since_stop_s = into_s - self.walk_in_s - self.stop_s
        if into_s < self.walk_in_s:
            away, edge, side = (1 - into_s / self.walk_in_s) ** 2, self.enters_by, 0
        else:
            away, edge, side = max(0.0, since_stop_s / self.walk_out_s) ** 2, self.leaves_by, 1
        x, y = self.stop_xy[0] * width, self.stop_xy[1] * height
        out_x, out_y = self._outside(edge, side, width, height)
        return (x + (out_x - x) * away, y + (out_y - y) * away), self.angle + self.spin[side] * away

    def _outside(self, edge: int, side: int, width: int, height: int) -> tuple[float, float]:
        beyond = self.radius * min(width, height) * REACH
        x, y = self.stop_xy
        if edge in (0, 2):
            return (-beyond if edge == 0 else width + beyond), (y + self.drift[side]) * height
        return (x + self.drift[side]) * width, (-beyond if edge == 1 else height + beyond)


def on_stage(seed: int, t_s: float) -> Iterator[Actor]:
    """Yield who is in or near the picture at a time, in order of arrival."""
    last = int(t_s // _SLOT_S)
    first = max(0, int((t_s - _LONGEST_STAY_S - _ARRIVE_S[1]) // _SLOT_S))
    for index in range(first, last + 1):
        actor = _actor(seed, index)
        if actor.arrives_s <= t_s < actor.leaves_s:
            yield actor


@lru_cache(maxsize=256)
def _actor(seed: int, index: int) -> Actor:
    rng = np.random.default_rng((seed, index))
    radius = rng.uniform(*_RADIUS)
    enters_by = int(rng.integers(4))
    stop_xy = _stop(rng, radius, enters_by)
    leaves_by = _nearest_edge(stop_xy) if rng.random() < 0.7 else int(rng.integers(4))
    return Actor(
        id=index,
        kind=KINDS[int(rng.integers(len(KINDS)))],
        radius=radius,
        colour=_COLOURS[int(rng.integers(len(_COLOURS)))],
        arrives_s=index * _SLOT_S + rng.uniform(*_ARRIVE_S),
        walk_in_s=_walk_s(rng, stop_xy, enters_by, radius),
        stop_s=rng.uniform(*_STOP_S),
        walk_out_s=_walk_s(rng, stop_xy, leaves_by, radius),
        enters_by=enters_by,
        leaves_by=leaves_by,
        stop_xy=stop_xy,
        drift=(rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)),
        angle=rng.uniform(-np.pi, np.pi),
        spin=(rng.uniform(-1.6, 1.6), rng.uniform(-1.6, 1.6)),
    )


def _stop(rng: Generator, radius: float, enters_by: int) -> tuple[float, float]:
    """Choose where to stop: mostly well inside and in the half it comes from, at times half outside."""
    x, y = rng.uniform(0.14, 0.86), rng.uniform(0.2, 0.8)
    near = rng.uniform(0.14, 0.6)
    x = {0: near, 2: 1 - near}.get(enters_by, x)
    if rng.random() < _AT_THE_EDGE:
        inset = rng.uniform(0.1, 0.6) * radius
        across = inset / _NOMINAL_ASPECT
        x = {0: across, 2: 1 - across}.get(enters_by, x)
        y = {1: inset, 3: 1 - inset}.get(enters_by, y)
    return x, y


def _nearest_edge(stop_xy: tuple[float, float]) -> int:
    return int(np.argmin(_ways(stop_xy)))


def _ways(stop_xy: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the way from a place to each edge, in widths of a 16:9 picture."""
    x, y = stop_xy
    return x, y / _NOMINAL_ASPECT, 1 - x, (1 - y) / _NOMINAL_ASPECT


def _walk_s(rng: Generator, stop_xy: tuple[float, float], edge: int, radius: float) -> float:
    way = _ways(stop_xy)[edge] + REACH * radius / _NOMINAL_ASPECT
    return float(np.clip(way / rng.uniform(*_SPEED), *_MOVE_S))
