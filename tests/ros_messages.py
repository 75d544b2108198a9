"""Stand-ins for ROS 2's message classes: they refuse fields that a definition lacks, and values of another type.

The definitions are facts taken from the published .msg files, as shown for ROS 2 Jazzy at
https://docs.ros.org/en/jazzy/p/vision_msgs/__message_definitions.html (vision_msgs 4, Apache-2.0; the same in Humble,
Iron, Kilted and Rolling) and in common_interfaces (std_msgs, geometry_msgs) and rcl_interfaces (builtin_interfaces).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

# Message -> its fields and their types, in order.
VISION_MSGS_4: dict[str, dict[str, str]] = {
    "vision_msgs/Detection2DArray": {"header": "std_msgs/Header", "detections": "vision_msgs/Detection2D[]"},
    "vision_msgs/Detection2D": {
        "header": "std_msgs/Header",
        "results": "vision_msgs/ObjectHypothesisWithPose[]",
        "bbox": "vision_msgs/BoundingBox2D",
        "id": "string",
    },
    "vision_msgs/ObjectHypothesisWithPose": {
        "hypothesis": "vision_msgs/ObjectHypothesis",
        "pose": "geometry_msgs/PoseWithCovariance",
    },
    "vision_msgs/ObjectHypothesis": {"class_id": "string", "score": "float64"},
    "vision_msgs/BoundingBox2D": {"center": "vision_msgs/Pose2D", "size_x": "float64", "size_y": "float64"},
    "vision_msgs/Pose2D": {"position": "vision_msgs/Point2D", "theta": "float64"},
    "vision_msgs/Point2D": {"x": "float64", "y": "float64"},
    "geometry_msgs/PoseWithCovariance": {"pose": "geometry_msgs/Pose", "covariance": "float64[36]"},
    "geometry_msgs/Pose": {"position": "geometry_msgs/Point", "orientation": "geometry_msgs/Quaternion"},
    "geometry_msgs/Point": {"x": "float64", "y": "float64", "z": "float64"},
    "geometry_msgs/Quaternion": {"x": "float64", "y": "float64", "z": "float64", "w": "float64"},
    "std_msgs/Header": {"stamp": "builtin_interfaces/Time", "frame_id": "string"},
    "builtin_interfaces/Time": {"sec": "int32", "nanosec": "uint32"},
}

# What 3 (Galactic) had in their place: 4.0.0 brought vision_msgs/Pose2D, whose place is a Point2D of its own.
VISION_MSGS_3 = VISION_MSGS_4 | {
    "vision_msgs/BoundingBox2D": {"center": "geometry_msgs/Pose2D", "size_x": "float64", "size_y": "float64"},
    "geometry_msgs/Pose2D": {"x": "float64", "y": "float64", "theta": "float64"},
}

_DEFAULTS = {("geometry_msgs/Quaternion", "w"): 1.0}  # the only one in these definitions that is not zero
_RANGES = {"int32": range(-(2**31), 2**31), "uint32": range(2**32)}


class RosMessage:
    """What rclpy's generated classes do: each field has its default, and assignments are checked."""

    NAME: ClassVar[str]
    FIELDS: ClassVar[dict[str, str]]
    KNOWN: ClassVar[dict[str, type[RosMessage]]]

    def __init__(self, **values: Any) -> None:  # noqa: ANN401  of any field
        for name, kind in self.FIELDS.items():
            object.__setattr__(self, name, self._default(name, kind))
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401  of any field
        if name not in self.FIELDS:
            raise AttributeError(f"{self.NAME} has no field {name}")
        self._check(name, self.FIELDS[name], value)
        object.__setattr__(self, name, value)

    def check(self) -> None:
        """Check every field again, all the way down: lists may have been changed in place."""
        for name, kind in self.FIELDS.items():
            value = getattr(self, name)
            self._check(name, kind, value)
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, RosMessage):
                    part.check()

    def _default(self, name: str, kind: str) -> Any:  # noqa: ANN401  of any field
        if kind.endswith("[]"):
            return []
        if kind.endswith("]"):
            return [0.0] * int(kind.partition("[")[2][:-1])
        if kind in self.KNOWN:
            return self.KNOWN[kind]()
        return {"string": "", "float64": _DEFAULTS.get((self.NAME, name), 0.0)}.get(kind, 0)

    def _check(self, name: str, kind: str, value: Any) -> None:  # noqa: ANN401  of any field
        element, bracket, count = kind.partition("[")
        values = value if bracket and isinstance(value, list) else [value]
        if bracket and not (isinstance(value, list) and len(value) == int(count[:-1] or len(value))):
            raise TypeError(f"{self.NAME}.{name} is {kind}, not {value!r}")
        if not all(self._fits(element, one) for one in values):
            raise TypeError(f"{self.NAME}.{name} is {kind}, not {value!r}")

    def _fits(self, kind: str, value: Any) -> bool:  # noqa: ANN401  of any field
        if kind in self.KNOWN:
            return type(value) is self.KNOWN[kind]
        if kind in _RANGES:
            return type(value) is int and value in _RANGES[kind]
        return type(value) is str if kind == "string" else type(value) is float and math.isfinite(value)


def message_classes(definitions: dict[str, dict[str, str]]) -> dict[str, type[RosMessage]]:
    """Return a class for each message, as `package/Name`."""
    known: dict[str, type[RosMessage]] = {}
    for name, fields in definitions.items():
        known[name] = type(name.partition("/")[2], (RosMessage,), {"NAME": name, "FIELDS": fields, "KNOWN": known})
    return known
