"""Whether there is memory enough is said before minutes are spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import BackendError
from streamer.cuda.gpu import GpuInfo
from streamer.infer.engine.room import check_room, free_host_bytes

if TYPE_CHECKING:
    from pathlib import Path

MB, GB = 10**6, 10**9


def gpu(*, integrated: bool = False) -> GpuInfo:
    return GpuInfo(
        index=1, name="RTX", compute_capability=(8, 9), multiprocessors=10, memory_bytes=8 * GB, cuda_version=(13, 0),
        integrated=integrated,
    )  # fmt: skip


def test_with_memory_enough_nothing_is_said() -> None:
    check_room(20 * MB, gpu(), 700 * MB, 2 * GB)
    check_room(20 * MB, gpu(), 700 * MB, None)


def test_a_full_gpu_is_named() -> None:
    with pytest.raises(
        BackendError, match=r"GPU 1 \(RTX\) has 0\.6 GB of memory free.* at least 0\.6 GB; end what else"
    ):
        check_room(20 * MB, gpu(), 600 * MB, 2 * GB)


def test_a_full_machine_is_named() -> None:
    with pytest.raises(BackendError, match=r"this machine has 1\.2 GB of memory free.* at least 1\.7 GB"):
        check_room(20 * MB, gpu(), 2 * GB, 1200 * MB)


def test_a_jetson_has_but_one_memory() -> None:
    check_room(20 * MB, gpu(integrated=True), 3 * GB, 3 * GB)
    with pytest.raises(BackendError, match=r"at least 2\.3 GB"):
        check_room(20 * MB, gpu(integrated=True), 2 * GB, 2 * GB)


def test_a_larger_model_needs_more() -> None:
    with pytest.raises(BackendError, match=r"at least 2\.5 GB"):
        check_room(500 * MB, gpu(), 2 * GB, 9 * GB)


@pytest.mark.parametrize(
    ("limit", "used", "free"), [(None, 0, 4096), ("max", 0, 4096), ("3000", 1000, 2000), ("3000", 4000, 0)]
)
def test_free_memory_is_what_kernel_and_container_leave(
    tmp_path: Path, limit: str | None, used: int, free: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:       4 kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
    assert free_host_bytes(tmp_path / "meminfo", tmp_path) == free


def test_where_nothing_tells_of_memory_nothing_is_known(tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path / "none", tmp_path) is None


def test_on_this_machine_it_can_be_told() -> None:
    free = free_host_bytes()
    assert free is None or free > MB
