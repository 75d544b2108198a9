"""Find a model's file, ask all who know something of it, and join what they say."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.core.names import canonical, topic_level
from streamer.infer.catalogue import Catalogue, Entry, open_catalogue
from streamer.infer.heads import FAMILIES, family_of, open_head
from streamer.infer.heads.family import Numbering
from streamer.infer.heads.numbering import class_ids
from streamer.infer.sidecar import load_sidecar
from streamer.infer.signature import Signature
from streamer.infer.spec import ModelSpec, SpecOptions, Task

from .axes import Kept, in_shape, kept_axes
from .choose import Choice, HeadChoice
from .classifier import read_classifier
from .companions import companion_layers
from .inputs import Axes, input_spec, read_axes
from .layers import Layer, Layers, options_layer
from .lengths import with_lengths
from .looks import spelled_out
from .metadata import Metadata, read_metadata
from .onnx_file import OnnxFacts, read_facts
from .task import CLASSIFIER, decide_task, refuse_entry
from .trial import Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.infer.heads.family import Reading

_NOTHING_SAID = SpecOptions()
_MAX_NAME = 240  # bytes; a longer one is an error in every file system, and in as many ways
_ANY_CLASS = 10_000  # ids of networks whose shapes do not say how many classes they have lie below it
_NO_CLASS = ("n/a", "na", "none", "unused", "unknown", "reserved", "background")  # what lists of names call such ids
_SIDECARS = (".yaml", ".yml")
_NUMBERS = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")


@dataclass(frozen=True, slots=True)
class _Found:
    """A model's file, and the sidecar that tells of it."""

    name: str
    path: Path
    source: str  # sidecar | catalogue: where `entry` comes from
    entry: Entry | None


def load_spec(
    model: str,
    *,
    options: SpecOptions = _NOTHING_SAID,
    catalogue: Catalogue | None = None,
    task: Task | None = Task.DETECT,
    beside: bool = True,
) -> ModelSpec:
    """Recognise a model.

    Options are trusted first, then a sidecar beside the file, the catalogue (by name or checksum), the file's own
    metadata, what other programs left beside it, and its shapes where they leave no doubt. A trial run on a picture
    backs what nobody has said.

    Args:
        model: a catalogue name, or the path of an `.onnx` file or of a `.yaml` sidecar.
        options: what the caller knows better.
        catalogue: where names are looked up; None: this installation's.
        task: what it is to be used for; None: whatever it answers.
        beside: whether a sidecar beside an `.onnx` file is read.

    Raises:
        ConfigError: there is no such model, or an option or a sidecar is wrong.
        BackendError: the file can't be used, is of another task, or it stays unclear how; the message names the
            candidates.
    """
    catalogue = catalogue or open_catalogue()
    found = _find(model, catalogue, None if options.task else task, beside=beside)
    facts = _facts(found)
    metadata = read_metadata(facts.metadata)
    told = _told(found, facts, catalogue)
    own = Layer("metadata", "its metadata", metadata.options)
    trusted = (options_layer(options), *told, own)
    named = any(layer.said.labels for layer in trusted)
    layers = Layers(tuple(map(spelled_out, (*trusted, *companion_layers(facts.path, named=named)))))
    answers, decided_by = decide_task(facts, layers, task, lambda: _reads_as_detector(facts, layers))
    if answers is Task.CLASSIFY:
        return _classifier(found, facts, layers, decided_by)
    _refuse_odd_outputs(facts)
    axes = read_axes(facts, layers)
    _compare_layout(found, axes.layout)
    facts, kept = _readable(facts, layers, axes)
    return _Recognising(found, facts, layers, axes, kept).spec(metadata)


def _classifier(found: _Found, facts: OnnxFacts, layers: Layers, decided_by: str) -> ModelSpec:
    classes = read_classifier(facts, layers)
    _compare_layout(found, classes.input.layout)
    return ModelSpec(
        name=found.name,
        path=facts.path,
        digest=f"sha256:{facts.sha256}",
        task=Task.CLASSIFY,
        head=CLASSIFIER,
        labels=classes.labels,
        aliases=_aliases(layers, classes.labels),
        input=classes.input,
        output_names=(classes.output.name,),
        decided_by=decided_by,
        columns=classes.columns,
        ids=classes.ids,
        scoring=classes.scoring,
    )


def _reads_as_detector(facts: OnnxFacts, layers: Layers) -> bool:
    """Whether any head could have written its outputs."""
    axes = read_axes(facts, layers)
    if _reads(facts, layers, axes, whoever=True):
        return True
    filled = with_lengths(facts, layers)
    kept = kept_axes(filled.outputs, axes)
    # Rows whose number is not that of the pictures are no classifier's.
    if filled is facts or not any(None in axes for axes in kept.values()):
        return False
    return _reads(_in_shape(filled, kept), layers, axes)


def _reads(facts: OnnxFacts, layers: Layers, axes: Axes, *, whoever: bool = False, names: int | None = None) -> bool:
    """Whether a head could read the outputs: the one that is named, or one that is sure of it and of so many names."""
    head = None if whoever else layers.first("head")[0]
    signature = _signature(facts, axes)
    readings = [r for family in FAMILIES if head in (None, family.name) for r in family.read(signature)]
    fitting = readings if names is None else [r for r in readings if class_ids(names, r) is not None]
    return any(reading.sure or whoever or head is not None for reading in fitting)


def _in_shape(facts: OnnxFacts, kept: Mapping[str, Kept]) -> OnnxFacts:
    return replace(facts, outputs=tuple(in_shape(port, kept.get(port.name)) for port in facts.outputs))


def _readable(facts: OnnxFacts, layers: Layers, axes: Axes) -> tuple[OnnxFacts, Mapping[str, Kept]]:
    """Return the facts as a head can read them: with the open axes that a run tells, or else with other axes."""
    filled = with_lengths(facts, layers)
    kept = kept_axes(filled.outputs, axes)
    views: list[tuple[OnnxFacts, Mapping[str, Kept]]] = [(filled, {}), (facts, {}), (_in_shape(filled, kept), kept)]
    labels, _ = layers.first("labels")
    for names in (None,) if labels is None else (len(labels), None):
        for view in views:
            if _reads(view[0], layers, axes, names=names):
                return view
    return views[0]


def _signature(facts: OnnxFacts, axes: Axes) -> Signature:
    extras = tuple(extra.name for extra in axes.extras)
    return Signature(hw=axes.hw, outputs=facts.outputs, extras=extras, batched=axes.batched)


def _compare_layout(found: _Found, layout: str) -> None:
    if found.entry is not None and found.entry.sidecar.layout not in (None, layout):
        raise BackendError(f"{found.entry.path}: layout: {found.entry.sidecar.layout!r} is not the file's {layout}")


class _Recognising:
    """One model between its facts and its spec."""

    def __init__(self, found: _Found, facts: OnnxFacts, layers: Layers, axes: Axes, kept: Mapping[str, Kept]) -> None:
        self._found = found
        self._kept = kept
        self._facts = facts
        self._layers = layers
        self._axes = axes
        self._trial = Trial([port.name for port in facts.outputs])

    def spec(self, metadata: Metadata) -> ModelSpec:
        """Choose the head and join all that is known."""
        signature = _signature(self._facts, self._axes)
        choice = HeadChoice(self._facts, self._layers, metadata, signature).decide(self._against, self._person_as)
        spec = self._spec(choice)
        open_head(spec)  # what was said and does not fit it is said now
        return spec

    def _against(self, reading: Reading) -> str | None:
        """Run the network once and return what speaks against a reading; names do not matter to that."""
        if reading.one_picture and self._axes.fixed_batch:
            return f"it was exported for {self._axes.max_batch} pictures at once, which these outputs do not tell apart"
        return self._trial.against(self._as_tried(reading))

    def _person_as(self, reading: Reading) -> int | None:
        """Return the class that a reading, which nothing speaks against, shows the trial's person as."""
        return self._trial.person_as(self._as_tried(reading))

    def _as_tried(self, reading: Reading) -> ModelSpec:
        """Return the spec of a reading, with all classes that are not the background."""
        count = _ANY_CLASS if reading.columns is None else reading.columns
        ids = range(reading.numbering is Numbering.ONE, count - (reading.numbering is Numbering.LAST))
        return self._spec(Choice(reading, ("?",) * len(ids), tuple(ids), "probe"), tried=True)

    def _spec(self, choice: Choice, *, tried: bool = False) -> ModelSpec:
        reading, facts, found = choice.reading, self._facts, self._found
        odd = next((port for port in reading.outputs if port.dtype not in _NUMBERS), None)
        if odd is not None:
            raise BackendError(f"{facts.path}: its output {odd.name} is {odd.dtype}; allowed are {', '.join(_NUMBERS)}")
        aliases = {} if tried else _aliases(self._layers, choice.labels)
        if not tried:
            _refuse_shared_topics(self._layers, choice.labels, aliases)
        look, axes = family_of(reading.head).look, self._axes
        if axes.open_hw and look.hw is not None:
            axes = read_axes(facts, self._layers, look.hw)
        if reading.one_picture:
            if axes.fixed_batch:
                raise BackendError(
                    f"{facts.path}: was exported for {axes.max_batch} pictures at once, which the outputs of head "
                    f"{reading.head} do not tell apart; export it for one"
                )
            axes = replace(axes, max_batch=1)
        return ModelSpec(
            name=found.name,
            path=facts.path,
            digest=f"sha256:{facts.sha256}",
            task=Task.DETECT,
            head=reading.head,
            labels=choice.labels,
            aliases=aliases,
            input=input_spec(facts, axes, look, self._layers),
            output_names=tuple(port.name for port in reading.outputs),
            decided_by=choice.decided_by,
            columns=reading.columns,
            ids=None if choice.ids == tuple(range(reading.columns or -1)) else choice.ids,
            axes={port.name: self._kept[port.name] for port in reading.outputs if port.name in self._kept},
            anchors=self._anchors(reading.head),
        )

    def _anchors(self, head: str) -> tuple[tuple[float, float], ...] | None:
        said, layer = self._layers.first("anchors")
        if said is not None and not family_of(head).anchored:
            raise layer.fault(f"{layer.where}: anchors: head {head} has none")
        return None if said is None else tuple(said)


def _find(model: str, catalogue: Catalogue, task: Task | None, *, beside: bool) -> _Found:
    path = Path(model)
    if not model.isprintable() or not path.parts or max(len(part.encode()) for part in path.parts) > _MAX_NAME:
        raise ConfigError(f"model: {model[:80]!r} is no file name")
    suffix = path.suffix.lower()
    if suffix in _SIDECARS:
        entry = Entry(name=path.stem, path=path, sidecar=load_sidecar(path))
        refuse_entry(entry, task)
        return _Found(path.stem, catalogue.weights(entry), "sidecar", entry)
    if suffix == ".onnx":
        return _Found(path.stem, path, "sidecar", _beside(path) if beside else None)
    if len(path.parts) > 1 or os.path.exists(path):  # noqa: PTH110  as in `_beside`
        raise ConfigError(f"model: {model} is no .onnx or .yaml file; export the model to ONNX")
    entry = catalogue.entry(model)
    refuse_entry(entry, task)
    return _Found(model, catalogue.weights(entry), "catalogue", entry)


def _beside(path: Path) -> Entry | None:
    for suffix in _SIDECARS:
        beside = path.with_suffix(suffix)
        if os.path.isfile(beside):  # noqa: PTH113  pathlib's raises where a folder may not be entered, or it is too long
            entry = Entry(name=path.stem, path=beside, sidecar=load_sidecar(beside))
            if Path(entry.file_name).name != path.name:
                raise ConfigError(f"{beside}: file: {entry.file_name!r} is not {path.name}, which it lies beside")
            return entry
    return None


def _facts(found: _Found) -> OnnxFacts:
    if found.entry is None:
        return read_facts(found.path)
    anew = f"`streamer models pull {found.name}` gets it anew" if found.source == "catalogue" else "download it anew"
    advice = f"so says {found.entry.path}; {anew}"
    return read_facts(found.path, expected=found.entry.sidecar.sha256, advice=advice)


def _told(found: _Found, facts: OnnxFacts, catalogue: Catalogue) -> list[Layer]:
    """Return what sidecar and catalogue say of this very file."""
    told = [] if found.entry is None else [_layer(found.source, found.entry)]
    known = catalogue.with_digest(facts.sha256) if found.source != "catalogue" else None
    if known is not None:
        told.append(_layer("catalogue", known))
    return told


def _layer(source: str, entry: Entry) -> Layer:
    return Layer(source, str(entry.path), entry.sidecar.options(entry.path.parent))


def _aliases(layers: Layers, labels: Sequence[str]) -> dict[str, str]:
    """Return what the classes that were given another name for topics are called there."""
    said, layer = layers.first("aliases")
    named = {canonical(name): (name, alias) for name, alias in (said or {}).items()}
    for name, _ in named.values():
        if canonical(name) not in map(canonical, labels):
            raise layer.fault(f"{layer.where}: aliases: {name!r} is no class of the model")
    aliases = {label: named[canonical(label)][1] for label in labels if canonical(label) in named}
    levels = Counter(topic_level(aliases.get(label, label)) for label in labels)
    for alias in aliases.values():
        if levels[topic_level(alias)] > 1:
            raise layer.fault(f"{layer.where}: aliases: {alias!r} would stand for two classes in topics")
    return aliases


def _refuse_shared_topics(layers: Layers, labels: Sequence[str], aliases: Mapping[str, str]) -> None:
    """Refuse a detector whose classes can't be told apart in topics; those of unused ids (`???`) may be alike."""
    by_level: dict[str, str] = {}
    for label in labels:
        level = topic_level(aliases.get(label, label))
        if level in by_level and level not in _NO_CLASS and any(map(str.isalnum, level)):
            _, layer = layers.first("labels")
            raise layer.fault(
                f"{layer.where}: labels: the classes {by_level[level]!r} and {label!r} would share the topic {level}; "
                "give them names (--labels) that differ in more than case and spaces"
            )
        by_level.setdefault(level, label)


def _refuse_odd_outputs(facts: OnnxFacts) -> None:
    for output in facts.outputs:
        if "seq(" in output.dtype or "string" in output.dtype or "map(" in output.dtype:
            raise BackendError(f"{facts.path}: its output {output.name} is {output.dtype}; only numbers can be used")
