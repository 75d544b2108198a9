"""The kernels' text: what it may hold, who compiles it, and that the shim for the host computes as CUDA does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from host_kernels import KERNELS, host_library, kernel_names

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES = sorted(KERNELS.glob("*.cu"))
ALL = "\n".join(source.read_text("utf-8") for source in SOURCES)
BARE = re.sub(r"//[^\n]*", "", ALL)  # without comments
GPUS = (75, 87, 89, 90, 120)  # Turing, Orin, Ada, Hopper, Blackwell


def test_kernels_are_those_that_the_code_launches() -> None:
    room = KERNELS.parent
    launched = {name for f in ("draw.py", "pick.py") for name in re.findall(r'"(\w+)"', (room / f).read_text("utf-8"))}
    assert {"draw", "pick_mark", "pick_count", "pick_gather"} == set(kernel_names(ALL)) <= launched


def test_no_thread_waits_for_another_and_nothing_is_included() -> None:
    assert not re.findall(r"#\s*include|__shared__|__sync\w+|atomic\w+|__shfl\w*|__ballot\w*", BARE)


def _unit(folder: Path) -> Path:
    unit = folder / "kernels.cu"
    unit.write_text("".join(f'#include "{source}"\n' for source in SOURCES))
    return unit


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_nvcc_compiles_for_every_gpu_without_a_warning_or_a_spill(tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc (CUDA toolkit)")
    told = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, timeout=20, check=True).stdout
    known = [gpu for gpu in GPUS if f"sm_{gpu}" in told.split()]
    assert len(known) >= 3, told
    strict = ["-Werror", "all-warnings", "-Xptxas", "--warn-on-spills,--warn-on-local-memory-usage"]
    each = [f"-gencode=arch=compute_{gpu},code=sm_{gpu}" for gpu in known]
    command = [
        nvcc,
        "-std=c++14",
        *strict,
        *each,
        "-fatbin",
        str(_unit(tmp_path)),
        "-o",
        str(tmp_path / "kernels.fatbin"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kernels.fatbin").stat().st_size > 1000


def _halves(gains: Sequence[np.float32], levels: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> list[np.float32 | int]:
    """Return the bits that `draw` writes for level * gain, three gains, one row of pixels each level."""
    library = host_library()
    canvas = np.repeat(levels[None, :, None], 3, axis=2).copy()
    job = np.zeros(30, np.int32)  # of DrawJob, 120 bytes
    job[:2].view(np.uint64)[0] = canvas.ctypes.data
    job[4], job[6:8], job[8:10], job[12] = canvas.strides[0], (1, len(levels)), (1, len(levels)), 2
    job[14:16].view(np.float32)[:] = 1.0
    out = np.zeros((3, len(levels)), np.uint16)
    tail = [np.int32(n) for n in (1, len(levels), 0, 1, 0)]
    floats = [np.float32(0), *gains, *(np.float32(0),) * 3]
    library.launch(
        "draw",
        (-(-len(levels) // 32), 1, 1),
        (32, 1, 1),
        [np.uintp(job.ctypes.data), np.uintp(out.ctypes.data), *tail, *floats],
    )
    bits: list[np.float32 | int] = out.ravel().tolist()
    return bits


def test_halves_are_rounded_as_numpy_rounds_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.arange(256, dtype=np.uint8)
    ties = [np.float32(2.0**e * (1 + k / 2048)) for e in (-26, -25, -24, -15, -14, 0, 7, 8) for k in (0, 1, 3)]
    wild = rng.uniform(-1, 1, 300).astype(np.float32) * np.exp2(rng.uniform(-34, 12, 300)).astype(np.float32)
    ends = [np.float32(65504 / 255), np.float32(65520 / 255), np.float32(np.inf), np.float32(np.nan), np.float32(-0.0)]
    gains = [*ties, *wild, *ends, np.float32(1)]
    assert len(gains) % 3 == 0
    for start in range(0, len(gains), 3):
        three = gains[start : start + 3]
        with np.errstate(over="ignore", invalid="ignore"):
            wide = levels.astype(np.float32)[None] * np.array(three, np.float32)[:, None] + np.float32(0)
            expected = wide.astype(np.float16)
        found = np.array(_halves(three, levels), np.uint16).view(np.float16).reshape(3, 256)
        assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([np.uintp(1)] * 2, "expected the parameters ppiii"),
        ([np.uintp(1), np.uintp(1), np.int32(1), np.int32(1), np.float32(1)], "float32"),
        ([np.uintp(1), np.uintp(1), np.int32(1), np.int32(1), np.int64(1)], "int64"),
        ([np.uintp(1), np.uint32(1), np.int32(1), np.int32(1), np.int32(1)], "uint32"),
    ],
)
def test_arguments_that_a_kernel_does_not_take_are_refused(arguments: list[np.generic], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        host_library().launch("pick_count", (1, 1, 1), (1, 1, 1), arguments)


def test_a_grid_or_block_that_no_gpu_takes_and_an_unknown_kernel_are_refused() -> None:
    arguments = [np.uintp(1), np.uintp(1), np.int32(0), np.int32(0), np.int32(0)]
    for grid, block in (((0, 1, 1), (1, 1, 1)), ((1, 65536, 1), (1, 1, 1)), ((1, 1, 1), (64, 32, 1))):
        with pytest.raises(ValueError, match=r"expected 1|more than 1024"):
            host_library().launch("pick_count", grid, block, arguments)
    with pytest.raises(KeyError, match="pick_most"):
        host_library().launch("pick_most", (1, 1, 1), (1, 1, 1), arguments)


def test_each_thread_knows_where_it_stands() -> None:
    passed, counts = np.zeros((2, 100), np.uint8), np.full((2, 7), -1, np.int32)
    passed[0, 14:20], passed[1, 99] = 1, 1
    numbers = [np.uintp(passed.ctypes.data), np.uintp(counts.ctypes.data), *(np.int32(n) for n in (100, 15, 7))]
    host_library().launch("pick_count", (2, 1, 2), (4, 1, 1), numbers)
    assert counts.tolist() == [[1, 5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]


def test_a_child_process_uses_the_library_of_its_parent() -> None:
    library = host_library()
    environ = {**os.environ, **library.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    program = "from host_kernels import host_library; print(host_library().path)"
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(library.path)
