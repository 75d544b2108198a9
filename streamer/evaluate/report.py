"""An evaluation as one JSON object, whose keys are documented in docs/evaluate.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from streamer.bench.distribution import rounded
from streamer.bench.machine import circumstances

from .detection_scores import DetectionScores

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.core.results import ModelRef

    from .answers import Speed
    from .class_scores import ClassificationScores
    from .detection_scores import Threshold
    from .join import Joined

SCHEMA = 1
KIND = "streamer evaluation"

Report = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What was evaluated, how, and how good it is."""

    model: ModelRef
    threads: int
    data: Path
    split: str  # empty: the data has none
    pictures: int  # in the split
    evaluated: int
    joined: Joined
    unread: int  # pictures that could not be decoded
    speed: Speed
    scores: DetectionScores | ClassificationScores


def build(evaluation: Evaluation) -> Report:
    """Put everything together that was found."""
    model, speed, joined = evaluation.model, evaluation.speed, evaluation.joined
    return {
        "schema": SCHEMA,
        "kind": KIND,
        **circumstances(),
        "model": {"name": model.name, "digest": model.digest, "backend": model.backend, "precision": model.precision},
        "threads": evaluation.threads,
        "data": {
            "path": str(evaluation.data),
            "split": evaluation.split or None,
            "pictures": evaluation.pictures,
            "evaluated": evaluation.evaluated,
            "unread": evaluation.unread,
        },
        "left_out": {"classes_of_data": joined.unknown, "classes_of_model": list(joined.unasked)},
        "speed": {
            "ms": _rounded(speed.ms), "p95_ms": _rounded(speed.p95_ms), "per_s": _rounded(speed.per_s),
            "pictures": speed.pictures,
        },
        **_scores(evaluation),
    }  # fmt: skip


def pasted(evaluation: Evaluation) -> str | None:
    """Return the best thresholds as a line for `detect` in a configuration; None: there are none."""
    scores = evaluation.scores
    if not isinstance(scores, DetectionScores):
        return None
    least = {
        name: one.best.score
        for name, one in zip(evaluation.joined.names, scores.classes, strict=True)
        if one.best is not None
    }
    if not least:
        return None
    line = yaml.safe_dump(
        {"classes": least}, default_flow_style=None, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return line.rstrip("\n")


def _scores(evaluation: Evaluation) -> Report:
    scores = evaluation.scores
    if isinstance(scores, DetectionScores):
        return {"task": "detect", "detection": _detection(scores), "paste": pasted(evaluation)}
    return {"task": "classify", "classification": _classification(scores)}


def _detection(scores: DetectionScores) -> Report:
    rows = [
        {
            "class": one.label,
            "labelled": one.truths,
            "ap50": _rounded(one.ap50),
            "ap50_95": _rounded(one.ap),
            "best": _threshold(one.best),
        }
        for one in scores.classes
    ]
    return {"map50": _rounded(scores.ap50), "map50_95": _rounded(scores.ap), "classes": rows}


def _classification(scores: ClassificationScores) -> Report:
    rows = [
        {
            "class": one.label,
            "labelled": one.count,
            "recall": _rounded(one.recall),
            "precision": _rounded(one.precision),
            "f1": _rounded(one.f1),
            "best": _threshold(one.best),
        }
        for one in scores.classes
    ]
    return {
        "top1": _rounded(scores.top1),
        "top5": _rounded(scores.top5),
        "classes": rows,
        "confusion": scores.confusion.tolist(),
    }


def _threshold(best: Threshold | None) -> Report | None:
    if best is None:
        return None
    return {
        "score": best.score,
        "precision": _rounded(best.precision),
        "recall": _rounded(best.recall),
        "f1": _rounded(best.f1),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)
