"""Axes of outputs that say nothing: those of 1 beside the batch's, and a batch's that is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.infer.signature import Port

    from .inputs import Axes

Kept = tuple[int | None, ...]  # for each axis that a head is given, the output's own; None: a new one of 1


def kept_axes(outputs: tuple[Port, ...], axes: Axes) -> dict[str, Kept]:
    """Return what to leave out or to add, by the names of the outputs where there is something."""
    one_picture = not axes.batched or axes.port.shape[0] == 1
    every = {port.name: _kept(port, one_picture=one_picture) for port in outputs}
    return {port.name: every[port.name] for port in outputs if every[port.name] != tuple(range(port.rank))}


def in_shape(port: Port, kept: Kept | None) -> Port:
    """Return an output as its head sees it."""
    if kept is None:
        return port
    return replace(port, shape=tuple(1 if axis is None else port.shape[axis] for axis in kept))


def _kept(port: Port, *, one_picture: bool) -> Kept:
    if port.rank == 2 and one_picture and port.shape[0] != 1:
        return (None, 0, 1)
    longer = [axis for axis in range(1, port.rank) if port.shape[axis] != 1]
    return (0, *longer) if port.rank > 2 and longer else tuple(range(port.rank))
