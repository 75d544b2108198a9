"""Curves of a detector's scores: precision over recall, and F1 over the threshold, with a table of what to set."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.pixels.lettering import Lettering
from streamer.pixels.palette import BLACK, PALETTE, WHITE, Bgr

from .sheet import FAINT, GAP_PX, HEAD_PX, INK, TEXT_PX, save_png, wrapped, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .detection_scores import ClassScore, DetectionScores

_MOST_IN_COLOR = 10  # more lines of one picture are not told apart
# Without yellow, which is lost on white, and black, which is the mean's.
_COLORS: tuple[Bgr, ...] = tuple(PALETTE[place] for place in (1, 3, 4, 0, 6, 2))
_GREY: Bgr = (190, 190, 190)
_DPI = 100
_SIZE_IN = (12.0, 5.2)  # of both diagrams: 1200 by 520 px
_MEAN: dict[str, Any] = {"color": "black", "linewidth": 4}  # so thick that a line on it hides only its middle
_DOT: dict[str, Any] = {"marker": "o", "markersize": 9, "markeredgecolor": "white", "zorder": 5, "clip_on": False}
_GRID = np.linspace(0.0, 1.0, 1001)  # thresholds at which F1 is drawn
_TOP = 1.03  # of the axes: a line at 1 is seen whole
_COLUMNS_PX = (64, 360, 470, 620, 790, 960)  # where the table's columns begin
_NAME_PX = 300
_HEADINGS = ("class", "labelled", "AP at IoU 0.5", "best threshold", "precision with it", "recall with it")


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table: what its line looks like, and what stands in the columns from the left on."""

    cells: tuple[str, ...]
    ink: Bgr
    color: Bgr | None = None  # None: no line
    thickness_px: int = 3
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """How a class is drawn."""

    one: ClassScore
    color: Bgr
    dashed: bool


def draw_detection_curves(scores: DetectionScores, path: Path, *, title: str) -> None:
    """Draw both diagrams and the table, and write them as a PNG.

    Up to ten classes are coloured, in their order; of more the ten with the lowest AP, and the others are grey. A class
    without labelled objects has no curve and is named below.

    Args:
        scores: of a detector.
        path: of the PNG.
        title: one line above.

    Raises:
        ConfigError: it can't be written.
    """
    drawn = [one for one in scores.classes if one.ap50 is not None]
    lines = _lines(drawn)
    diagrams = _diagrams(drawn, lines)
    lettering = Lettering(HEAD_PX)
    head = np.full((GAP_PX + lettering.plate_height_px, diagrams.shape[1], 3), WHITE, np.uint8)
    lettering.write(head, written(title, lettering, head.shape[1] - 2 * GAP_PX), (GAP_PX, GAP_PX), INK)
    table = _table(scores, drawn, lines, diagrams.shape[1])
    save_png(np.concatenate([head, diagrams, table]), path)


def f1_at(one: ClassScore, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a class's F1 at thresholds, (T,): it changes with each answer that is no longer counted."""
    places = np.searchsorted(one.thresholds, thresholds, side="left")
    values: NDArray[np.float64] = np.append(np.asarray(one.f1, np.float64), 0.0)[places]
    return values


def _lines(drawn: Sequence[ClassScore]) -> list[_Line]:
    """Choose who is drawn in colour."""
    chosen = list(drawn)
    if len(drawn) > _MOST_IN_COLOR:
        chosen = sorted(drawn, key=lambda one: one.ap50 or 0.0)[:_MOST_IN_COLOR]
    return [_Line(one, _COLORS[number % len(_COLORS)], number >= len(_COLORS)) for number, one in enumerate(chosen)]


def _diagrams(drawn: Sequence[ClassScore], lines: Sequence[_Line]) -> NDArray[np.uint8]:
    """Return both diagrams, (H, W, 3) BGR."""
    # It tells of its caches, at the first use on a slow machine or without a home that it can write to.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Imported here, as it takes a second that no other command should wait for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  see above
    from matplotlib.figure import Figure  # noqa: PLC0415  see above

    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)  # its stubs are incomplete
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.105, top=0.995, wspace=0.12)
    left, right = figure.subplots(1, 2)
    _prepare(
        left, "recall: share of the labelled objects that are found", "precision: share of the answers that are right"
    )
    _prepare(right, "threshold: the least score that counts", "F1: precision and recall in one")
    _draw_precision(left, drawn, lines)
    _draw_f1(right, drawn, lines)
    if not drawn:
        for axes in (left, right):
            axes.text(0.5, 0.5, "no labelled objects", ha="center", va="center", fontsize=14)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    return np.ascontiguousarray(rgba[..., 2::-1])


def _prepare(axes: Any, across: str, up: str) -> None:  # noqa: ANN401  matplotlib is not imported for its types
    axes.set(xlim=(0, 1), ylim=(0, _TOP), xlabel=across, ylabel=up)
    ticks = np.linspace(0, 1, 11)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_precision(axes: Any, drawn: Sequence[ClassScore], lines: Sequence[_Line]) -> None:  # noqa: ANN401  as above
    """Draw precision over recall; a line ends where no threshold finds more."""
    for one in _others(drawn, lines):
        axes.plot(*_reached(one.recalls, one.precisions), color=_hex(_GREY), linewidth=1)
    if drawn:
        mean = np.mean([one.precisions for one in drawn], axis=0)
        axes.plot(*_reached(drawn[0].recalls, mean), **_MEAN)
    for line in lines:
        axes.plot(*_reached(line.one.recalls, line.one.precisions), **_look(line))


def _draw_f1(axes: Any, drawn: Sequence[ClassScore], lines: Sequence[_Line]) -> None:  # noqa: ANN401  as above
    """Draw F1 over the threshold, with a dot where it is best."""
    for one in _others(drawn, lines):
        axes.plot(_GRID, f1_at(one, _GRID), color=_hex(_GREY), linewidth=1)
    if drawn:
        score, f1 = _common(drawn)
        axes.plot(_GRID, np.mean([f1_at(one, _GRID) for one in drawn], axis=0), **_MEAN)
        axes.plot([score], [f1], color="black", **_DOT)
    for line in lines:
        axes.plot(_GRID, f1_at(line.one, _GRID), **_look(line))
        if line.one.best is not None:
            axes.plot([line.one.best.score], [line.one.best.f1], color=_hex(line.color), **_DOT)


def _common(drawn: Sequence[ClassScore]) -> tuple[float, float]:
    """Return the one threshold for all classes at which the mean F1 is best, the middle one of equals, and that F1."""
    mean = np.mean([f1_at(one, _GRID) for one in drawn], axis=0)
    first = int(mean.argmax())
    equal = mean[first:] == mean[first]
    length = len(equal) if equal.all() else int(equal.argmin())
    return float(_GRID[first + (length - 1) // 2]), float(mean[first])


def _others(drawn: Sequence[ClassScore], lines: Sequence[_Line]) -> list[ClassScore]:
    colored = {id(line.one) for line in lines}
    return [one for one in drawn if id(one) not in colored]


def _reached(
    recalls: NDArray[np.float64], precisions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return recalls[precisions > 0], precisions[precisions > 0]


def _look(line: _Line) -> dict[str, Any]:
    return {"color": _hex(line.color), "linewidth": 2, "linestyle": (0, (4, 1.5)) if line.dashed else "solid"}


def _hex(color: Bgr) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in reversed(color))


def _table(
    scores: DetectionScores, drawn: Sequence[ClassScore], lines: Sequence[_Line], width_px: int
) -> NDArray[np.uint8]:
    """Return what the lines mean, and the numbers to read off, (H, W, 3)."""
    lettering = Lettering(TEXT_PX)
    rows = [_Row(_HEADINGS, FAINT)]
    if drawn:
        rows.append(_mean_row(scores, drawn))
    rows += [_class_row(line) for line in lines]
    if others := _others(drawn, lines):
        rows.append(_Row((f"{len(others)} others, found better than these",), INK, _GREY, thickness_px=1))
    absent = ", ".join(written(one.label, lettering, _NAME_PX) for one in scores.classes if one.ap50 is None)
    notes = wrapped(f"Without labelled objects: {absent}", lettering, width_px - 2 * GAP_PX, most=3) if absent else []
    height = lettering.plate_height_px
    canvas = np.full(((len(rows) + len(notes)) * height + 2 * GAP_PX, width_px, 3), WHITE, np.uint8)
    for number, row in enumerate(rows):
        _draw_row(canvas[GAP_PX + number * height :][:height], row, lettering)
    for number, note in enumerate(notes, start=len(rows)):
        lettering.write(canvas, note, (GAP_PX, GAP_PX + number * height), FAINT)
    return canvas


def _mean_row(scores: DetectionScores, drawn: Sequence[ClassScore]) -> _Row:
    threshold, _ = _common(drawn)
    truths = sum(one.truths for one in drawn)
    cells = ("mean", str(truths), f"{scores.ap50:.3f}", f"{threshold:.2f} for all")
    return _Row(cells, INK, BLACK, thickness_px=4)


def _class_row(line: _Line) -> _Row:
    one = line.one
    found = (
        ("none",)
        if one.best is None
        else (f"{one.best.score:g}", f"{one.best.precision:.3f}", f"{one.best.recall:.3f}")
    )
    return _Row((one.label, str(one.truths), f"{one.ap50:.3f}", *found), INK, line.color, dashed=line.dashed)


def _draw_row(place: NDArray[np.uint8], row: _Row, lettering: Lettering) -> None:
    """Draw a row into its place, (row's height, W, 3): how the line looks, and what stands beside it."""
    if row.color is not None:
        top = (place.shape[0] - row.thickness_px) // 2
        sample = place[top : top + row.thickness_px, GAP_PX : _COLUMNS_PX[0] - 8]
        sample[:] = row.color
        if row.dashed:
            sample[:, 8::11] = sample[:, 9::11] = sample[:, 10::11] = WHITE
    for left, right, cell in zip(_COLUMNS_PX, (*_COLUMNS_PX[1:], place.shape[1]), row.cells, strict=False):
        alone = len(row.cells) == 1
        text = written(cell, lettering, place.shape[1] - left if alone else right - left - 8)
        lettering.write(place, text, (left, 0), row.ink)
