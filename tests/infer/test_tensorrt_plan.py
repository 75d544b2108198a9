"""How far a build is, from phases within phases."""

from __future__ import annotations

import json

from streamer.infer.backends.tensorrt.builder import Report
from streamer.infer.backends.tensorrt.plan import Shares


def test_a_step_of_the_phase_around_is_as_far_as_the_phase_is() -> None:
    told: list[tuple[float | None, str]] = []
    shares = Shares(lambda share, what: told.append((share, what)))
    shares.start("all", None, 4)
    shares.step("all", 0)
    shares.start("layers", "all", 2)
    shares.step("layers", 0)
    shares.start("tactic", "layers", 5)
    shares.step("tactic", 4)
    shares.finish("tactic")
    shares.step("layers", 1)
    shares.finish("layers")
    shares.step("all", 1)
    assert told == [
        (0.0, "all"),
        (0.25, "all"),
        (0.25, "layers"),
        (0.375, "layers"),
        (0.375, "tactic"),
        (0.5, "tactic"),
        (0.5, "layers"),
        (0.5, "all"),
    ]


def test_what_tensorrt_has_not_begun_or_counts_oddly_breaks_nothing() -> None:
    told: list[float | None] = []
    shares = Shares(lambda share, _what: told.append(share))
    shares.step("unknown", 3)
    shares.finish("unknown")
    shares.start("empty", "gone", 0)
    shares.step("empty", 7)
    assert told == [0.0, 1.0]


def test_progress_is_told_now_and_then_and_each_new_phase_at_once() -> None:
    lines: list[str] = []

    class Out:
        def write(self, line: str) -> None:
            lines.append(line)

        def flush(self) -> None:
            pass

    report = Report(Out())  # type: ignore[arg-type]
    for share in range(50):
        report.at("build", share / 50)
    report.at("inspect")
    report.note("slower")
    report.end({"done": {}})
    said = [json.loads(line) for line in lines]
    assert said[0] == {"progress": {"phase": "build", "share": 0.0, "detail": ""}}
    assert said[-3:] == [
        {"progress": {"phase": "inspect", "share": None, "detail": ""}},
        {"note": "slower"},
        {"done": {}},
    ]
    assert len(said) < 10
