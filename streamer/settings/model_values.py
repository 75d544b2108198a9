"""The kinds of values that say how a model is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from .values import as_number, filled, names_of, of_schema, refuse, resolve_path, whole

_LAST_DEVICE = 63


def is_model_path(text: str) -> bool:
    """Tell a path from a catalogue's name, as the command line does."""
    return text.startswith(("./", "../", "/", "~/")) or text.endswith((".onnx", ".yaml"))


def _model(value: object, info: ValidationInfo) -> str:
    text = filled(value)
    return str(resolve_path(text, info)) if is_model_path(text) else _name_of_model(text)


def _name_of_model(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        refuse("must be a name of the catalogue, or a path that begins with ./ or ends with .onnx or .yaml")
    return text


def _labels(value: object, info: ValidationInfo) -> tuple[str, ...] | Path | str:
    if isinstance(value, str):
        return value if value in {"coco80", "imagenet1000"} else resolve_path(filled(value), info)
    return names_of(value)


def _input_hw(value: object) -> tuple[int, int]:
    height, width = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, value)
    try:
        return whole(height, 8, 8192), whole(width, 8, 8192)
    except PydanticCustomError:
        refuse("must be a number of pixels, or [height, width], 8 to 8192: 640 or [384, 640]")


def _ratio(value: object) -> float:
    above, slash, below = value.partition("/") if isinstance(value, str) else (value, "", "")
    number = as_number(above)
    divisor = as_number(below) if slash else 1.0
    if not number or not divisor or number / divisor <= 0:
        refuse("must be a number above 0, or a fraction such as 1/255")
    return number / divisor


def _per_channel(value: object) -> tuple[float, float, float]:
    items = value if isinstance(value, (list, tuple)) else [value] * 3
    numbers = [as_number(item) for item in items]
    if len(numbers) != 3 or any(number is None for number in numbers):
        refuse("must be one number, or three in the order of the colours: [0.485, 0.456, 0.406]")
    red, green, blue = (float(number or 0.0) for number in numbers)
    return red, green, blue


def _divisors(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(value) <= 0:
        refuse("must be above 0 in each channel")
    return value


def _labels_out(labels: tuple[str, ...] | Path | str) -> list[str] | str:
    return list(labels) if isinstance(labels, tuple) else str(labels)


def _byte(value: object) -> int:
    return whole(value, 0, 255)


def _length(value: object) -> int:
    return whole(value, 1, 10**12)


def _ids(value: object) -> str | int | tuple[int, ...]:
    if value == "coco91":
        return "coco91"
    if isinstance(value, (list, tuple)) and value:
        return tuple(_id(item) for item in value)
    return _id(value)


def _id(value: object) -> int:
    try:
        return whole(value, 0, 100_000)
    except PydanticCustomError:
        refuse("must be coco91, the number of the first class, or a list of one number for each class")


def _side(value: object) -> int:
    return whole(value, 8, 16384)


def _thresholds(value: object) -> float | dict[str, float]:
    items = value if isinstance(value, dict) and value else {"": value}
    numbers = {str(name): as_number(item) for name, item in items.items()}
    scores = {name: number for name, number in numbers.items() if number is not None and 0 <= number <= 1}
    if len(scores) != len(numbers):
        refuse("must be a score from 0 to 1, or one for each class: {box: 0.4, bag: 0.6}")
    return scores if isinstance(value, dict) else scores[""]


def _anchors(value: object) -> tuple[tuple[float, float], ...]:
    items = list(value) if isinstance(value, (list, tuple)) else []
    flat = [side for item in items for side in (item if isinstance(item, (list, tuple)) else [item])]
    numbers = [as_number(side) for side in flat]
    if not numbers or len(numbers) % 2 or not all(number and number > 0 for number in numbers):
        refuse("must be pairs of width and height in px of the input: [[10, 13], [16, 30]]")
    sides = [float(number or 0.0) for number in numbers]
    return tuple(zip(sides[::2], sides[1::2], strict=True))


def _device(value: object) -> int:
    return whole(value, 0, _LAST_DEVICE)


def _percent(value: object) -> float:
    number = as_number(value)
    if number is None or not 0 <= number <= 100:
        refuse("must be a number from 0 to 100")
    return number


def _digest(value: object) -> str:
    text = filled(value).removeprefix("sha256:").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        refuse("must be the 64 hexadecimal figures of a SHA-256")
    return text


def _of_three(items: dict[str, object]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [items, {"type": "array", "items": items, "minItems": 3, "maxItems": 3}]})


_pixels: dict[str, object] = {"type": "integer", "minimum": 8, "maximum": 8192}
ModelName = Annotated[str, PlainValidator(_model), of_schema("string", minLength=1)]
Labels = Annotated[
    tuple[str, ...] | Path | str,
    PlainValidator(_labels),
    PlainSerializer(_labels_out, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
InputHW = Annotated[
    tuple[int, int],
    BeforeValidator(_input_hw),
    WithJsonSchema({"anyOf": [_pixels, {"type": "array", "items": _pixels, "minItems": 2, "maxItems": 2}]}),
]
Ratio = Annotated[
    float,
    PlainValidator(_ratio),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.]+/[0-9.]+$"}]}),
]
PerChannel = Annotated[tuple[float, float, float], BeforeValidator(_per_channel), _of_three({"type": "number"})]
Divisors = Annotated[
    tuple[float, float, float],
    BeforeValidator(_per_channel),
    AfterValidator(_divisors),
    _of_three({"type": "number", "exclusiveMinimum": 0}),
]
_pair: dict[str, object] = {
    "type": "array",
    "items": {"type": "number", "exclusiveMinimum": 0},
    "minItems": 2,
    "maxItems": 2,
}
Anchors = Annotated[
    tuple[tuple[float, float], ...],
    PlainValidator(_anchors),
    WithJsonSchema({"type": "array", "minItems": 1, "items": _pair}),
]
_id_schema: dict[str, object] = {"type": "integer", "minimum": 0, "maximum": 100_000}
Ids = Annotated[
    str | int | tuple[int, ...],
    PlainValidator(_ids),
    WithJsonSchema({"anyOf": [{"const": "coco91"}, _id_schema, {"type": "array", "items": _id_schema, "minItems": 1}]}),
]
_score_schema: dict[str, object] = {"type": "number", "minimum": 0, "maximum": 1}
Side = Annotated[int, PlainValidator(_side), of_schema("integer", minimum=8, maximum=16384)]
Thresholds = Annotated[
    float | dict[str, float],
    PlainValidator(_thresholds),
    WithJsonSchema({"anyOf": [_score_schema, {"type": "object", "additionalProperties": _score_schema}]}),
]
Byte = Annotated[int, PlainValidator(_byte), of_schema("integer", minimum=0, maximum=255)]
Length = Annotated[int, PlainValidator(_length), of_schema("integer", minimum=1)]
Device = Annotated[int, PlainValidator(_device), of_schema("integer", minimum=0, maximum=_LAST_DEVICE)]
Percent = Annotated[float, PlainValidator(_percent), of_schema("number", minimum=0, maximum=100)]
Digest = Annotated[str, PlainValidator(_digest), of_schema("string", pattern="^(sha256:)?[0-9a-fA-F]{64}$")]
