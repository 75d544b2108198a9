"""Recognise a classifier: which output holds its scores, how they are read, how its pictures are prepared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.core.names import canonical
from streamer.infer.heads.family import Look
from streamer.infer.heads.numbering import counts_background
from streamer.infer.labels import load_labels
from streamer.infer.signature import shapes_text
from streamer.infer.spec import ColorOrder, Fit, InputSpec, Scoring

from .classes import class_outputs, column_count
from .graph import Made, made_by
from .inputs import input_spec, read_axes
from .looks import IN_WORDS
from .scores import Scores, read_scores

if TYPE_CHECKING:
    from streamer.infer.signature import Port

    from .layers import Layer, Layers
    from .onnx_file import OnnxFacts

DEFAULT_SIDE = 224  # px, of networks that leave their size open and say nothing of it
_CENTRE = 0.875  # of the shorter side: torchvision's 224 of 256
_THRESHOLD = 0.5
_PX = 2.0  # a mean or std above it is one of pixel values of 0 to 255, not of 0 to 1
_SURE_NAMES = ("logits", "probabilities")  # of the scores, among several outputs: Hugging Face, Keras and TensorFlow


@dataclass(frozen=True, slots=True)
class Classes:
    """All that was found out about a classifier."""

    output: Port
    columns: int
    labels: tuple[str, ...]
    ids: tuple[int, ...] | None  # the column of each label; None: in their order
    input: InputSpec
    scoring: Scoring


def read_classifier(facts: OnnxFacts, layers: Layers) -> Classes:
    """Find out how a classifier is used.

    Raises:
        BackendError: it stays unclear; the message says how to choose.
        ConfigError: an option contradicts the model.
    """
    output = _output(facts, layers)
    made = made_by(facts.path, output.name)
    axes = read_axes(facts, layers, (DEFAULT_SIDE, DEFAULT_SIDE), step=1)
    if output.rank == 1 and axes.max_batch > 1:  # one row of scores, whatever it is shown
        axes = replace(axes, max_batch=1)
    columns = len(made.keys) or column_count(output)
    _ask_what_is_open(facts, layers, output, columns=columns, keys=made.keys, takes_bytes=axes.port.dtype == "uint8")
    seen = _with_centre(input_spec(facts, axes, _look(layers), layers), facts, layers)
    final = read_scores(facts, layers, output, made=made, columns=columns, seen=seen)
    labels, ids = _names(facts, layers, output, columns=final.columns, made=made)
    scoring = _scoring(layers, labels, final)
    return Classes(output, final.columns, labels, ids, seen, scoring)


def _output(facts: OnnxFacts, layers: Layers) -> Port:
    """Return the output that holds a score for each class."""
    ports = class_outputs(facts)
    if len(ports) > 1:
        labels, _ = layers.first("labels")
        fitting = [port for port in ports if labels is not None and column_count(port) == len(labels)]
        named = [port for port in ports if port.name in _SURE_NAMES]
        ports = next((tuple(some) for some in (named, fitting) if len(some) == 1), ports)
    if len(ports) != 1:
        which = f"several outputs could: {shapes_text(ports)}" if ports else f"it has {shapes_text(facts.outputs)}"
        raise BackendError(f"{facts.path}: one output must hold a score for each class, [B, C]; {which}")
    return ports[0]


def _ask_what_is_open(
    facts: OnnxFacts, layers: Layers, output: Port, *, columns: int | None, keys: tuple[str, ...], takes_bytes: bool
) -> None:
    """Ask for everything that nobody says at once.

    Raises:
        BackendError: with what could be chosen.
    """
    open_keys: dict[str, str] = {}
    reasons = []
    if layers.first("labels")[0] is None and not keys:
        reasons.append("the names of its classes are not known")
        open_keys["labels"] = "imagenet1000" if columns in (1000, 1001) else "FILE"
    if not takes_bytes and _scale(layers) is None:
        known = "; ".join(f"{name}: {words}" for name, words in IN_WORDS.items())
        reasons.append(f"nothing tells how its pictures are prepared ({known})")
        open_keys["look"] = "torch"
    if open_keys:
        instead = " (or `color`, `scale`, `mean`, `std` and `fit`)" if "look" in open_keys else ""
        sidecar = facts.path.with_suffix(".yaml").name
        raise BackendError(
            f"{facts.path}: is a classifier (output {output}), but {', and '.join(reasons)}; choose with "
            f"{' and '.join(f'--{key}' for key in open_keys)} (such as "
            f"`{' '.join(f'--{key} {value}' for key, value in open_keys.items())}`), or write "
            f"{' and '.join(f'`{key}:`' for key in open_keys)}{instead} in a sidecar {sidecar}"
        )


def _scale(layers: Layers) -> float | None:
    """Return what pixel values are multiplied by, where somebody says it or the mean and std leave no doubt."""
    scale, _ = layers.first("scale")
    if scale is not None:
        return float(scale)
    numbers = []
    for key, nothing in (("mean", 0.0), ("std", 1.0)):
        said, _ = layers.first(key)
        values = said if isinstance(said, (list, tuple)) else [nothing if said is None else said]
        numbers += [abs(float(value)) for value in values if float(value) != nothing]
    if not numbers:
        return None
    return 1.0 if max(numbers) > _PX else 1 / 255


def _look(layers: Layers) -> Look:
    """Return what is taken where nobody says otherwise: all but the values can be told."""
    # Those who write colour and range into the metadata (Azure Custom Vision) resize without a crop.
    stretched = layers.first("scale")[1].source == "metadata" and layers.first("look")[0] is None
    fit = Fit.STRETCH if stretched else Fit.CROP
    return Look(color=ColorOrder.RGB, scale=_scale(layers) or 1.0, fit=fit, pad=0)


def _with_centre(seen: InputSpec, facts: OnnxFacts, layers: Layers) -> InputSpec:
    """Add how much larger the picture is made before its centre is cut out."""
    resize, layer = layers.first("resize")
    if resize is None:
        usual = layers.first("look")[0] == "torch" and seen.fit is Fit.CROP
        return replace(seen, area=True, resize=round(min(seen.hw) / _CENTRE) if usual else None)
    if seen.fit not in (Fit.CROP, Fit.STRETCH):
        raise layer.fault(f"{facts.path}: {layer.where} says resize, which goes with fit crop or stretch only")
    if resize < min(seen.hw):
        raise layer.fault(
            f"{facts.path}: {layer.where} says resize {resize}; the input of {min(seen.hw)} px is cut out of it"
        )
    return replace(seen, area=True, resize=int(resize))


def _names(
    facts: OnnxFacts, layers: Layers, output: Port, *, columns: int, made: Made
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Return the class names, and in which column each one's score stands (None: in their order)."""
    said, layer = layers.first("labels")
    labels: tuple[str, ...] = tuple(made.keys if said is None else said)
    if made.keys and len(labels) == columns:
        return labels, _places(made.keys)
    ids, ids_layer = layers.ids()
    if ids is not None:
        return labels, _ids(ids, ids_layer, len(labels), columns)
    if len(labels) == columns or (columns == 1 and len(labels) == 2):  # no and yes
        return labels, None
    if columns == len(labels) + 1 and labels == load_labels("imagenet1000"):  # TensorFlow's begin with the background
        return labels, tuple(range(1, columns))
    hint = ""
    if columns == len(labels) + 1 and not counts_background(labels):
        hint = "; if its first is the background, write `ids: 1` in a sidecar"
    elif columns == 1:
        hint = "; allowed are one name, or two: what it is if not, and if so"
    raise layer.fault(
        f"{facts.path}: {layer.where} gives {len(labels)} class names, its output {output} has {columns}{hint}"
    )


def _places(keys: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return in which column each class of a map stands: the runtime sorts them, by bytes or by number."""
    numbers = all(key.isdecimal() for key in keys)
    ordered = sorted(keys, key=int) if numbers else sorted(keys, key=str.encode)
    places = tuple(ordered.index(key) for key in keys)
    return None if places == tuple(range(len(keys))) else places


def _ids(said: object, layer: Layer, count: int, columns: int) -> tuple[int, ...]:
    listed = tuple(said) if isinstance(said, (list, tuple)) else ()
    ids = tuple(range(said, said + count)) if isinstance(said, int) else listed
    if len(ids) != count or len(set(ids)) != count or min(ids) < 0 or max(ids) >= columns:
        raise layer.fault(
            f"{layer.where}: ids: {said!r} is not allowed with {count} class names and {columns} scores; it is the "
            "place of the first class, or a list of one for each name"
        )
    return ids


def _scoring(layers: Layers, labels: tuple[str, ...], scores: Scores) -> Scoring:
    """Decide whether classes exclude each other, and from where each is there."""
    said, layer = layers.first("threshold")
    each = said is not None if scores.each is None else scores.each
    # One number with a name for no and one for yes is one of the two.
    multi_label = each if scores.columns > 1 else len(labels) == 1
    if said is not None and not multi_label:
        raise layer.fault(f"{layer.where}: threshold goes with classes that are judged each for itself (sigmoid) only")
    if not multi_label:
        return Scoring(activation=scores.activation, thresholds=(), reason=scores.reason)
    by_name = {canonical(name): score for name, score in said.items()} if isinstance(said, Mapping) else {}
    unknown = [name for name in by_name if name not in map(canonical, labels)]
    if unknown:
        raise layer.fault(f"{layer.where}: threshold: {unknown[0]!r} is no class of the model")
    usual = _THRESHOLD if said is None or by_name else float(said)
    thresholds = tuple(float(by_name.get(canonical(label), usual)) for label in labels)
    if not all(math.isfinite(score) and 0 <= score <= 1 for score in thresholds):
        raise layer.fault(f"{layer.where}: threshold: {said!r} is not allowed; it is 0 to 1")
    return Scoring(activation=scores.activation, thresholds=thresholds, reason=scores.reason)
