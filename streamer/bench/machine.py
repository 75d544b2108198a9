"""The machine, its versions, and how busy it was: without these a figure means nothing."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from streamer import __version__
from streamer.cuda.gpu import look_for_gpus

_PACKAGES = {
    "av": "av",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "opencv": "opencv-python",
    "openvino": "openvino",
    "paho": "paho-mqtt",
    "pycuda": "pycuda",
    "tensorrt": "tensorrt",
}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def circumstances() -> dict[str, object]:
    """Return when, on what, and with what a measurement is made, as each report says it."""
    made_at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"made_at": made_at, "machine": machine(), "versions": versions()}


def machine() -> dict[str, object]:
    """Return what the machine is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "gpus": [gpu.name for gpu in look_for_gpus()],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []  # not Linux
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(found, "") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of everything that the figures depend on."""
    own = {"streamer": __version__, "python": platform.python_version()}
    return own | {name: _version(package) for name, package in _PACKAGES.items()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


@dataclass(frozen=True, slots=True)
class Load:
    """CPU s used so far: by this process, its children that have ended, the cameras' process, the whole machine."""

    at_s: float
    own_s: float
    children_s: float
    server_s: float
    machine_s: float | None  # None where the system does not tell


def load_now(server_pid: int | None) -> Load:
    """Look at the CPU times."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Load(
        time.monotonic(),
        time.process_time(),
        children.ru_utime + children.ru_stime,
        0.0 if server_pid is None else _process_s(server_pid),
        _machine_s(),
    )


def shares(before: Load, after: Load) -> dict[str, float | None]:
    """Return how many cores the bench itself, its cameras and everybody else used between two looks."""
    wall_s = max(1e-9, after.at_s - before.at_s)
    own_s, server_s = after.own_s - before.own_s, after.server_s - before.server_s
    foreign = None
    if before.machine_s is not None and after.machine_s is not None:
        ours_s = own_s + server_s + after.children_s - before.children_s
        foreign = max(0.0, (after.machine_s - before.machine_s - ours_s) / wall_s)
    return {"bench": own_s / wall_s, "cameras": server_s / wall_s, "foreign": foreign}


def _process_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _machine_s() -> float | None:
    """Return the busy time of all cores: all but idle and waiting for the disk."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(n) for n in first[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
