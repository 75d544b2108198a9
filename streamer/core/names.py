"""Names of classes: how they are compared, and how they stand in a topic."""

from __future__ import annotations

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
