"""A measurement for people: tables, bars, and what to distrust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from typing import TextIO

    from .compare import Comparison
    from .report import Report

_BAR = 40  # characters
_MOST_WIDTH = 120
_MOSTLY = 0.9  # of the results are published
_NOISY = 0.1  # share of the machine


def show(report: Report, comparison: Comparison | None, out: TextIO) -> None:
    """Print a report, and how it compares.

    Args:
        report: as `report.build` gives it.
        comparison: with an earlier one, if that was asked for.
        out: where to.
    """
    console = Console(file=out, width=None if out.isatty() else _MOST_WIDTH, highlight=False)
    for line in _head(report):
        console.print(Text(line))
    console.print(_rates(report))
    for line in _engines(report):
        console.print(Text(line))
    for line in _ages(report):
        console.print(Text(line))
    console.print(Text(_drops(report)))
    if report["stages"] is not None:
        console.print(_stages(report))
    console.print(_cameras(report))
    for line in _feet(report):
        console.print(Text(line))
    if comparison is not None:
        console.print()
        _compare(comparison, console)


def bars(histogram: list[dict[str, Any]]) -> list[str]:
    """Return one line for each bin from the first to the last that holds something."""
    used = [place for place, one in enumerate(histogram) if one["count"]]
    if not used:
        return []
    most = max(one["count"] for one in histogram)
    lines = []
    for place in range(used[0], used[-1] + 1):
        count, edge = histogram[place]["count"], histogram[place]["up_to_ms"]
        name = f"up to {edge} ms" if edge is not None else "older"
        filled = max(1, round(_BAR * count / most)) if count else 0
        lines.append(f"  {name:>14}  {'#' * filled:<{_BAR}} {count}")
    return lines


def _head(report: Report) -> list[str]:
    machine, options = report["machine"], report["options"]
    rounds = f"{report['rounds_done']} of {options['rounds']}" if report["rounds_done"] != options["rounds"] else None
    lines = [f"{_source(report['source'])}"]
    lines += [
        f"model {name}: {m['name']} on {m['backend']} {m['precision']}{', for latency' if m['latency'] else ''}"
        for name, m in report["models"].items()
    ]
    gpus = "".join(f", {gpu}" for gpu in machine["gpus"])
    lines.append(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB{gpus}")
    done = rounds or options["rounds"]
    lines.append(f"{done} round{'s' * (done != 1)} of {options['seconds']:g} s; medians [least - most]")
    return lines


def _source(source: dict[str, Any]) -> str:
    size = f"{source['width']}x{source['height']} at {source['fps']} frames a second" if "width" in source else ""
    if source["kind"] == "cameras":
        return f"{_cameras_of(source)} by RTSP over TCP, {size}"
    if source["kind"] == "config":
        return f"configuration {source['name']}, {_cameras_of(source)}"
    return f"file {source['name']}{', ' + size if size else ''}, every frame, as fast as possible"


def _cameras_of(source: dict[str, Any]) -> str:
    return f"{source['cameras']} camera{'s' * (source['cameras'] != 1)}"


def _rates(report: Report) -> Table:
    table = _table("", "frames/s", "CPU ms/frame", "pipeline / this")
    pipeline, limits, shares = report["pipeline"], report["limits"], report["share_of_limit"]
    table.add_row("pipeline, inferred", _range(pipeline["inferred_per_s"]), _range(pipeline["cpu_ms_per_frame"]), "")
    table.add_row("pipeline, decoded", _range(pipeline["decoded_per_s"]), "", "")
    if pipeline["classified_per_s"]["median"] and pipeline["classified_per_s"] != pipeline["inferred_per_s"]:
        table.add_row("pipeline, pictures classified", _range(pipeline["classified_per_s"]), "", "")
    for kind in ("inference", "decoding"):
        for name, limit in limits[kind].items():
            batch = f", {limit['batch']} at once" if limit.get("batch", 1) > 1 else ""
            row = f"{kind} alone, {name}{batch}"
            table.add_row(
                row, _range(limit["per_s"]), _range(limit["cpu_ms_per_frame"]), _range(shares[kind][name], ".3g")
            )
    return table


def _engines(report: Report) -> list[str]:
    """Return a line for each engine: its own time, and how much of the time the pipeline keeps it busy."""
    lines = []
    for name, engine in report["engines"].items():
        batch = f"a batch of {engine['batch']}" if engine["batch"] > 1 else "a picture"
        inside = f", {engine['pipeline_batch_ms']:.3g} ms in the pipeline" if engine["pipeline_batch_ms"] else ""
        busy = _range(engine["busy"], ".3g")
        lines.append(
            f"engine {name}: {_range(engine['batch_ms'], '.3g')} ms for {batch} by itself{inside}; busy {busy}"
        )
    return lines


def _ages(report: Report) -> list[str]:
    lines: list[str] = []
    for which, words in (("published", "capture to message received"), ("result", "capture to result")):
        found = report["age_ms"][which]
        if found is None:
            continue
        quantiles = ", ".join(f"{key} {found[key]:.0f}" for key in ("p50", "p95", "p99", "max"))
        lines.append(f"age, {words}: {quantiles} ms ({found['count']} frames)")
        lines += bars(found["histogram"])
        if which == "published" and found["count"] > _MOSTLY * report["age_ms"]["result"]["count"]:
            break  # the other is the same but for the way out
    return lines or ["age: none; a recording's frames have none"]


def _drops(report: Report) -> str:
    dropped = ", ".join(f"{n} {cause}" for cause, n in report["drops"].items() if n)
    if not dropped and report["source"]["kind"] == "cameras":
        return "frames not looked at: none; the cameras send no more, so the rate is theirs, not the pipeline's limit"
    return f"frames not looked at: {dropped or 'none'}"


def _stages(report: Report) -> Table:
    table = _table("stage", "CPU ms/inferred frame", "of a core")
    for name, stage in report["stages"].items():
        table.add_row(name, f"{stage['cpu_ms_per_frame']:.2f}", f"{stage['cores']:.3f}")
    return table


def _cameras(report: Report) -> Table:
    table = _table("camera", "size", "state", "decoded/s", "inferred/s", "CPU ms/decoded", "of a core", "age p50",
                   "dropped")  # fmt: skip
    for name, camera in report["cameras"].items():
        table.add_row(
            name,
            "x".join(map(str, camera["size"])) if camera["size"] else "",
            camera["state"],
            _number(camera["decoded_per_s"], ".1f"),
            _number(camera["inferred_per_s"], ".1f"),
            _number(camera["capture_cpu_ms_per_frame"], ".2f"),
            _number(camera["capture_cores"], ".3f"),
            _number(camera["age_p50_ms"], ".0f", " ms"),
            str(sum(camera["dropped"].values())),
        )
    return table


def _feet(report: Report) -> list[str]:
    memory, used, cores = report["memory_mib"], report["cores_used_by"], report["machine"]["cores"]
    said = [f"{_number(memory[key], '.0f')} {words}" for key, words in
            (("start", "MiB at the start"), ("peak", "at most"), ("end", "at the end"))]  # fmt: skip
    lines = [f"memory: {', '.join(said)}"]
    own = f"{_number(used['bench'], '.3f')} by the bench, {_number(used['cameras'], '.3f')} by its cameras"
    lines.append(f"cores used beside the pipeline: {own}, {_number(used['foreign'], '.2f')} by other programs")
    if used["foreign"] is not None and used["foreign"] > _NOISY * cores:
        lines.append(
            "! other programs were busy: rates and shares are in doubt, CPU ms/frame less so; measure again in quiet"
        )
    if wrong := [name for name, camera in report["cameras"].items() if camera["state"] != "online"]:
        lines.append(f"! no frame of {', '.join(wrong)} was inferred while it was measured")
    return lines


def _compare(comparison: Comparison, console: Console) -> None:
    console.print(Text(f"against {comparison.file}"))
    for difference in comparison.differences:
        console.print(Text(f"! not comparable: {difference}", style="red"))
    for note in comparison.notes:
        console.print(Text(f"  note: {note}"))
    table = _table("", "then", "now", "now / then", "")
    for row in comparison.rows:
        verdict = {None: "", True: "ranges apart", False: "within the spread"}[row.apart]
        ratio = _number(row.ratio, ".3f")
        table.add_row(row.name, f"{row.before:.4g}", f"{row.now:.4g}", ratio, verdict)
    console.print(table)


def _table(first: str, *titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _range(figure: dict[str, float] | None, spec: str = ".4g") -> str:
    if figure is None:
        return ""
    if figure["min"] == figure["max"]:
        return f"{figure['median']:{spec}}"
    return f"{figure['median']:{spec}} [{figure['min']:{spec}} - {figure['max']:{spec}}]"


def _number(value: float | None, spec: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{spec}}{unit}"
