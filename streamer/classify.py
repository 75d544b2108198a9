"""`streamer classify`: what single pictures show, once."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.infer.classifier import open_classifier
from streamer.infer.recognise import load_spec
from streamer.infer.spec import Task
from streamer.pixels.convert import picture_of_bgr
from streamer.stills import PictureError, load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from streamer.core.results import Classification
    from streamer.infer.recognise import SpecOptions
    from streamer.infer.spec import ModelSpec

_log = logging.getLogger(__name__)

_SOME_FAILED = 2
_BAR = 30  # characters of a score of 1


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What one picture shows."""

    image: str  # as given
    spec: ModelSpec
    classes: Classification  # best first, as many as were asked for

    def as_json(self) -> str:
        """Return the contract's object, on one line; of classes judged each for itself also whether it is there."""
        labels, thresholds = self.spec.labels, self.spec.scoring.thresholds if self.spec.scoring else ()
        rows: list[dict[str, Any]] = []
        for class_id, score in self.classes:
            row: dict[str, Any] = {"class": labels[class_id], "class_id": class_id, "score": round(score, 4)}
            if thresholds:
                row["present"] = score >= thresholds[class_id]
            rows.append(row)
        return json.dumps({"image": self.image, "model": self.spec.name, "classes": rows})

    def as_text(self) -> str:
        """Return lines for people: a bar for each score."""
        thresholds = self.spec.scoring.thresholds if self.spec.scoring else ()
        name = os.fsencode(self.image).decode(errors="replace")  # a terminal may not know every byte of a name
        rows = [(self.spec.labels[class_id], class_id, score) for class_id, score in self.classes]
        column = max((len(label) for label, _, _ in rows), default=0)
        lines = [f"{name}: {self._summary()}"]
        for label, class_id, score in rows:
            mark = "" if not thresholds else " yes" if score >= thresholds[class_id] else "  no"
            lines.append(f"  {label:{column}}  {score:.2f}{mark}  {'#' * round(score * _BAR)}".rstrip())
        return "\n".join(lines)

    def _summary(self) -> str:
        """Return the answer in a few words."""
        scoring, labels = self.spec.scoring, self.spec.labels
        if scoring is not None and scoring.multi_label:
            there = [labels[i] for i, score in self.classes if score >= scoring.thresholds[i]]
            return ", ".join(there) or "none of its classes"
        return labels[int(self.classes.class_ids[0])] if len(self.classes) else "no answer"


def classify(
    images: Sequence[Path | str],
    *,
    model: str,
    options: SpecOptions,
    top: int,
    backend: str,
    as_json: bool,
    out: TextIO,
) -> int:
    """Say what pictures show; one line (JSON) or paragraph (text) for each goes to `out`.

    A picture that can't be read is logged in one sentence, and the others go on.

    Args:
        images: paths.
        model: a catalogue name or a path.
        options: what is known of the model beyond that.
        top: how many classes are shown, the best.
        backend: auto | openvino | onnxruntime | ...
        as_json: the contract's objects instead of text.
        out: where results go.

    Returns:
        The exit code: 0, or 2 when a picture could not be read.

    Raises:
        ConfigError: an argument is wrong.
        BackendError: the model can't be used here, or is a detector.
    """
    spec = load_spec(model, options=options, task=Task.CLASSIFY)
    failed = False
    with contextlib.closing(
        open_classifier(spec, backend=backend, precision="f32", latency=True, on_ready=lambda: None)
    ) as opened:
        for image in images:
            try:
                bgr = load_picture(Path(image))
            except PictureError as exc:
                _log.error("%s", exc)
                failed = True
                continue
            (classes,) = opened.collect(opened.submit([picture_of_bgr(bgr)]))
            shown = Shown(str(image), spec, classes[:top])
            out.write(f"{shown.as_json() if as_json else shown.as_text()}\n")
            out.flush()
    return _SOME_FAILED if failed else 0
