"""Choose the head: as somebody said, or as the shapes leave no doubt; else say what it could be and how to choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.heads import HEADS

from .layout import ULTRALYTICS, Fitting, fitting, hw_text, misfit, shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .layers import Layer, Layers
    from .layout import HW
    from .metadata import Metadata
    from .onnx_file import OnnxFacts, Port


@dataclass(frozen=True, slots=True)
class Choice:
    """The head, the output that it reads, and who decided."""

    head: str
    output: Port
    labels: tuple[str, ...]
    decided_by: str


def choose_head(facts: OnnxFacts, layers: Layers, metadata: Metadata, input_hw: HW) -> Choice:
    """Find the one head that reads this model.

    Raises:
        ConfigError: an option contradicts the model, or names no head.
        BackendError: no head fits, or several do; the message names them and how to choose.
    """
    labels, labels_layer = layers.first("labels")
    head, head_layer = layers.first("head")
    if head is not None and head not in HEADS:
        raise ConfigError(f"{head_layer.where}: head: {head!r} is not known; allowed are {', '.join(HEADS)}")
    if head is not None and labels is not None:
        return _as_said(facts, head, labels, input_hw, (head_layer, labels_layer))
    possible = _possible(facts, metadata, input_hw)
    if head is not None:
        possible = [fit for fit in possible if fit.head == head]
    fits = [fit for fit in possible if labels is not None and fit.classes in (None, len(labels))]
    if len(fits) == 1:
        return Choice(fits[0].head, fits[0].output, labels, "metadata" if _speaks(metadata) else "shapes")
    if not possible:
        raise BackendError(f"{facts.path}: {_nothing_fits(facts, input_hw)}")
    if labels is not None and not fits:
        raise labels_layer.fault(
            f"{facts.path}: {labels_layer.where} gives {len(labels)} class names, "
            f"its output {shape_text(possible[0].output)} is of head {_heads(possible)}"
        )
    raise BackendError(f"{facts.path}: {_doubt(facts, fits or possible, metadata, labels_known=labels is not None)}")


def _as_said(
    facts: OnnxFacts, head: str, labels: tuple[str, ...], input_hw: HW, said_by: tuple[Layer, Layer]
) -> Choice:
    reasons = []
    for output in facts.outputs:
        reason = misfit(head, output, input_hw, len(labels))
        if reason is None:
            return Choice(head, output, labels, said_by[0].source)
        reasons.append(reason)
    blamed = next((layer for layer in said_by if layer.source == "options"), said_by[0])
    raise blamed.fault(f"{facts.path}: is not of head {head}: {'; '.join(reasons)}")


def _possible(facts: OnnxFacts, metadata: Metadata, input_hw: HW) -> list[Fitting]:
    """Return the heads that shapes and metadata allow."""
    found = fitting(facts.outputs, input_hw)
    if metadata.end2end is not None:
        found = [fit for fit in found if (fit.head == "end2end") == metadata.end2end]
    if metadata.names is not None:  # only Ultralytics and its kin write names
        found = [fit for fit in found if fit.head in ULTRALYTICS]
        found = [fit for fit in found if fit.classes in (None, len(metadata.names))] or found
    return found


def _speaks(metadata: Metadata) -> bool:
    return metadata.names is not None or metadata.end2end is not None


def _doubt(facts: OnnxFacts, fits: Sequence[Fitting], metadata: Metadata, *, labels_known: bool) -> str:
    shapes = " and ".join(dict.fromkeys(shape_text(fit.output) for fit in fits))
    sure = len({fit.head for fit in fits}) == 1
    open_keys = [] if sure else ["head"]
    example = [] if sure else [f"--head {fits[0].head}"]
    why = ""
    if not labels_known:
        why = f", and {metadata.trouble or 'the names of its classes are not known'}"
        open_keys.append("labels")
        example.append(f"--labels {'coco80' if fits[0].classes == 80 else 'FILE'}")
    return (
        f"its output {shapes} {'is' if sure else 'may be'} of head {_heads(fits)}{why}; "
        f"choose with {' and '.join(f'--{key}' for key in open_keys)} (such as `{' '.join(example)}`), "
        f"or write {' and '.join(f'`{key}:`' for key in open_keys)} in the configuration "
        f"or in a sidecar {facts.path.with_suffix('.yaml').name}"
    )


def _heads(fits: Sequence[Fitting]) -> str:
    said = [
        fit.head if fit.classes is None else f"{fit.head} with {fit.classes} class{'es' * (fit.classes != 1)}"
        for fit in fits
    ]
    return " or ".join(dict.fromkeys(said))


def _nothing_fits(facts: OnnxFacts, input_hw: HW) -> str:
    shapes = ", ".join(shape_text(output) for output in facts.outputs)
    if len(facts.outputs) == 1 and len(facts.outputs[0].shape) == 2:
        return f"looks like a classifier (output {shapes}), which is not supported yet"
    return (
        f"no head that Streamer has ({', '.join(HEADS)}) fits its output {shapes} "
        f"at an input of {hw_text(input_hw)}; if one does, choose it with --head and --labels"
    )
