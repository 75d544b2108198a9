"""Output heads: one file for each family of networks, which says how it is told, fed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from . import end2end, v5, v8, yolov6, yolox
from .base import Candidates, Head
from .numbering import Renumbered

if TYPE_CHECKING:
    from streamer.infer.spec import ModelSpec

    from .family import Family

# What is met most often comes first: so are candidates named.
FAMILIES: tuple[Family, ...] = (
    v8.FAMILY,
    yolox.FAMILY,
    yolox.DECODED,
    yolov6.FAMILY,
    v5.FAMILY,
    end2end.FAMILY,
)
HEADS = tuple(family.name for family in FAMILIES)

__all__ = ["FAMILIES", "HEADS", "Candidates", "Head", "family_of", "open_head"]


def family_of(head: str) -> Family:
    """Return a family by its name.

    Raises:
        ConfigError: there is none.
    """
    for family in FAMILIES:
        if family.name == head:
            return family
    raise ConfigError(f"head: {head!r} is not known; allowed are {', '.join(HEADS)}")


def open_head(spec: ModelSpec) -> Head:
    """Return the head that a spec names.

    Raises:
        ConfigError: there is no such head.
    """
    head = family_of(spec.head).open(spec)
    return head if spec.ids is None else Renumbered(head, spec.ids)
