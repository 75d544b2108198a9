"""What people and parcels look like: sizes, clothes, colours. Drawn once for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

Colour: TypeAlias = tuple[int, int, int]  # B G R

_SKIN = ((170, 195, 235), (140, 170, 215), (105, 140, 190), (70, 100, 150), (45, 65, 105))
_HAIR = ((25, 25, 30), (40, 50, 70), (60, 90, 130), (150, 190, 215), (190, 190, 195))
_CLOTHES = (
    (60, 50, 45),
    (110, 70, 40),
    (50, 50, 170),
    (70, 130, 60),
    (60, 160, 215),
    (215, 215, 220),
    (150, 90, 120),
    (45, 45, 50),
    (170, 150, 130),
    (40, 110, 215),
    (120, 125, 128),
)
_CARDBOARD = ((95, 140, 185), (80, 120, 165), (110, 155, 200), (120, 165, 205), (70, 105, 145))
_OTHER_PARCELS = ((225, 228, 230), (200, 190, 185), (120, 122, 126), (190, 120, 60), (60, 160, 220))


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLook:
    """One person, sizes in m."""

    height: float
    girth: float  # 1 is usual
    skin: Colour
    hair: Colour
    coat: Colour
    trousers: Colour
    shoes: Colour
    coat_to: float  # where the coat ends, share of the way from the hip to the ankle
    hat: Colour | None
    bag: Colour | None  # on the back


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelLook:
    """One parcel, sizes in m."""

    width: float
    height: float
    depth: float
    colour: Colour
    tape: Colour | None
    label: bool
    turned: float  # -1..1: how much of its left or right side shows


def person_look(rng: Generator) -> PersonLook:
    """Draw a person."""
    return PersonLook(
        height=rng.uniform(1.5, 1.92),
        girth=rng.uniform(0.85, 1.3),
        skin=_varied(rng, _SKIN),
        hair=_varied(rng, _HAIR),
        coat=_varied(rng, _CLOTHES),
        trousers=_varied(rng, _CLOTHES),
        shoes=_varied(rng, ((30, 30, 35), (50, 60, 90), (200, 200, 200))),
        coat_to=rng.choice((0.05, 0.12, 0.4, 0.6), p=(0.4, 0.3, 0.2, 0.1)),
        hat=_varied(rng, _CLOTHES) if rng.random() < 0.35 else None,
        bag=_varied(rng, _CLOTHES) if rng.random() < 0.25 else None,
    )


def parcel_look(rng: Generator) -> ParcelLook:
    """Draw a parcel, mostly of cardboard."""
    width = rng.uniform(0.36, 0.64)
    cardboard = rng.random() < 0.75
    return ParcelLook(
        width=width,
        height=width * rng.uniform(0.45, 0.9),
        depth=width * rng.uniform(0.5, 0.9),
        colour=_varied(rng, _CARDBOARD if cardboard else _OTHER_PARCELS),
        tape=_varied(rng, ((150, 185, 210), (60, 90, 130), (220, 220, 220))) if rng.random() < 0.8 else None,
        label=rng.random() < 0.7,
        turned=rng.uniform(-1, 1),
    )


def shaded(colour: Colour, share: float) -> Colour:
    """Return a colour as bright as a share of it; above 1 it gets lighter."""
    b, g, r = (min(255, max(0, round(part * share))) for part in colour)
    return b, g, r


def _varied(rng: Generator, palette: tuple[Colour, ...]) -> Colour:
    chosen = np.array(palette[int(rng.integers(len(palette)))], float) * rng.uniform(0.85, 1.15)
    b, g, r = (min(255, max(0, round(part))) for part in (chosen + rng.uniform(-10, 10, 3)).tolist())
    return b, g, r
