"""Detector or classifier: as somebody says, or as the outputs leave no doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.infer.signature import shapes_text
from streamer.infer.spec import Task

from .classes import class_outputs, is_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.infer.catalogue import Entry

    from .layers import Layers
    from .onnx_file import OnnxFacts

CLASSIFIER = "classifier"  # stands where a detector's head does
_DETECT = "`streamer detect` finds objects with it"
_CLASSIFY = "`streamer classify` says with it what a picture shows; to find objects takes a detector"


def refuse_entry(entry: Entry, wanted: Task | None) -> None:
    """Refuse a model of another task before anybody fetches its weights.

    Raises:
        BackendError: its sidecar says that it is none of this task.
    """
    said = entry.sidecar.task
    if wanted is not None and said in (Task.DETECT.value, Task.CLASSIFY.value) and said != wanted.value:
        raise BackendError(f"model {entry.name}: {_other(Task(said))}")


def decide_task(
    facts: OnnxFacts, layers: Layers, wanted: Task | None, reads_as_detector: Callable[[], bool]
) -> tuple[Task, str]:
    """Return what a model answers, and who says so.

    Args:
        facts: of the file.
        layers: what is said of it.
        wanted: what it is to be used for; None: whatever it is.
        reads_as_detector: whether a head could read its outputs.

    Raises:
        BackendError: it is not what is wanted; the message names the right command.
        ConfigError: an option names another task.
    """
    said, layer = layers.first("task")
    if said is not None and said not in [task.value for task in Task]:
        allowed = " or ".join(task.value for task in Task) if wanted is None else wanted.value
        raise layer.fault(f"{facts.path}: {layer.where} says task {said!r}; allowed is {allowed}")
    head, head_layer = layers.first("head")
    if said is None and head is not None:
        said, layer = Task.CLASSIFY.value if head == CLASSIFIER else Task.DETECT.value, head_layer
    if said == Task.CLASSIFY.value and head not in (None, CLASSIFIER):
        raise head_layer.fault(
            f"{facts.path}: {head_layer.where} says head {head!r} of a classifier ({layer.where}), which needs none"
        )
    if said is not None:
        if wanted not in (None, Task(said)):
            raise BackendError(f"{facts.path}: {_other(Task(said))} ({layer.where} says so)")
        return Task(said), layer.source
    return _by_outputs(facts, wanted, reads_as_detector), "shapes"


def _by_outputs(facts: OnnxFacts, wanted: Task | None, reads_as_detector: Callable[[], bool]) -> Task:
    """Tell by the outputs; where they could be both, by what is wanted."""
    rows, shapes = class_outputs(facts), shapes_text(facts.outputs)
    if not rows:
        if wanted is Task.CLASSIFY:
            raise BackendError(
                f"{facts.path}: no output holds a score for each class ([B, C]), it has {shapes}; "
                f"if it is a detector, {_DETECT}"
            )
        return Task.DETECT
    alone = len([port for port in facts.outputs if not is_text(port)]) == 1
    if wanted is Task.CLASSIFY:
        if not alone and reads_as_detector():
            raise BackendError(f"{facts.path}: is a detector by its outputs {shapes}: {_DETECT}")
        return Task.CLASSIFY
    if not alone or reads_as_detector():
        return Task.DETECT
    if wanted is Task.DETECT:
        raise BackendError(f"{facts.path}: looks like a classifier (output {rows[0]}): {_CLASSIFY}")
    return Task.CLASSIFY


def _other(task: Task) -> str:
    return f"is a classifier: {_CLASSIFY}" if task is Task.CLASSIFY else f"is a detector: {_DETECT}"
