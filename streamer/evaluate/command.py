"""`streamer evaluate`: how good a model is on labelled pictures."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from streamer.bench.machine import usable_cores
from streamer.core.errors import ConfigError
from streamer.infer.classifier import open_classifier
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.stdout import say
from streamer.stills import NMS_IOU

from .answers import FLOOR, answers, judged_of, named_of, speed_of
from .class_pictures import draw_confusion, draw_worst_named
from .class_scores import score_classes, worst_named
from .curves import draw_detection_curves
from .detection_scores import score_detections
from .join import join
from .labelled import choose_data, read_split
from .mistake_sheet import draw_mistakes
from .mistakes import worst
from .problems import Problems
from .progress import Watch
from .report import Evaluation, build
from .saving import CONFUSION, CURVES, FIGURES, MISTAKES, check_folder, save
from .table import show

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO, TypeAlias

    from streamer.core.results import Classification, Detections, ModelRef
    from streamer.infer.network import Network
    from streamer.infer.spec import ModelSpec

    from .answers import Answered, Judged
    from .class_scores import ClassificationScores, NamedClass
    from .detection_scores import DetectionScores
    from .join import Joined
    from .truths import LabelledSet

    Draws: TypeAlias = dict[str, Callable[[Path], None]]

_INTERRUPTED = 130
_SOME_UNREAD = 2

Answer = TypeVar("Answer")
Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asks for. None: not given."""

    model: str
    data: Path
    split: str | None = None
    head: str | None = None
    labels: str | None = None
    look: str | None = None
    activation: str | None = None
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0  # of the CPU; 0: all
    limit: int | None = None  # pictures
    save: Path | None = None


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model, data, and what they have in common."""

    options: Options
    spec: ModelSpec
    split: str
    pictures: int  # in the split
    joined: Joined


@dataclass(frozen=True, slots=True)
class _Answers(Generic[Kept]):
    """What a network said, and how it was computed."""

    kept: list[Kept]
    took_ms: list[float]
    model: ModelRef
    unread: Problems


def evaluate(options: Options, *, as_json: bool, out: TextIO) -> int:
    """Ask a model about labelled pictures; print how good it is, and save pictures of that.

    Args:
        options: what and how.
        as_json: one JSON object instead of tables.
        out: where the result goes; everything else goes to stderr.

    Returns:
        The exit code: 0; 2 if some pictures can't be read, the others are evaluated then; 130 if stopped.

    Raises:
        ConfigError: an argument is wrong, or the data is: a line for each fault.
        BackendError: the model can't be used here, or answers something else.
    """
    watch = Watch()
    try:
        return _evaluate(options, watch, as_json=as_json, out=out)
    except KeyboardInterrupt:
        say(f"{watch.stopped()}\n")
        return _INTERRUPTED


def _evaluate(options: Options, watch: Watch, *, as_json: bool, out: TextIO) -> int:
    subject = _subject(options)
    folder = options.save or Path(f"evaluation-{subject.spec.name}")
    check_folder(folder)
    watch.doing = "loading the model"
    examine = _detector if subject.spec.task is Task.DETECT else _classifier
    evaluation, draws, unread = examine(subject, watch)
    report = build(evaluation)
    for line in unread.lines():
        say(f"{line}\n")
    if as_json:
        out.write(f"{json.dumps({**report, 'saved': str(folder)}, indent=1)}\n")
    else:
        show(evaluation, out)
    out.flush()
    watch.doing = "saving"  # last: a full disk costs the pictures, not the figures
    save(report, folder, draws)
    if not as_json:
        out.write(f"saved: {', '.join(str(folder / name) for name in (FIGURES, *draws))}\n")
    return _SOME_UNREAD if unread.count else 0


def _subject(options: Options) -> _Subject:
    """Recognise the model and the data before anything is computed.

    Raises:
        ConfigError: one of them is wrong, or they have nothing in common.
        BackendError: the model can't be used, or answers something else.
    """
    layout, split = choose_data(options.data, split=options.split)
    said = SpecOptions(head=options.head, labels=options.labels, look=options.look, activation=options.activation)
    spec = load_spec(options.model, options=said, task=Task(layout.task))
    labelled = read_split(layout, split)
    chosen = spread(labelled, options.limit)
    return _Subject(options, spec, split, len(labelled.pictures), join(chosen, spec))


def spread(labelled: LabelledSet, limit: int | None) -> LabelledSet:
    """Return at most so many of the pictures, evenly spread: in folders of classes the first are all of one class."""
    pictures = labelled.pictures
    if limit is None or limit >= len(pictures):
        return labelled
    return replace(labelled, pictures=tuple(pictures[place * len(pictures) // limit] for place in range(limit)))


def _detector(subject: _Subject, watch: Watch) -> tuple[Evaluation, Draws, Problems]:
    options, joined = subject.options, subject.joined
    model = open_model(
        subject.spec, backend=options.backend, precision=options.precision, latency=True, floor=FLOOR, iou=NMS_IOU,
        on_ready=_nobody_waits, threads=options.threads,
    )  # fmt: skip

    def keep(one: Answered[Detections]) -> Judged:
        return judged_of(one, joined)

    found = _asked(model, subject, watch, keep)
    labels = joined.labelled.labels
    try:
        scores = score_detections(found.kept, labels)
    except ValueError as exc:
        raise ConfigError(f"{options.data}: {exc} among those that could be read") from exc
    draws: Draws = {
        CURVES: partial(draw_detection_curves, scores, title=_title(subject)),
        MISTAKES: partial(draw_mistakes, worst(found.kept, scores, labels)),
    }
    return _evaluation(subject, found, scores), draws, found.unread


def _classifier(subject: _Subject, watch: Watch) -> tuple[Evaluation, Draws, Problems]:
    options, joined = subject.options, subject.joined
    model = open_classifier(
        subject.spec, backend=options.backend, precision=options.precision, latency=True, on_ready=_nobody_waits,
        threads=options.threads,
    )  # fmt: skip

    def keep(one: Answered[Classification]) -> NamedClass:
        return named_of(one, joined)

    found = _asked(model, subject, watch, keep)
    labels = joined.labelled.labels
    scores = score_classes(found.kept, labels)
    draws: Draws = {
        CONFUSION: partial(draw_confusion, scores),
        MISTAKES: partial(draw_worst_named, worst_named(found.kept, labels)),
    }
    return _evaluation(subject, found, scores), draws, found.unread


def _asked(
    network: Network[Answer], subject: _Subject, watch: Watch, keep: Callable[[Answered[Answer]], Kept]
) -> _Answers[Kept]:
    """Ask about all pictures; the network is closed then.

    Raises:
        ConfigError: none of them can be read.
        BackendError: the runtime failed.
    """
    pictures, unread = subject.joined.labelled.pictures, Problems()
    kept, took_ms = [], []
    with contextlib.closing(network):
        for one in watch.pictures(answers(network, pictures, unread=unread.take), len(pictures)):
            kept.append(keep(one))
            took_ms.append(one.took_ms)
    watch.doing = "comparing"
    if not kept:
        raise ConfigError("\n".join([*unread.lines(), f"{subject.options.data}: none of its pictures can be read"]))
    return _Answers(kept, took_ms, network.ref, unread)


def _evaluation(subject: _Subject, found: _Answers[Kept], scores: DetectionScores | ClassificationScores) -> Evaluation:
    options = subject.options
    return Evaluation(
        model=found.model,
        threads=options.threads or usable_cores(),
        data=options.data,
        split=subject.split,
        pictures=subject.pictures,
        evaluated=len(found.kept),
        joined=subject.joined,
        unread=found.unread.count,
        speed=speed_of(found.took_ms),
        scores=scores,
    )


def _title(subject: _Subject) -> str:
    place = subject.options.data.resolve()
    name = place.parent.name if place.is_file() else place.name
    return f"{subject.spec.name} on {name}{', ' + subject.split if subject.split else ''}"


def _nobody_waits() -> None:
    """Take no notice that an answer is ready: it is waited for in `collect`."""
