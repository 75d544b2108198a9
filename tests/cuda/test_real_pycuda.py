"""What the fake can't prove: that our calls are pycuda's own, in number, type and order; that it frees what we drop.

The real pycuda, where it is installed, over a driver of our own in C (`stub/libcuda.c`): no GPU, no NVIDIA driver.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nvidia import FakeGpu

STUB = Path(__file__).parent / "stub"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def stubbed_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds a libcuda.so.1 of our own."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc (a driver's stub)")
    folder = tmp_path_factory.mktemp("driver")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    command = [compiler, *flags, str(STUB / "libcuda.c"), "-o", str(folder / "libcuda.so.1"), "-lpthread"]
    subprocess.run(command, check=True, timeout=30)
    return folder


def names_of_the_fake() -> dict[str, list[str]]:
    """Every public name of the fake's `pycuda.driver`, with the public members of its classes."""
    from pycuda import driver  # noqa: PLC0415  the fake, there only while the fixture is

    found = {}
    for name in driver.__all__:
        value: Any = getattr(driver, name)
        own = vars(value) if inspect.isclass(value) else {}
        found[name] = [m for m in own if not m.startswith("_") and not m.endswith("_")]
    return found


def test_the_fake_offers_only_what_is_written_down(fake_gpu: FakeGpu) -> None:
    """The names, each read in the source of pycuda 2026.1 (src/wrapper/wrap_cudadrv.cpp, pycuda/driver.py)."""
    assert fake_gpu
    errors = "Error LaunchError LogicError MemoryError RuntimeError"
    copies = "memcpy_dtod_async memcpy_dtoh memcpy_dtoh_async memcpy_htod memcpy_htod_async"
    others = "get_driver_version init mem_alloc mem_get_info module_from_buffer pagelocked_empty"
    derived = "DeviceAllocation Function PagelockedHostAllocation"  # `free` comes from what they are derived from
    expected: dict[str, str] = {
        **dict.fromkeys(f"{errors} {copies} {others} {derived}".split(), ""),
        "Context": "handle push pop get_current get_device synchronize",
        "Device": "count name compute_capability total_memory get_attribute retain_primary_context",
        "Event": "record query synchronize time_since",
        "Memcpy2D": "dst_pitch dst_x_in_bytes dst_y height src_pitch src_x_in_bytes src_y width_in_bytes "
        "set_src_host set_src_device set_dst_host set_dst_device",
        "Module": "get_function",
        "Stream": "handle synchronize is_done wait_for_event",
        "device_attribute": "MULTIPROCESSOR_COUNT INTEGRATED COMPUTE_CAPABILITY_MAJOR COMPUTE_CAPABILITY_MINOR",
        "event_flags": "DEFAULT BLOCKING_SYNC DISABLE_TIMING INTERPROCESS",
        "host_alloc_flags": "PORTABLE DEVICEMAP WRITECOMBINED",
    }
    found = {name: sorted(members) for name, members in names_of_the_fake().items()}
    assert found == {name: sorted(members.split()) for name, members in expected.items()}


@pytest.mark.timeout(60)
def test_the_gpu_room_works_over_the_real_pycuda(stubbed_driver: Path, fake_gpu: FakeGpu) -> None:
    names = names_of_the_fake()
    real = [p for p in sys.path if Path(p).name != "fakes"]
    if not any(importlib.machinery.PathFinder.find_spec("pycuda", [p]) for p in real):
        pytest.skip("needs pycuda")
    assert fake_gpu
    path = os.pathsep.join([str(ROOT), *(p for p in real if p and p != str(ROOT / "tests"))])
    environ = {**os.environ, "PYTHONPATH": path, "LD_LIBRARY_PATH": str(stubbed_driver)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(STUB / "on_real_pycuda.py")],
        env={**environ, "FAKE_NAMES": json.dumps(names)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "well\n", ""), done.stderr
