"""The program that measures a GPU: what of it needs none, and that all of it runs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers.clip import write_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvidia import FakeGpu

PROGRAM = Path(__file__).resolve().parents[1] / "measure" / "gpu.py"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    yield importlib.import_module("gpu")
    for name in ("gpu", "nvdec"):
        sys.modules.pop(name, None)


def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROGRAM.parents[2]), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environ, capture_output=True, text=True, timeout=9, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("no GPU to measure: ")
    assert done.stderr.count("\n") == 1


def test_time_is_taken_over_as_many_as_take_long_enough(program: Any) -> None:  # noqa: ANN401  a module
    now = [0.0]
    queued: list[int] = []

    def wait() -> None:
        now[0] += 0.5 + 0.25 * len(queued)  # a wait costs 0.5 s itself
        queued.clear()

    each_s = program.seconds_each(lambda: queued.append(1), wait, at_least_s=100.0, clock=lambda: now[0])
    assert each_s == pytest.approx(0.25, rel=0.01)


def test_bytes_are_counted_once(program: Any) -> None:  # noqa: ANN401  a module
    first, half, *_ = program.cases(2)
    assert first.moved_bytes == 2 * (1920 * 1080 * 3 // 2 + 640 * 640 * 3 * 4)
    assert first.moved_bytes - half.moved_bytes == 2 * 640 * 640 * 3 * 2
    odd = program.Case("odd", "p010", (5, 7), program.YOLO, 1)
    assert odd.plane_bytes == (2 * 5 * 7, 2 * 2 * 3 * 4)


def test_it_runs_from_end_to_end(
    fake_gpu: FakeGpu,
    program: Any,  # noqa: ANN401  a module
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    small = program.replace(program.YOLO, hw=(16, 16))
    cases = [program.Case("small", "nv12", (12, 20), small, 2), program.Case("p010", "p010", (9, 7), small, 2)]
    monkeypatch.setattr(program, "cases", lambda _pictures: cases)
    clip = tmp_path / "clip.mp4"
    write_recording(clip, frames=3)
    few = ["--rounds", "2", "--seconds", "0", "--batch", "2", "--copied", str(1 << 20), "--clip", str(clip)]
    assert program.main(few) == 0
    told = capsys.readouterr().out
    for line in (
        r"sm_\d+, \d+ SM, the driver's CUDA is \d+\.\d+",
        r"copy: \S+ GB/s",
        r"draw, p010, batch 2: \S+ GB/s \(.+\), \S+ \(.+\) of the copy rate, \S+ us",
        r"pick, 84x8400 of 2: \S+ us",
        r"plain: \S+ us .+, graph: \S+ us .+; plain / graph: ",
        r"decode",
    ):
        assert re.search(line, told), told
    assert fake_gpu.machine.launches.count("draw") >= 4


def test_pictures_of_all_threads_are_counted(program: Any, tmp_path: Path) -> None:  # noqa: ANN401  a module
    clip = tmp_path / "clip.mp4"
    write_recording(clip, frames=5)
    nvdec = sys.modules["nvdec"]
    assert nvdec.decoded(clip, None) == 5
    assert nvdec.pictures_a_second(clip, None, streams=3, at_least_s=0.0) > 0
    assert program.measure_decoding is nvdec.measure_decoding
