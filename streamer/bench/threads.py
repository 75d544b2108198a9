"""What the threads of this process cost, by stage and camera: CPU times from the kernel, names from Python."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES = ("capture", "infer", "runtime", "events", "decide", "publish", "other")
# How the names of our threads begin, and whose work they do. A runtime's own threads have no name in Python.
_PREFIXES = (
    ("streamer-capture-", "capture"),
    ("streamer-infer-", "infer"),
    ("streamer-openvino", "runtime"),
    ("streamer-onnxruntime", "runtime"),
    ("streamer-tensorrt", "runtime"),
    ("streamer-events", "events"),
    ("streamer-decide", "decide"),
    ("streamer-publish", "publish"),
    ("streamer-mqtt", "publish"),
)
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """A look at all threads: what each has used since it began, CPU s, and the names that Python knows."""

    cpu_s: Mapping[int, float]  # native id -> CPU s; empty where the kernel does not tell
    names: Mapping[int, str]  # native id -> the thread's name
    process_s: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used between two looks, CPU s."""

    stages: Mapping[str, float] | None  # every stage of STAGES; None where the kernel does not tell
    cameras: Mapping[str, float]  # camera -> its capture thread
    process_s: float


def look(task: Path = Path("/proc/self/task")) -> ThreadTimes:
    """Read the times of all threads of this process."""
    names = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
    cpu_s: dict[int, float] = {}
    if task.is_dir():
        for entry in task.iterdir():
            spent_s = _cpu_s(entry)
            if spent_s is not None:
                cpu_s[int(entry.name)] = spent_s
    return ThreadTimes(cpu_s, names, time.process_time())


def spent(before: ThreadTimes, after: ThreadTimes) -> Spent:
    """Return what was used between two looks.

    A thread that has ended in between can't be asked any more: what it used is missing in its stage, and is in `other`.
    """
    process_s = after.process_s - before.process_s
    if not after.cpu_s:
        return Spent(None, {}, process_s)
    stages = dict.fromkeys(STAGES, 0.0)
    cameras: dict[str, float] = {}
    for native_id, cpu_s in after.cpu_s.items():
        used_s = cpu_s - before.cpu_s.get(native_id, 0.0)
        name = after.names.get(native_id)
        stages[stage_of(name)] += used_s
        if name is not None and name.startswith("streamer-capture-"):
            camera = name.removeprefix("streamer-capture-")
            cameras[camera] = cameras.get(camera, 0.0) + used_s
    stages["other"] += max(0.0, process_s - sum(stages.values()))
    return Spent(stages, cameras, process_s)


def stage_of(name: str | None) -> str:
    """Return the stage of a thread; without a name it is one of the runtime's own."""
    if name is None:
        return "runtime"
    return next((stage for prefix, stage in _PREFIXES if name.startswith(prefix)), "other")


def _cpu_s(entry: Path) -> float | None:
    """Return a thread's CPU time: in ns where the kernel counts so, else in ticks; None if it has just ended."""
    try:
        return int((entry / "schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        pass
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    except (OSError, ValueError, IndexError):
        return None
