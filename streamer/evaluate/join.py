"""Which class of a model is which of the data: joined by their names, never by their numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import ConfigError
from streamer.core.names import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.infer.spec import ModelSpec

    from .truths import LabelledPicture, LabelledSet

_SHOWN = 8  # names


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What data and a model have in common, and what not."""

    labelled: LabelledSet  # of the common classes only, numbered anew in the data's order
    names: tuple[str, ...]  # of these classes as the model spells them
    ids: tuple[int, ...]  # of each class of the model: its number in `labelled`, or -1
    unknown: dict[str, int]  # class that the model lacks -> its objects (or pictures, of classes) left out
    unasked: tuple[str, ...]  # classes that only the model has


def join(labelled: LabelledSet, spec: ModelSpec) -> Joined:
    """Find out what can be compared.

    Case does not count, `_` equals a space, the spellings of COCO and the model's own aliases are equal.

    Raises:
        ConfigError: nothing can be: no name matches, or what does is nowhere labelled.
    """
    known = _known(labelled.labels)
    of_model = [_place(label, spec.aliases.get(label), known) for label in spec.labels]
    matched = sorted({place for place in of_model if place is not None})
    if not matched:
        raise ConfigError(_nothing_matches(labelled.labels, spec))
    number = {place: new for new, place in enumerate(matched)}
    spelled = {place: label for label, place in zip(reversed(spec.labels), reversed(of_model), strict=True)}
    joined = Joined(
        labelled=_only(labelled, number),
        names=tuple(spelled[place] for place in matched),
        ids=tuple(-1 if place is None else number[place] for place in of_model),
        unknown=_left_out(labelled, number),
        unasked=tuple(label for label, place in zip(spec.labels, of_model, strict=True) if place is None),
    )
    if not any(len(picture.class_ids) for picture in joined.labelled.pictures):
        raise ConfigError(f"no picture is labelled with a class that {spec.name} knows: {shortened(joined.names)}")
    return joined


def shortened(names: Sequence[str]) -> str:
    """Return names for people, the first of many."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _known(labels: Sequence[str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for place, label in enumerate(labels):
        if (before := known.setdefault(canonical(label), place)) != place:
            raise ConfigError(f"the data names two classes alike: {before} {labels[before]!r} and {place} {label!r}")
    return known


def _place(label: str, alias: str | None, known: dict[str, int]) -> int | None:
    place = known.get(canonical(label))
    return known.get(canonical(alias)) if place is None and alias is not None else place


def _nothing_matches(labels: Sequence[str], spec: ModelSpec) -> str:
    said = (
        f"{spec.name} knows none of the data's classes: they are {shortened(labels)}, its own {shortened(spec.labels)}"
    )
    if len(labels) == len(spec.labels):
        return f"{said}; if they are the same in another language, --labels FILE gives it the data's names, a line each"
    return said


def _only(labelled: LabelledSet, number: dict[int, int]) -> LabelledSet:
    """Leave out what is of other classes; a picture that is all of such a class goes with it."""
    if len(number) == len(labelled.labels):
        return labelled
    pictures = [_of_classes(picture, number) for picture in labelled.pictures]
    if labelled.task == "classify":
        pictures = [picture for picture in pictures if len(picture.class_ids)]
    labels = tuple(labelled.labels[place] for place in number)
    return replace(labelled, labels=labels, pictures=tuple(pictures))


def _of_classes(picture: LabelledPicture, number: dict[int, int]) -> LabelledPicture:
    mine = np.array([int(class_id) in number for class_id in picture.class_ids], np.bool_)
    return replace(
        picture,
        boxes=picture.boxes[mine] if len(picture.boxes) else picture.boxes,
        class_ids=np.array([number[int(class_id)] for class_id in picture.class_ids[mine]], np.int64),
        crowd=picture.crowd[mine],
    )


def _left_out(labelled: LabelledSet, number: dict[int, int]) -> dict[str, int]:
    count = Counter(int(class_id) for picture in labelled.pictures for class_id in picture.class_ids)
    return {label: count[place] for place, label in enumerate(labelled.labels) if place not in number}
