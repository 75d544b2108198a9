"""Choose the head: as somebody said, or as shapes and a trial leave no doubt; else say what it could be."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.heads import FAMILIES, family_of
from streamer.infer.heads.family import Numbering
from streamer.infer.heads.numbering import COCO91, class_ids, counts_background
from streamer.infer.labels import load_labels
from streamer.infer.signature import hw_text, shapes_text

from .trial import NO_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamer.infer.heads.family import Family, Reading
    from streamer.infer.signature import Signature

    from .layers import Layer, Layers
    from .metadata import Metadata
    from .onnx_file import OnnxFacts

_ALL_HEADS = "docs/models.md lists all heads and what each one needs"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """How the outputs are read, and who decided."""

    reading: Reading
    labels: tuple[str, ...]
    ids: tuple[int, ...]  # the network's own of each label
    decided_by: str


@dataclass(frozen=True, slots=True)
class _Fit:
    """A reading that may be the right one; `ids` is None while the names are not known."""

    reading: Reading
    ids: tuple[int, ...] | None


class HeadChoice:
    """One model's question, put to all who may answer it."""

    def __init__(self, facts: OnnxFacts, layers: Layers, metadata: Metadata, signature: Signature) -> None:
        self._facts = facts
        self._layers = layers
        self._metadata = metadata
        self._signature = signature
        self._labels, self._labels_layer = layers.first("labels")
        self._head, self._head_layer = layers.first("head")

    def decide(self, trial: Callable[[Reading], str | None], person_as: Callable[[Reading], int | None]) -> Choice:
        """Find the one reading of this model.

        Args:
            trial: runs a reading once on a real picture; returns what speaks against it, or None.
            person_as: returns the class that a reading, which nothing speaks against, shows that picture's person as.

        Raises:
            ConfigError: an option contradicts the model, or names no head.
            BackendError: no head fits, or several do; the message names them and how to choose.
        """
        named = self._head is not None
        readings, rarer = (self._named(), []) if named else (self._possible(), self._rare())
        if not readings and not rarer:
            raise BackendError(f"{self._facts.path}: {self._nothing_fits()}")
        fits, others = self._with_names(readings), self._with_names(rarer)
        if self._labels is not None and not fits and not others:
            raise self._names_fault(readings or rarer)
        if named and self._labels is not None:
            fit = _likeliest(fits, trial)
            alike = [f for f in fits if f.reading.sure == fit.reading.sure and f.reading.outputs == fit.reading.outputs]
            if len({f.ids for f in alike}) == 1:
                self._warn(fit.reading, trial)
                return self._choice(fit, self._head_layer.source)
            raise BackendError(f"{self._facts.path}: {self._doubt(alike)}")
        left, reasons = (fits, []) if named else _tried(fits, trial)
        if not left:
            left, more = _tried(others, trial)
            reasons += more
        left = _widest(left)
        if self._labels is not None and len(left) == 1:
            if self._from_one(left[0].reading, person_as):
                raise BackendError(f"{self._facts.path}: {self._doubt(self._from_either(left[0].reading))}")
            source = "metadata" if self._speaks() else "shapes"
            return self._choice(left[0], source if left == fits else "probe")
        if self._labels is not None and not left and not fits and readings:
            raise self._names_fault(readings)
        if not left:
            raise BackendError(f"{self._facts.path}: {_refuted([f.reading for f in fits or others], reasons)}")
        raise BackendError(f"{self._facts.path}: {self._doubt(left)}")

    def _warn(self, reading: Reading, trial: Callable[[Reading], str | None]) -> None:
        """Try the head that somebody named: who says so is believed, but hears what speaks against it.

        Raises:
            BackendError: the network does not run, or its answers are no numbers.
        """
        if self._head_layer.source == "catalogue":  # known to the bit
            return
        why = trial(reading)
        if why == NO_NUMBERS:
            raise BackendError(f"{self._facts.path}: on a real picture, {why}")
        if why is not None:
            _log.warning("%s: head %s, but on a real picture: %s", self._facts.path, reading.head, why)

    def _from_one(self, reading: Reading, person_as: Callable[[Reading], int | None]) -> bool:
        """Whether ids, of which shapes tell nothing, seem to be counted from 1: COCO's first class is the person."""
        unsaid = self._layers.ids()[0] is None and self._metadata.names is None
        zero = reading.columns is None and reading.numbering is Numbering.ZERO
        return unsaid and zero and self._labels == load_labels("coco80") and person_as(reading) == 1

    def _from_either(self, reading: Reading) -> list[_Fit]:
        count = len(self._labels)
        return [_Fit(reading, tuple(range(first, first + count))) for first in (0, 1)]

    def _read(self, family: Family) -> list[Reading]:
        """Return a family's readings of outputs that are for the same number of pictures."""
        batches = [(r, {p.shape[0] for p in r.outputs if p.rank > 2} - {None}) for r in family.read(self._signature)]
        return [reading for reading, pictures in batches if len(pictures) <= 1]

    def _named(self) -> list[Reading]:
        """Return the ways in which the head that somebody named could have written the outputs."""
        try:
            family = family_of(self._head)
        except ConfigError as exc:
            raise ConfigError(f"{self._head_layer.where}: {exc}") from exc
        readings = self._read(family)
        if not readings:
            outputs, hw = shapes_text(self._signature.outputs), hw_text(self._signature.hw)
            raise self._head_layer.fault(
                f"{self._facts.path}: is not of head {family.name}: that needs {family.needs}, "
                f"its output at an input of {hw} is {outputs}"
            )
        return readings

    def _possible(self) -> list[Reading]:
        """Return the readings that shapes and metadata allow."""
        found = [r for family in FAMILIES for r in self._read(family) if r.sure and not r.rare]
        metadata = self._metadata
        if metadata.end2end is not None:
            found = [r for r in found if (r.head == "end2end") == metadata.end2end]
        if metadata.names is not None:  # only Ultralytics and its kin write names
            kin = [r for r in found if family_of(r.head).ultralytics]
            found = [r for r in kin if class_ids(len(metadata.names), r)] or kin
        return found

    def _rare(self) -> list[Reading]:
        """Return the readings that are tried where none of the possible ones is left; metadata know none of them."""
        return [r for family in FAMILIES for r in self._read(family) if r.sure and r.rare]

    def _with_names(self, readings: Sequence[Reading]) -> list[_Fit]:
        if self._labels is None:
            return [_Fit(reading, None) for reading in readings]
        said, layer = self._layers.ids()
        count = len(self._labels)
        if said is not None:
            ids = _ids_as_said(said, count, layer)
            return _different(_Fit(r, ids) for r in readings if r.columns is None or max(ids) < r.columns)
        if counts_background(self._labels):  # every name then stands at its own id
            readings = [replace(r, numbering=Numbering.ZERO) if r.numbering is Numbering.ONE else r for r in readings]
        with_ids = [(r, class_ids(count, r)) for r in readings]
        return _different(_Fit(r, ids) for r, ids in with_ids if ids is not None)

    def _choice(self, fit: _Fit, decided_by: str) -> Choice:
        ids = tuple(range(len(self._labels))) if fit.ids is None else fit.ids
        return Choice(fit.reading, tuple(self._labels), ids, decided_by)

    def _speaks(self) -> bool:
        return self._metadata.names is not None or self._metadata.end2end is not None

    def _names_fault(self, readings: Sequence[Reading]) -> Exception:
        """Return the error for a list of names that is too long or too short."""
        said_by = [layer for layer in (self._head_layer, self._labels_layer) if layer.source == "options"]
        blamed: Layer = said_by[0] if said_by else self._labels_layer
        return blamed.fault(
            f"{self._facts.path}: {self._labels_layer.where} gives {len(self._labels)} class names, "
            f"its output {shapes_text(readings[0].outputs)} is of head {_heads(readings)}"
        )

    def _doubt(self, fits: Sequence[_Fit]) -> str:
        readings = sorted((fit.reading for fit in fits), key=lambda r: not _of_coco(r))  # what is met most often first
        shapes = " and ".join(dict.fromkeys(shapes_text(reading.outputs) for reading in readings))
        sure = len({reading.head for reading in readings}) == 1
        if sure and len({fit.ids for fit in fits}) > 1:
            return (
                f"its output {shapes} is of head {_heads(readings)}, which may count the {len(self._labels)} named "
                "ones from 0 or from 1; write `ids: 0` or `ids: 1` (the network's id of the first) in the "
                f"configuration or in a sidecar {self._facts.path.with_suffix('.yaml').name}"
            )
        open_keys = [] if sure else ["head"]
        example = [] if sure else [f"--head {readings[0].head}"]
        why = ""
        if self._labels is None:
            why = f", and {self._metadata.trouble or 'the names of its classes are not known'}"
            open_keys.append("labels")
            example.append(f"--labels {'coco80' if _of_coco(readings[0]) else 'FILE'}")
        return (
            f"its output {shapes} {'is' if sure else 'may be'} of head {_heads(readings)}{why}; "
            f"choose with {' and '.join(f'--{key}' for key in open_keys)} (such as `{' '.join(example)}`), "
            f"or write {' and '.join(f'`{key}:`' for key in open_keys)} in the configuration "
            f"or in a sidecar {self._facts.path.with_suffix('.yaml').name}"
        )

    def _nothing_fits(self) -> str:
        outputs = self._signature.outputs
        if len(outputs) == 1 and outputs[0].rank == 2:
            return f"looks like a classifier (output {outputs[0]}): `streamer classify` takes one"
        return (
            f"no head that Streamer has fits its output {', '.join(map(str, outputs))} "
            f"at an input of {hw_text(self._signature.hw)}; {_ALL_HEADS}"
        )


def _refuted(readings: Sequence[Reading], reasons: Sequence[str]) -> str:
    """Say that the numbers speak against all that the shapes allow."""
    shapes = " and ".join(dict.fromkeys(shapes_text(reading.outputs) for reading in readings))
    return f"no head fits its output {shapes}: on a real picture, {'; '.join(reasons)}; {_ALL_HEADS}"


def _different(fits: Iterable[_Fit]) -> list[_Fit]:
    """Leave out what leads to the same as another, however it counts its classes."""
    first: dict[object, _Fit] = {}
    for fit in fits:
        first.setdefault((fit.reading.head, fit.reading.outputs, fit.reading.columns, fit.ids), fit)
    return list(first.values())


def _widest(fits: Sequence[_Fit]) -> list[_Fit]:
    """Leave out a reading of some of the outputs that another one reads together with more of them."""
    read = [{port.name for port in fit.reading.outputs} for fit in fits]
    return [fit for fit, names in zip(fits, read, strict=True) if not any(names < other for other in read)]


def _likeliest(fits: Sequence[_Fit], trial: Callable[[Reading], str | None]) -> _Fit:
    """Return a named head's usual reading; where it could take the outputs in several orders, a trial decides."""
    usual = [f for f in fits if f.reading.sure] or fits
    if len({f.reading.outputs for f in usual}) == 1:
        return usual[0]
    return next((f for f in usual if trial(f.reading) is None), usual[0])


def _tried(fits: Sequence[_Fit], trial: Callable[[Reading], str | None]) -> tuple[list[_Fit], list[str]]:
    """Return those that nothing speaks against, and what speaks against the others."""
    against = [(fit, trial(fit.reading)) for fit in fits]
    reasons = [f"{fit.reading.head}: {why}" for fit, why in against if why is not None]
    return [fit for fit, why in against if why is None], reasons


def _ids_as_said(said: object, count: int, layer: Layer) -> tuple[int, ...]:
    """Return the network's id of each of `count` names, as somebody has said it.

    Raises:
        StreamerError: it is not one number for each name.
    """
    if said == "coco91":
        ids = COCO91
    elif isinstance(said, int):
        ids = tuple(range(said, said + count))
    else:
        ids = tuple(said) if isinstance(said, (list, tuple)) else ()
    if len(ids) != count or len(set(ids)) != count or min(ids) < 0:
        raise layer.fault(
            f"{layer.where}: ids: {said!r} is not allowed with {count} class names; it is coco91 with the names of "
            "coco80, the number of the first class, or a list of one number for each name"
        )
    return ids


def _of_coco(reading: Reading) -> bool:
    """Whether it has just the classes of COCO."""
    return (reading.columns is not None or reading.coco91) and class_ids(len(COCO91), reading) is not None


def _heads(readings: Sequence[Reading]) -> str:
    return " or ".join(dict.fromkeys(map(_head, readings)))


def _head(reading: Reading) -> str:
    if reading.columns is None:
        return reading.head
    beside = {Numbering.ZERO: "", Numbering.ONE: " beside the background", Numbering.LAST: " beside nothing"}
    count = reading.columns - (reading.numbering is not Numbering.ZERO)
    return f"{reading.head} with {count} class{'es' * (count != 1)}{beside[reading.numbering]}"
