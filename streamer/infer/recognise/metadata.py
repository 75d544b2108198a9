"""What exporters write into a model's metadata: Ultralytics Python text, others the image keys of ONNX."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.infer.labels import what_is_wrong
from streamer.infer.spec import SpecOptions, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_CHARS = 1_000_000  # a thousand long names are 50 kB
_MAX_CLASSES = 100_000

# ONNX's keys for pictures, which Azure Custom Vision and Windows ML's converters write; in lower case.
_COLORS = {"rgb8": "rgb", "bgr8": "bgr"}
_RANGES = {  # scale and mean: value = pixel * scale - mean
    "nominalrange_0_255": (1.0, 0.0),
    "normalized_0_1": (1 / 255, 0.0),
    "normalized_1_1": (2 / 255, 1.0),
    "nominalrange_16_235": (219 / 255, -16.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The part of the metadata that says how to use the model."""

    options: SpecOptions
    names: tuple[str, ...] | None  # of the classes
    end2end: bool | None  # True: final boxes, NMS inside; None: not said
    trouble: str | None  # why the class names can't be used


def read_metadata(given: Mapping[str, str]) -> Metadata:
    """Read Ultralytics' keys names, imgsz, task, end2end and args, and ONNX's of pictures."""
    labels, trouble = _names(given.get("names"))
    args = _literal(given.get("args"))
    nms = bool(args.get("nms")) if isinstance(args, dict) else False
    end2end = _literal(given.get("end2end"))
    color = _COLORS.get(given.get("Image.BitmapPixelFormat", "").strip().lower())
    scale, mean = _RANGES.get(given.get("Image.NominalPixelRange", "").strip().lower(), (None, None))
    return Metadata(
        options=SpecOptions(
            labels=labels,
            size=_size(given.get("imgsz")),
            task=given.get("task"),
            look="ultralytics" if given.get("task") == Task.CLASSIFY.value and labels is not None else None,
            color=color,
            scale=scale,
            mean=mean,
            std=None if scale is None else 1.0,  # whatever its family is fed with otherwise
        ),
        names=labels,
        end2end=True if nms or end2end is True else (False if end2end is False else None),
        trouble=trouble,
    )


def _literal(text: str | None) -> object:
    """Read a Python literal; None for what is none."""
    if text is None or len(text) > _MAX_CHARS:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _names(text: str | None) -> tuple[tuple[str, ...] | None, str | None]:
    if text is None:
        return None, None
    said = _literal(text)
    if isinstance(said, (list, tuple)):
        said = dict(enumerate(said))
    if not isinstance(said, dict) or not 0 < len(said) <= _MAX_CLASSES:
        return None, "its metadata `names` can't be read"
    by_id = {int(key): value for key, value in said.items() if isinstance(key, int) or str(key).isdecimal()}
    if sorted(by_id) != list(range(len(said))):
        return None, f"its metadata `names` has {len(said)} names whose ids are not 0 to {len(said) - 1}"
    names = tuple(str(by_id[i]).strip() for i in range(len(by_id)))
    wrong = next((f"of id {i}: {said}" for i, name in enumerate(names) if (said := what_is_wrong(name))), None)
    return (None, f"its metadata `names` can't be used, {wrong}") if wrong else (names, None)


def _size(text: str | None) -> tuple[int, int] | None:
    said = _literal(text)
    match said:
        case int():
            return (said, said)
        case [int(side)]:
            return (side, side)
        case [int(height), int(width)]:
            return (height, width)
        case _:
            return None
