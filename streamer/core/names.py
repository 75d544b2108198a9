"""Names of classes: how they are compared, and how they stand in a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Darknet spellings of COCO, and Ultralytics' of the same ids.
_COCO_ALIASES = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


def canonical(name: str) -> str:
    """Return the form in which two spellings of one class are equal.

    Case does not count, `_` equals a space, and the two spellings of COCO are aliases of each other.
    """
    plain = " ".join(name.replace("_", " ").casefold().split())
    return _COCO_ALIASES.get(plain, plain)


def topic_level(name: str) -> str:
    """Return a class name as a level of an MQTT topic: lower case, `_` for a space."""
    return name.strip().lower().replace(" ", "_")


def needs_alias(name: str) -> bool:
    """Whether a class name can't be a level of a topic: MQTT reads `/`, `+` and `#` there."""
    return any(sign in name for sign in "/+#")


def class_id(labels: Sequence[str], wanted: str) -> int:
    """Return the id of a class by any of its spellings.

    Raises:
        ValueError: the model has no such class.
    """
    return [canonical(label) for label in labels].index(canonical(wanted))
