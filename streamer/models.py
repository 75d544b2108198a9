"""`streamer models list` and `show`: what the catalogue knows, and what of it is on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Entry, MissingWeightsError, open_catalogue
from streamer.infer.pull import is_right
from streamer.infer.recognise import load_spec
from streamer.infer.sidecar import load_sidecar
from streamer.infer.spec import Fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from streamer.infer.catalogue import Catalogue
    from streamer.infer.sidecar import Sidecar
    from streamer.infer.spec import InputSpec, ModelSpec, Scoring

_NOTHING = "-"
_WIDE = 200  # columns; the table takes what it needs, and a narrow terminal breaks its lines rather than cut names
_LEGEND = """
AP on COCO (0.5:0.95) or top-1 on ImageNet, in percent; [n] tells who says so.
sum: who confirms the checksum; A: its publisher, B: two projects or more.
"""
_KEY = 13  # characters of the longest key, and two


def list_models(out: TextIO, *, as_json: bool) -> int:
    """Print the catalogue, a line a model; return the exit code.

    Args:
        out: where it goes.
        as_json: one object a line instead of a table.
    """
    catalogue = open_catalogue()
    entries = [catalogue.entry(name) for name in catalogue.names()]
    entries.sort(key=lambda entry: (entry.sidecar.task != "detect", entry.name))
    if as_json:
        out.writelines(f"{json.dumps(_facts(entry, catalogue))}\n" for entry in entries)
        return 0
    sources = list(dict.fromkeys(s for entry in entries if (s := _score_source(entry.sidecar))))
    Console(file=out, highlight=False, width=_WIDE).print(_table(entries, catalogue, sources))
    out.write(_LEGEND)
    out.writelines(f"[{number}] {source}\n" for number, source in enumerate(sources, start=1))
    return 0


def show_model(model: str, out: TextIO) -> int:
    """Print everything that is known of a model; return the exit code.

    Args:
        model: a catalogue name, or the path of an `.onnx` file or a sidecar.
        out: where it goes.

    Raises:
        ConfigError: there is no such model.
        BackendError: an `.onnx` file can't be used; of one in the catalogue that is told in its place.
    """
    catalogue = open_catalogue()
    path = Path(model)
    lines: list[tuple[str, str]] = []
    if path.suffix.lower() != ".onnx":
        entry = entry_of(model, catalogue)
        lines += _said(entry, catalogue)
    lines += _recognised(model, catalogue)
    print_pairs(lines, out)
    return 0


def print_pairs(pairs: Iterable[tuple[str, str]], out: TextIO) -> None:
    """Print keys and values, one beside the other."""
    out.writelines(f"{f'{key}:':{_KEY}} {value}\n" for key, value in pairs)


def entry_of(model: str, catalogue: Catalogue) -> Entry:
    """Return the sidecar that a command names: by a catalogue name, or by its path.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    path = Path(model)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return Entry(name=path.stem, path=path, sidecar=load_sidecar(path))
    if path.suffix.lower() == ".onnx":
        raise ConfigError(f"model: {model} is a file of its own; `streamer models add {model}` makes it known")
    return catalogue.entry(model)


def megabytes(count: int | None) -> str:
    """Return a size for people."""
    return _NOTHING if count is None else f"{count / 1e6:.1f} MB"


def _table(entries: Sequence[Entry], catalogue: Catalogue, sources: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # a space between columns: 80 columns are few
    for title in ("name", "task"):
        table.add_column(title, no_wrap=True)
    for title in ("input", "AP, top-1"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for title in ("sum", "here"):
        table.add_column(title, no_wrap=True)
    for entry in entries:
        said = entry.sidecar
        here = _here(entry, catalogue)
        table.add_row(
            Text(entry.name),
            Text(said.task or _NOTHING),
            Text(_size(said)),
            Text(_score(said, sources)),
            Text(said.licence or _NOTHING),
            Text(megabytes(said.bytes)),
            Text(said.grade or _NOTHING),
            Text(here, style={"yes": "green", "wrong": "red"}.get(here, "")),
        )
    return table


def _here(entry: Entry, catalogue: Catalogue) -> str:
    """Tell whether weights are here; a checksum takes too long for a list, a size does not."""
    path = catalogue.find(entry)
    if path is None:
        return "no"
    return "yes" if entry.sidecar.bytes in (None, path.stat().st_size) else "wrong"


def _size(said: Sidecar) -> str:
    if isinstance(said.size, tuple):
        return f"{said.size[0]}x{said.size[1]}"
    return _NOTHING if said.size is None else str(said.size)


def _score(said: Sidecar, sources: Sequence[str]) -> str:
    score = said.ap if said.ap is not None else said.top1
    source = _score_source(said)
    mark = f" [{sources.index(source) + 1}]" if source is not None else ""
    return _NOTHING if score is None else f"{score:g}{mark}"


def _score_source(said: Sidecar) -> str | None:
    return said.ap_source if said.ap is not None else said.top1_source


def _facts(entry: Entry, catalogue: Catalogue) -> dict[str, Any]:
    said, path = entry.sidecar, catalogue.find(entry)
    keys = "task head size ap ap_source top1 top1_source licence bytes sha256 grade url source notes"
    facts = said.model_dump(include=set(keys.split()))
    here = _here(entry, catalogue)
    told = {key: facts[key] for key in keys.split()}
    return {"name": entry.name, **told, "here": here == "yes", "path": str(path) if path else None}


def _said(entry: Entry, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return what the sidecar says, key by key, and where the weights lie."""
    said = entry.sidecar.model_dump(exclude_none=True, exclude={"mirrors", "measured"})
    if "size" in said:
        said["size"] = _size(entry.sidecar)
    lines = [("name", entry.name), *((key, _text(value)) for key, value in said.items())]
    lines += [("mirror", address) for address in entry.sidecar.mirrors or ()]
    lines += [("measured", f"{what}: {_text(value)}") for what, value in (entry.sidecar.measured or {}).items()]
    lines.append(("sidecar", str(entry.path)))
    return [*lines, ("here", _where(entry, catalogue))]


def _where(entry: Entry, catalogue: Catalogue) -> str:
    path, sha256 = catalogue.find(entry), entry.sidecar.sha256
    if path is None:
        return f"no; `streamer models pull {catalogue.called(entry)}` fetches it"
    if sha256 is None:
        return f"{path}; its checksum is not known"
    right = is_right(path, sha256)
    return f"{path}; its checksum is {'right' if right else 'WRONG: it is not used'}"


def _recognised(model: str, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return how the model would be used, or why it can't be, if its file is here."""
    try:
        spec = load_spec(model, catalogue=catalogue, task=None)
    except MissingWeightsError:
        return []  # that is said already
    except BackendError as exc:
        if model.endswith(".onnx"):
            raise
        return [("use", str(exc))]
    known = catalogue.with_digest(spec.digest.removeprefix("sha256:"))
    lines = []
    if model.endswith(".onnx"):
        lines += [("file", str(spec.path)), ("sha256", spec.digest.removeprefix("sha256:"))]
    if known is not None and known.name != spec.name:
        lines.append(("catalogue", f"these are the bytes of {known.name}"))
    return [*lines, *described(spec)]


def described(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return how a model is used, for people: keys and values."""
    seen = spec.input
    height, width = seen.hw
    lines = [
        ("use", f"{spec.head if spec.scoring else f'head {spec.head}'}, decided by {spec.decided_by}"),
        *_scores(spec),
        ("classes", f"{len(spec.labels)}: {_shortened(spec.labels)}"),
        ("sees", f"{width}x{height} px, {seen.color.value}, {_fitted(seen)}"),
        ("input", f"{seen.name}, {seen.layout} {seen.dtype}"),
        ("values", f"(pixel * {_fraction(seen.scale)} - {_each(seen.mean)}) / {_each(seen.std)}"),
        ("batch", f"up to {seen.max_batch}"),
        ("outputs", ", ".join(spec.output_names)),
    ]
    if spec.ids is not None and counts_otherwise(spec):
        after = [key for key, _ in lines].index("classes") + 1
        lines.insert(
            after, ("ids", f"the network counts its classes otherwise: {_shortened([str(i) for i in spec.ids])}")
        )
    return lines


def counts_otherwise(spec: ModelSpec) -> bool:
    """Whether the network's own ids of its classes are not those of the list of their names."""
    return spec.ids is not None and spec.ids != tuple(range(len(spec.labels)))


def _fitted(seen: InputSpec) -> str:
    if seen.resize is not None:
        sides = "the shorter side" if seen.fit is Fit.CROP else "each side"
        return f"{seen.fit.value}, out of {sides} at {seen.resize} px"
    return seen.fit.value if seen.fit in (Fit.CROP, Fit.STRETCH) else f"{seen.fit.value}, pad {seen.pad}"


def _scores(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return how a classifier's scores come about."""
    scoring = spec.scoring
    if scoring is None:
        return []
    lines = [("scores", f"activation {scoring.activation.value} ({scoring.reason})")]
    if scoring.multi_label:
        least = dict.fromkeys(scoring.thresholds)
        one = _fraction(scoring.thresholds[0])
        said = one if len(least) == 1 else _shortened([f"{name} {_fraction(t)}" for name, t in _named(spec, scoring)])
        lines.append(("threshold", f"{said}; each class is judged for itself"))
    return lines


def _named(spec: ModelSpec, scoring: Scoring) -> list[tuple[str, float]]:
    return list(zip(spec.labels, scoring.thresholds, strict=True))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return _fraction(value) if isinstance(value, float) else str(value)


def _shortened(words: Sequence[str], most: int = 12) -> str:
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")


def _fraction(value: float) -> str:
    return "1/255" if abs(value * 255 - 1) < 1e-9 else f"{value:g}"


def _each(values: Sequence[float]) -> str:
    """Return one number if all are the same."""
    return f"{values[0]:g}" if len(set(values)) == 1 else f"({', '.join(f'{value:g}' for value in values)})"
