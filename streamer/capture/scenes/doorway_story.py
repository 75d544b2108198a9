"""Who comes to the door, what is brought, left and taken away, and when. Pure functions of seed and time.

Time is cut into slots; whatever begins in a slot is over before its end, so that any moment is known by its slot alone.
Places are fractions of the picture: `x` of its width, `y` of its height, where something stands on the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .doorway_ground import DOORSTEP_Y, metre
from .doorway_looks import ParcelLook, PersonLook, parcel_look, person_look

if TYPE_CHECKING:
    from numpy.random import Generator

SLOT_S = 90.0
BESIDE_M = 0.62  # from where one stands to where one puts something down

_BEND_S = 1.6  # down, and up again
_WALK_M_S = (0.9, 1.6)
# Between one who goes and one who comes: who comes within `end_after` where another went is the same visitor to anybody
# who has not seen the face. Only those who just pass by may meet.
_APART_S = 3.5
_NOMINAL_ASPECT = 16 / 9  # walking times do not depend on the picture's shape


class What(str, Enum):
    """What a person who looks on would name."""

    CAME = "came"  # somebody has come into view
    LEFT = "left"  # a parcel lies there, and who brought it walks away
    TAKEN = "taken"  # a parcel that lay there has been picked up


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """The truth about one moment."""

    what: What
    at_s: float
    until_s: float  # when it is over: the person has gone, the parcel is taken; of a taking, when the taker has gone
    actor: int  # id of the person or the parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where somebody is at a moment; between two steps they walk, or stand where the places are equal."""

    at_s: float
    x: float
    y: float
    walked_m: float = 0.0  # on the way that ends here, since it began


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person's whole visit."""

    id: int
    look: PersonLook
    steps: tuple[Step, ...]  # at least two, in order of time
    bends_s: tuple[float, ...] = ()  # when they are lowest, to put down or pick up
    carries: tuple[ParcelLook, int, float, float] | None = None  # what, its id, from when, and until when
    faces: float = 1.0  # +1 to the right, -1 to the left, while standing

    @property
    def comes_s(self) -> float:
        """When they are just out of the picture, coming."""
        return self.steps[0].at_s

    @property
    def leaves_s(self) -> float:
        """When they begin to walk away."""
        return self.steps[-2].at_s

    @property
    def goes_s(self) -> float:
        """When they are just out of the picture, gone."""
        return self.steps[-1].at_s

    def holds(self, t_s: float) -> bool:
        """Whether they have a parcel in their hands."""
        return self.carries is not None and self.carries[2] <= t_s < self.carries[3]

    def bent(self, t_s: float) -> float:
        """Return how far they are bent down, 0..1."""
        nearest = min((abs(t_s - low_s) for low_s in self.bends_s), default=math.inf)
        return 0.5 + 0.5 * math.cos(math.pi * min(1.0, nearest / (_BEND_S / 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A parcel while it lies on the ground."""

    id: int
    look: ParcelLook
    put_s: float
    taken_s: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """All that goes on between two multiples of `SLOT_S`."""

    people: tuple[Person, ...] = ()
    parcels: tuple[Parcel, ...] = ()
    happenings: tuple[Happening, ...] = ()


@lru_cache(maxsize=64)
def slot_at(seed: int, index: int, visitors: float) -> Slot:
    """Return what goes on in one slot.

    Args:
        seed: of the scene.
        index: of the slot, from 0.
        visitors: share of the slots in which anybody comes, 0..1.
    """
    rng = np.random.default_rng((seed, 0xD00B, index))
    if rng.random() >= visitors:
        return Slot()
    began_s = index * SLOT_S
    kind = rng.random()
    if kind < 0.55:
        slot = _delivery(rng, began_s, index)
    elif kind < 0.7:
        slot = _visit(rng, began_s, index)
    else:
        slot = _passing(rng, began_s, index)
    came = tuple(
        Happening(what=What.CAME, at_s=person.comes_s, until_s=person.goes_s, actor=person.id) for person in slot.people
    )
    return replace(slot, happenings=tuple(sorted(slot.happenings + came, key=lambda one: one.at_s)))


def happenings(seed: int, *, until_s: float, visitors: float = 1.0) -> tuple[Happening, ...]:
    """Return what a person who looks on would name before a time, in order."""
    slots = (slot_at(seed, index, visitors) for index in range(math.ceil(until_s / SLOT_S)))
    return tuple(one for slot in slots for one in slot.happenings if one.at_s < until_s)


def _delivery(rng: Generator, began_s: float, index: int) -> Slot:
    """Somebody brings a parcel, puts it down and goes; later somebody takes it away."""
    bringer_look, parcel = person_look(rng), parcel_look(rng)
    x, y = rng.uniform(0.32, 0.68), rng.uniform(DOORSTEP_Y, DOORSTEP_Y + 0.16)
    number = 10 * index
    bringer = _errand(rng, began_s + rng.uniform(1, 6), number, bringer_look, (x, y))
    put_s = bringer.bends_s[0]
    bringer = replace(bringer, carries=(parcel, number + 5, began_s, put_s))
    taker_look = bringer_look if rng.random() < 0.3 else person_look(rng)
    taker = _errand(rng, bringer.goes_s + rng.uniform(16, 26), number + 1, taker_look, (x, y))
    taken_s = taker.bends_s[0]
    taker = replace(taker, carries=(parcel, number + 5, taken_s, math.inf))
    people = [bringer, taker]
    if rng.random() < 0.4:
        people.append(_passer(rng, bringer.goes_s + _APART_S + rng.uniform(0, 1), number + 2))
    if rng.random() < 0.25 and taker.goes_s < began_s + 65:
        people.append(_passer(rng, rng.uniform(taker.goes_s + _APART_S, began_s + 75), number + 3))
    return Slot(
        people=tuple(people),
        parcels=(Parcel(id=number + 5, look=parcel, put_s=put_s, taken_s=taken_s, x=x, y=y),),
        happenings=(
            Happening(what=What.LEFT, at_s=bringer.leaves_s, until_s=taken_s, actor=number + 5),
            Happening(what=What.TAKEN, at_s=taken_s, until_s=taker.goes_s, actor=number + 5),
        ),
    )


def _visit(rng: Generator, began_s: float, index: int) -> Slot:
    """Somebody comes to the door, waits, and goes, at times with the parcel they came with."""
    x, y = rng.uniform(0.42, 0.58), rng.uniform(DOORSTEP_Y + 0.02, DOORSTEP_Y + 0.12)
    person = _errand(rng, began_s + rng.uniform(1, 40), 10 * index, person_look(rng), (x, y), waits_s=(2.5, 9.0))
    person = replace(person, bends_s=())
    if rng.random() < 0.35:
        person = replace(person, carries=(parcel_look(rng), 10 * index + 5, began_s, math.inf))
    return Slot(people=(person,))


def _passing(rng: Generator, began_s: float, index: int) -> Slot:
    """One to three people go by."""
    starts_s = rng.uniform(1, 72, int(rng.integers(1, 4))).tolist()
    return Slot(people=tuple(_passer(rng, began_s + start_s, 10 * index + i) for i, start_s in enumerate(starts_s)))


def _passer(rng: Generator, at_s: float, number: int) -> Person:
    look, to_right = person_look(rng), rng.random() < 0.5
    y = rng.uniform(DOORSTEP_Y + 0.1, 1.12)
    xs = _edges(y) if to_right else _edges(y)[::-1]
    steps = _walk(at_s, [(xs[0], y), (rng.uniform(0.35, 0.65), y + rng.uniform(-0.03, 0.03)), (xs[1], y)], rng)
    person = Person(id=number, look=look, steps=steps)
    if rng.random() < 0.25:
        person = replace(person, carries=(parcel_look(rng), number + 5, -math.inf, math.inf))
    return person


def _errand(
    rng: Generator,
    at_s: float,
    number: int,
    look: PersonLook,
    place: tuple[float, float],
    *,
    waits_s: tuple[float, float] = (0.2, 2.5),
) -> Person:
    """Walk up to beside a place, bend, wait, and leave."""
    side = 1.0 if rng.random() < 0.5 else -1.0  # of the place, where they stand
    y = place[1] + rng.uniform(0.0, 0.01)
    x = place[0] + side * BESIDE_M * metre(y) / _NOMINAL_ASPECT
    comes, goes = _outside(rng, side), _outside(rng, side)
    there = _walk(at_s, [comes, (x, y)], rng)
    low_s = there[-1].at_s + _BEND_S / 2 + rng.uniform(0.1, 0.5)
    stays_until_s = low_s + _BEND_S / 2 + rng.uniform(*waits_s)
    away = _walk(stays_until_s, [(x, y), goes], rng)
    return Person(id=number, look=look, steps=there + away, bends_s=(low_s,), faces=-side)


def _outside(rng: Generator, side: float) -> tuple[float, float]:
    """Choose a place just out of the picture, beyond its left or right edge, mostly on one's own side."""
    y = rng.uniform(DOORSTEP_Y + 0.04, 1.1)
    own = rng.random() < 0.8
    return _edges(y)[1 if (side > 0) == own else 0], y


def _edges(y: float) -> tuple[float, float]:
    """Return the places left and right of the picture from which nothing reaches into it."""
    beyond = 1.0 * metre(y) / _NOMINAL_ASPECT
    return -beyond, 1 + beyond


def _walk(at_s: float, places: list[tuple[float, float]], rng: Generator) -> tuple[Step, ...]:
    steps = [Step(at_s=at_s, x=places[0][0], y=places[0][1])]
    speed = rng.uniform(*_WALK_M_S)
    for x, y in places[1:]:
        last = steps[-1]
        scale = (metre(last.y) + metre(y)) / 2
        way_m = math.hypot((x - last.x) * _NOMINAL_ASPECT / scale, 1.6 * (y - last.y) / scale)
        steps.append(Step(at_s=last.at_s + max(0.4, way_m / speed), x=x, y=y, walked_m=last.walked_m + way_m))
    return tuple(steps)
