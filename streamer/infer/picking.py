"""Which networks' outputs may be reduced to the anchors that reach a floor, before their head sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backends.base import Pick
from .spec import Task

if TYPE_CHECKING:
    from .spec import ModelSpec


def pick_of(spec: ModelSpec, floor: float) -> Pick | None:
    """Return what a backend may leave out of a model's output, or None where that is not known to be safe.

    Args:
        spec: the model.
        floor: the least score that its head is asked for.
    """
    if spec.task is not Task.DETECT or len(spec.output_names) != 1 or spec.axes or floor <= 0:
        return None
    match spec.head:
        case "v8":
            return Pick(channels=4 + spec.classes, objectness=False, placed=False, floor=floor)
        case "v5" | "yolox-decoded":
            return Pick(channels=5 + spec.classes, objectness=True, placed=False, floor=floor)
        case "yolox":  # its boxes are relative to their cells
            return Pick(channels=5 + spec.classes, objectness=True, placed=True, floor=floor)
        case _:
            return None
