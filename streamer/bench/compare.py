"""Two measurements side by side, and whether they may stand there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from streamer.core.errors import ConfigError

from .report import KIND, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .report import Report

_NOISE_CORES = 0.1  # a share of the machine that other programs may use before rates are in doubt


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, then and now."""

    name: str
    before: float
    now: float
    ratio: float | None  # now / before; None where there was nothing
    apart: bool | None  # whether the ranges of the rounds do not touch; None for figures without a range


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has become of each figure."""

    file: str
    differences: tuple[str, ...]  # why the two are no fair pair; empty: they are
    notes: tuple[str, ...]  # what else differs
    rows: tuple[Row, ...]

    @property
    def comparable(self) -> bool:
        """Whether both measured the same thing on the same machine."""
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """Return it under its documented keys."""
        return {"comparable": self.comparable, **asdict(self)}


def load_report(path: Path) -> Report:
    """Read what `streamer bench --json` has printed.

    Raises:
        ConfigError: it is something else.
    """
    try:
        report = json.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigError(f"bench: --compare {path}: can't be read: {exc.strerror}") from exc
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict) or report.get("kind") != KIND:
        raise ConfigError(f"bench: --compare {path}: no result of `streamer bench --json`")
    if report.get("schema") != SCHEMA:
        raise ConfigError(f"bench: --compare {path}: made by another version of Streamer; its keys are not known here")
    compare(report, report, file=str(path))  # what is missing in it is said before anything is measured
    return report


def compare(before: Report, now: Report, *, file: str) -> Comparison:
    """Put two reports side by side.

    Args:
        before: the earlier one.
        now: this one.
        file: where the earlier one is from, for people.

    Raises:
        ConfigError: a figure is missing in the earlier one.
    """
    try:
        return Comparison(file, tuple(_differences(before, now)), tuple(_notes(before, now)), tuple(_rows(before, now)))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ConfigError(f"bench: --compare {file}: not a whole result of `streamer bench --json` ({exc})") from exc


def _differences(before: Report, now: Report) -> Iterator[str]:
    for key in ("cpu", "cores"):
        if before["machine"][key] != now["machine"][key]:
            yield f"another machine: {key} {before['machine'][key]}, now {now['machine'][key]}"
    then, here = (report["machine"].get("gpus", []) for report in (before, now))  # earlier versions knew none
    if then != here:
        yield f"another machine: GPUs {', '.join(then) or 'none'}, now {', '.join(here) or 'none'}"
    for key in sorted({*before["source"], *now["source"]}):
        then, here = before["source"].get(key), now["source"].get(key)
        if then != here:
            yield f"another source: {key} {_shown(then)}, now {_shown(here)}"
    if before["models"].keys() != now["models"].keys():
        yield f"other models: {', '.join(before['models'])}, now {', '.join(now['models'])}"
        return
    for name, model in now["models"].items():
        for key in ("name", "digest", "backend", "precision", "latency"):
            if before["models"][name][key] != model[key]:
                yield f"model {name}: {key} {_shown(before['models'][name][key])}, now {_shown(model[key])}"


def _notes(before: Report, now: Report) -> Iterator[str]:
    for key in sorted({*before["versions"], *now["versions"]}):
        then, here = before["versions"].get(key, "none"), now["versions"].get(key, "none")
        if then != here:
            yield f"{key} {then}, now {here}"
    for key in ("seconds", "publish"):
        if before["options"][key] != now["options"][key]:
            yield f"{key}: {_shown(before['options'][key])}, now {_shown(now['options'][key])}"
    for words, report in (("then", before), ("now", now)):
        foreign, cores = report["cores_used_by"]["foreign"], report["machine"]["cores"]
        if foreign is not None and foreign > _NOISE_CORES * cores:
            yield f"{words}, other programs used {foreign:.2f} of {cores} cores"


def _rows(before: Report, now: Report) -> Iterator[Row]:
    then, here = dict(_figures(before)), dict(_figures(now))
    for name, figure in here.items():
        if name in then:
            yield _row(name, then[name], figure)


def _figures(report: Report) -> Iterator[tuple[str, dict[str, float] | float | None]]:
    pipeline, limits, shares = report["pipeline"], report["limits"], report["share_of_limit"]
    yield "pipeline, frames inferred/s", pipeline["inferred_per_s"]
    yield "pipeline, frames decoded/s", pipeline["decoded_per_s"]
    if classified := pipeline.get("classified_per_s"):  # earlier versions knew none
        yield "pipeline, pictures classified/s", classified
    yield "pipeline, CPU ms/frame", pipeline["cpu_ms_per_frame"]
    for kind, of in (("inference", "inference"), ("decoding", "decoding")):
        for name, limit in limits[kind].items():
            yield f"{of} alone, {name}, frames/s", limit["per_s"]
        for name, share in shares[kind].items():
            yield f"pipeline / {of} alone, {name}", share
    for name, engine in report.get("engines", {}).items():  # earlier versions knew none
        yield f"engine {name}, ms for a batch of {engine['batch']}", engine["batch_ms"]
        yield f"engine {name}, busy", engine["busy"]
    for which in ("published", "result"):
        for key in ("p50", "p95", "p99"):
            yield f"age when {which}, {key}, ms", report["age_ms"][which] and report["age_ms"][which][key]
    yield "memory at most, MiB", report["memory_mib"]["peak"]
    yield "frames dropped", sum(report["drops"].values())


def _row(name: str, then: dict[str, float] | float | None, here: dict[str, float] | float | None) -> Row:
    """Compare two figures, each a number or a median with its range."""
    apart = None
    if isinstance(then, dict) and isinstance(here, dict):
        apart = here["min"] > then["max"] or here["max"] < then["min"]
    before, now = (_plain(figure) for figure in (then, here))
    return Row(name, before, now, now / before if before else None, apart)


def _plain(figure: dict[str, float] | float | None) -> float:
    if figure is None:
        return 0.0
    return float(figure["median"] if isinstance(figure, dict) else figure)


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}..."
