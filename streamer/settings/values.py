"""The kinds of values that keys take: each parses the user's text, or says in one sentence what is allowed."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, NoReturn

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_INT = re.compile(r"[-+]?[0-9]{1,15}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_NAME = r"[a-z0-9][a-z0-9_-]*"
_DURATION = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
_SIZE = r"[0-9]+(\.[0-9]+)?(kB|MB|GB|TB)"
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS_B = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}
_MAX_S = 3650 * 86400.0  # ten years: longer is a slip of the pen
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")


def refuse(sentence: str) -> NoReturn:
    """Reject a value, saying what is allowed.

    Raises:
        PydanticCustomError: always; `sentences.py` finds the sentence in its context.
    """
    raise PydanticCustomError("refused", "{sentence}", {"sentence": sentence})


def text_of(value: object, allowed: str = "must be text") -> str:
    """Return `value` if it is text, else refuse it."""
    if not isinstance(value, str):
        refuse(f"{allowed}, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """Name a kind of value as YAML calls it."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "text" if isinstance(value, str) else "a number"


def as_bool(value: object) -> bool | None:
    """Return what a YAML 1.2 boolean says, or None if it is none: `on`, `off`, `yes` and `no` are text."""
    if isinstance(value, bool):
        return value
    return True if value in _TRUE else False if value in _FALSE else None


def as_number(value: object) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    return None


def as_seconds(value: object) -> float | None:
    """Return the seconds of `500ms`, `1.5s`, `5m`, `1h` or `7d`, or None."""
    match = re.fullmatch(r"([0-9.]+)([a-z]+)", value) if isinstance(value, str) else None
    if match is None or not re.fullmatch(_DURATION, match[0]):
        return None
    seconds = float(match[1]) * _UNITS_S[match[2]]
    return seconds if seconds <= _MAX_S else None


def duration_text(seconds: float) -> str:
    """Write seconds as the user would, in the largest unit that leaves a whole number."""
    ms = round(seconds * 1000)
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size_ms == 0:
            return f"{ms // size_ms}{unit}"
    return f"{ms}ms" if ms else "0s"


def size_text(size: int) -> str:
    """Write bytes as the user would."""
    unit, scale = next((u, s) for u, s in reversed(_UNITS_B.items()) if size % s == 0 or u == "kB")
    return f"{size // scale}{unit}"


def _flag(value: object) -> bool:
    flag = as_bool(value)
    if flag is None:
        refuse("must be true or false")
    return flag


def _seconds(value: object) -> float:
    seconds = as_seconds(value)
    if seconds is None:
        refuse("must be a duration with its unit: 500ms, 1.5s, 5m, 1h or 7d")
    return seconds


def _positive_seconds(value: object) -> float:
    seconds = _seconds(value)
    if seconds <= 0:
        refuse("must be longer than nothing: 500ms, 1.5s, 5m, 1h")
    return seconds


def _size(value: object) -> int:
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]+)", value) if isinstance(value, str) else None
    size = float(match[1]) * _UNITS_B[match[2]] if match and re.fullmatch(_SIZE, match[0]) else 0.0
    if not 1_000_000 <= size <= 1_000 * _UNITS_B["TB"]:
        refuse("must be a size with its unit, at least 1MB: 500MB, 1GB")
    return round(size)


def _number(value: object, least: float, most: float, what: str) -> float:
    number = as_number(value)
    if number is None or not least <= number <= most:
        refuse(f"must be {what}")
    return number


def whole(value: object, least: int, most: int) -> int:
    """Return a whole number within bounds, or refuse it."""
    if isinstance(value, str) and _INT.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        refuse(f"must be a whole number, {least} to {most}")
    return value


def _name(value: object) -> str:
    text = text_of(value)
    if not re.fullmatch(_NAME, text) or len(text) > 64:
        refuse("must be made of a-z, 0-9, _ and -, begin with a letter or a figure and have 64 characters at most")
    return text


def filled(value: object) -> str:
    """Return text that is not blank, or refuse it."""
    text = text_of(value)
    if not text.strip():
        refuse("must not be empty")
    return text


def _topic(value: object) -> str:
    topic = text_of(value)
    if not topic or set(topic) & set("+#\n\t") or topic[0] in "/$" or topic[-1] == "/" or len(topic) > 200:
        refuse("must be an MQTT topic without + and #, not beginning with / or $, not ending with /")
    return topic


def resolve_path(text: str, info: ValidationInfo) -> Path:
    """Return an absolute path: relative ones start at the configuration's folder, `~/` at the user's home."""
    context = info.context or {}
    if text.startswith("~/") and context.get("home"):
        text = f"{context['home']}/{text[2:]}"
    return Path(context.get("folder", ""), text)


def _path(value: object, info: ValidationInfo) -> Path:
    return resolve_path(filled(value), info)


def names_of(value: object) -> tuple[str, ...]:
    """Return class names: one as text, or a list of at least one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        refuse("must be a list of class names, at least one: [person, dog]")
    if not all(isinstance(item, str) and item.strip() for item in items):
        refuse("holds something that is not a class name; put names that look like something else in quotes")
    return tuple(items)


def _names(value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        refuse("must be a name, or a list of at least one")
    return tuple(_name(item) for item in items)


def _share(value: object) -> float:
    return _number(value, 0, 1, "a number from 0 to 1")


def _rate(value: object) -> float:
    allowed = "a number of frames a second: 0 (each frame), or 0.001 to 1000"
    rate = _number(value, 0, 1000, allowed)
    if 0 < rate < 0.001:
        refuse(f"must be {allowed}")
    return rate


def _count(value: object) -> int:
    return whole(value, 0, 1_000_000)


def _times(value: object) -> int:
    return whole(value, 1, 1000)


def _port(value: object) -> int:
    return whole(value, 1, 65535)


def _qos(value: object) -> int:
    if value not in ("1", "2", 1, 2):
        refuse("must be 1 (at least once) or 2 (exactly once); with 0 an event could get lost")
    return int(str(value))


_MQTT_BYTES = 65_535  # of a string in an MQTT packet: specification 1.5.4


def mqtt_text(value: object) -> str | None:
    """Return a text that an MQTT packet can carry, or None for an empty one."""
    text = text_of(value)
    if len(text.encode("utf-8", "surrogatepass")) > _MQTT_BYTES:
        refuse(f"must be at most {_MQTT_BYTES} bytes, the most that MQTT can carry")
    return text or None


def _optional_path(value: object, info: ValidationInfo) -> Path | None:
    text = text_of(value)
    return resolve_path(text, info) if text else None


def of_schema(kind: str, **more: object) -> WithJsonSchema:
    """Return the JSON Schema of a scalar."""
    return WithJsonSchema({"type": kind, **more})


Flag = Annotated[bool, PlainValidator(_flag), of_schema("boolean")]
_duration_out = PlainSerializer(duration_text, when_used="json")
Seconds = Annotated[float, PlainValidator(_seconds), _duration_out, of_schema("string", pattern=f"^{_DURATION}$")]
PositiveSeconds = Annotated[
    float, PlainValidator(_positive_seconds), _duration_out, of_schema("string", pattern=f"^{_DURATION}$")
]
Size = Annotated[
    int, PlainValidator(_size), PlainSerializer(size_text, when_used="json"), of_schema("string", pattern=f"^{_SIZE}$")
]
Name = Annotated[str, PlainValidator(_name), of_schema("string", pattern=f"^{_NAME}$", maxLength=64)]
Names = Annotated[
    tuple[Annotated[str, PlainValidator(text_of)], ...],
    BeforeValidator(_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Text = Annotated[str, PlainValidator(filled), of_schema("string", minLength=1)]
Topic = Annotated[str, PlainValidator(_topic), of_schema("string", minLength=1, pattern="^[^+#]*$")]
Share = Annotated[float, PlainValidator(_share), of_schema("number", minimum=0, maximum=1)]
Rate = Annotated[float, PlainValidator(_rate), of_schema("number", minimum=0, maximum=1000)]
Count = Annotated[int, PlainValidator(_count), of_schema("integer", minimum=0)]
Times = Annotated[int, PlainValidator(_times), of_schema("integer", minimum=1, maximum=1000)]
Port = Annotated[int, PlainValidator(_port), of_schema("integer", minimum=1, maximum=65535)]
FilePath = Annotated[Path, PlainValidator(_path), PlainSerializer(str, when_used="json"), of_schema("string")]
ClassNames = Annotated[
    tuple[Annotated[str, PlainValidator(text_of)], ...],  # not plain `str`: it would forget what is FromEnvironment
    BeforeValidator(names_of),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Qos = Annotated[int, PlainValidator(_qos), of_schema("integer", enum=[1, 2])]
MqttText = Annotated[str | None, PlainValidator(mqtt_text), of_schema("string")]
OptionalPath = Annotated[Path | None, PlainValidator(_optional_path), of_schema("string")]
