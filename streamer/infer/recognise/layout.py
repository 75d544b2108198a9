"""Which head fits an output, judged by its shape. Shapes that several heads could have written name them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.infer.heads.grid import STRIDES, count_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .onnx_file import Port

HW = tuple[int, int]  # height, width, px

# Sets of strides that networks of these families are built with.
_ANCHOR_FREE = (STRIDES, (8, 16, 32, 64), (4, 8, 16, 32), (4, 8, 16), (4, 8), (8, 16), (16, 32), (8,), (16,))
_ANCHORED = (STRIDES, (8, 16, 32, 64), (16, 32))
_ANCHORS = 3  # for each cell, YOLOv3 to v7
_MAX_FINAL = 1000  # boxes that networks with NMS inside give at most; 300 as a rule
ULTRALYTICS = ("v8", "v5", "end2end")


@dataclass(frozen=True, slots=True)
class Fitting:
    """A head that could have written an output, and how many classes there would be (None: the shape does not say)."""

    head: str
    output: Port
    classes: int | None


def fitting(outputs: Sequence[Port], input_hw: HW) -> list[Fitting]:
    """Return every head that fits one of the outputs, what is met most often first."""
    return [fit for output in outputs if len(output.shape) == 3 for fit in _fitting(output, input_hw)]


def _fitting(output: Port, input_hw: HW) -> list[Fitting]:
    _, rows, columns = output.shape
    found = []
    if rows is not None and rows > 4 and _has_rows(columns, input_hw, _ANCHOR_FREE):
        found.append(Fitting("v8", output, rows - 4))
    if columns is None:
        return found
    free, anchored = _has_rows(rows, input_hw, _ANCHOR_FREE), _has_rows(rows, input_hw, _ANCHORED, each=_ANCHORS)
    if columns > 5 and _has_rows(rows, input_hw, (STRIDES,)):
        found += [Fitting(head, output, columns - 5) for head in ("yolox", "yolox-decoded")]
    if columns > 5 and (free or anchored):
        found.append(Fitting("v5", output, columns - 5))
    if columns > 4 and free:
        found.append(Fitting("v8", output, columns - 4))  # transposed
    if columns == 6 and (rows is None or rows <= _MAX_FINAL):
        found.append(Fitting("end2end", output, None))
    return found


def _has_rows(rows: int | None, input_hw: HW, stride_sets: Sequence[Sequence[int]], *, each: int = 1) -> bool:
    return rows is None or any(rows == each * count_cells(input_hw, strides) for strides in stride_sets)


def misfit(head: str, output: Port, input_hw: HW, classes: int) -> str | None:
    """Return why an output can't be of a head that somebody named, or None if it can."""
    if len(output.shape) != 3:
        return f"its output {shape_text(output)} has not three axes"
    _, first, second = output.shape
    columns = {"v8": 4, "end2end": 6 - classes}.get(head, 5) + classes
    if head == "v8" and None not in (first, second) and columns not in (first, second):
        return f"{classes} classes need {columns} rows or columns, its output is {shape_text(output)}"
    if head != "v8" and second not in (None, columns):
        need = "it needs" if head == "end2end" else f"{classes} classes need"
        return f"{need} {columns} columns, its output is {shape_text(output)}"
    cells = count_cells(input_hw, STRIDES)
    if head == "yolox" and first not in (None, cells):
        return f"an input of {hw_text(input_hw)} gives {cells} rows, its output is {shape_text(output)}"
    return None


def shape_text(port: Port) -> str:
    """Return `output0 [1, 84, 8400]`."""
    return f"{port.name} [{', '.join('?' if n is None else str(n) for n in port.shape)}]"


def hw_text(input_hw: HW) -> str:
    """Return a size as people say it, width first."""
    return f"{input_hw[1]}x{input_hw[0]}"
