"""Which outputs may hold one score for each class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.infer.signature import Port

    from .onnx_file import OnnxFacts

_FLOATS = ("float32", "float16", "float64")
_MAP = "seq(map("  # a mapping from class to score for each picture: Azure Custom Vision, scikit-learn's ZipMap
_PICTURE_RANK = 4


def class_outputs(facts: OnnxFacts) -> tuple[Port, ...]:
    """Return the outputs [B, C], [B, C, 1, 1], [B, 1, 1, C], or [C] for one picture; else those that are maps."""
    pictures = [port for port in facts.inputs if port.rank in (_PICTURE_RANK - 1, _PICTURE_RANK)]
    batch = pictures[0].shape[0] if pictures and pictures[0].rank == _PICTURE_RANK else 1
    ports = tuple(port for port in facts.outputs if port.dtype in _FLOATS and _is_row(port, batch))
    return ports or tuple(port for port in facts.outputs if port.dtype.startswith(_MAP) and "float" in port.dtype)


def column_count(port: Port) -> int | None:
    """Return how many scores it holds for each picture; None: that is decided when it runs."""
    lengths = port.shape if port.rank == 1 else port.shape[1:]
    return None if not lengths or None in lengths else math.prod(n for n in lengths if n is not None)


def _is_row(port: Port, batch: int | None) -> bool:
    if port.rank == 1:
        return batch == 1 and port.shape[0] not in (None, 1)
    own, *lengths = port.shape if port.rank else (0,)
    return own in (None, 1, batch) and len(lengths) > 0 and sum(n != 1 for n in lengths) <= 1


def is_text(port: Port) -> bool:
    """Whether it holds class names in place of numbers: Azure's `classLabel`."""
    return "string" in port.dtype and "map(" not in port.dtype
