"""An evaluation for people: what was evaluated, a table of classes, and what was left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .detection_scores import DetectionScores
from .join import shortened
from .report import pasted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from .class_scores import ClassificationScores
    from .detection_scores import Threshold
    from .report import Evaluation

_NOTHING = "-"
_WIDE = 1000  # columns; a table takes what it needs, and a narrow terminal breaks its lines rather than cut figures
_BEST = ("least score", "precision", "recall", "F1")


def show(evaluation: Evaluation, out: TextIO) -> None:
    """Print an evaluation.

    Args:
        evaluation: what was found.
        out: where to.
    """
    console = Console(file=out, highlight=False, width=_WIDE)
    for line in _head(evaluation):
        console.print(Text(line))
    scores = evaluation.scores
    console.print()
    console.print(_detection(scores) if isinstance(scores, DetectionScores) else _classification(scores))
    console.print()
    for line in _feet(evaluation):
        console.print(Text(line))


def _head(evaluation: Evaluation) -> Iterator[str]:
    model, speed = evaluation.model, evaluation.speed
    threads = f"{evaluation.threads} thread{'s' * (evaluation.threads != 1)}"
    on = "" if model.backend == "tensorrt" else f", {threads}"
    yield f"model {model.name} on {model.backend} {model.precision}{on}"
    split = f", {evaluation.split}" if evaluation.split else ""
    of = "" if evaluation.evaluated == evaluation.pictures else f" of {evaluation.pictures}"
    data = os.fsencode(evaluation.data).decode(errors="replace")  # a terminal may not know every byte of a name
    yield f"data {data}{split}: {evaluation.evaluated}{of} pictures"
    pace = f"{_plain(speed.ms)} ms a picture (median; 95 % within {_plain(speed.p95_ms)})"
    yield f"{pace}, {_plain(speed.per_s)} pictures a second"


def _detection(scores: DetectionScores) -> Table:
    table = _table("class", "labelled", "AP50", "AP50-95", *_BEST)
    for one in scores.classes:
        table.add_row(Text(one.label), str(one.truths), _share(one.ap50), _share(one.ap), *_best(one.best))
    table.add_section()
    counted = [one for one in scores.classes if one.ap is not None]
    title = f"mean of {len(counted)}" if len(counted) > 1 else "all"
    table.add_row(title, str(sum(one.truths for one in counted)), _share(scores.ap50), _share(scores.ap))
    return table


def _classification(scores: ClassificationScores) -> Table:
    top5 = "" if scores.top5 is None else f", top-5 {_share(scores.top5)}"
    table = _table("class", "pictures", "found", "right", "F1", *(f"{title}*" for title in _BEST))
    table.title, table.title_justify, table.title_style = f"top-1 {_share(scores.top1)}{top5}", "left", ""
    table.caption, table.caption_justify = "* of this class against all others, at its best least score", "left"
    for one in scores.classes:
        figures = _share(one.recall), _share(one.precision), _share(one.f1)
        table.add_row(Text(one.label), str(one.count), *figures, *_best(one.best))
    return table


def _feet(evaluation: Evaluation) -> Iterator[str]:
    joined, scores = evaluation.joined, evaluation.scores
    what = "object" if isinstance(scores, DetectionScores) else "picture"
    for name, count in joined.unknown.items():
        if count:
            many = f"{count} {what}{'s' * (count != 1)}"
            yield f"! left out: {many} of {name}, which {evaluation.model.name} does not know"
    if joined.unasked:
        many = f"{len(joined.unasked)} class{'es' * (len(joined.unasked) != 1)} of {evaluation.model.name}"
        yield f"not counted: {many} that the data does not know: {shortened(joined.unasked)}"
    if evaluation.unread:
        yield f"! left out: {evaluation.unread} picture{'s' * (evaluation.unread != 1)} that can't be read"
    if isinstance(scores, DetectionScores):
        silent = [one.label for one in scores.classes if one.truths and one.best is None]
        if silent:
            yield f"! nothing right was ever said of {shortened(silent)}"
        if (line := pasted(evaluation)) is not None:
            yield "the least scores with the best F1 at IoU 0.5, for `detect` in a configuration:"
            yield f"  {line}"
            named = zip(joined.names, scores.classes, strict=True)
            unset = [name for name, one in named if one.best is None] + list(joined.unasked)
            if unset:
                yield f"! with this line these are no longer looked for: {shortened(unset)}"


def _best(best: Threshold | None) -> tuple[str, ...]:
    if best is None:
        return (_NOTHING,) * 4
    return f"{best.score:g}", _share(best.precision), _share(best.recall), _share(best.f1)


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3f}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(first: str, *titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table
