"""Whether a build can fit into this machine's memory: asked before it begins, because it takes minutes to fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from streamer.cuda.gpu import GpuInfo

# On the low side: they keep what can't work from beginning, and promise nothing. TensorRT's own library takes 0.4 to
# 0.5 GB of a GPU and 1.5 GB or more of the host, whatever the network; each weight is there several times while its
# layers are tried out.
_HOST_BYTES = 3 << 29
_GPU_BYTES = 1 << 29
_TIMES_MODEL = 4
_PROC, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def check_room(model_bytes: int, info: GpuInfo, gpu_free: int, host_free: int | None) -> None:
    """Check that host and GPU have the memory that a build takes at least; on a Jetson the two are one.

    Args:
        model_bytes: size of the model with its weights.
        info: of the GPU.
        gpu_free: bytes.
        host_free: bytes; None: it can't be told here.

    Raises:
        BackendError: one of them has too little.
    """
    weights = _TIMES_MODEL * model_bytes
    host, gpu = _HOST_BYTES + weights, _GPU_BYTES + weights
    if info.integrated:
        host = gpu = host + gpu
    if gpu_free < gpu:
        raise BackendError(_sentence(f"GPU {info.index} ({info.name})", gpu_free, gpu))
    if host_free is not None and host_free < host:
        raise BackendError(_sentence("this machine", host_free, host))


def free_host_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Return the memory that this process may still take, bytes; None: it can't be told here.

    Args:
        proc: the kernel's own account.
        cgroup: the folder of a container's limit.
    """
    try:
        lines = proc.read_text("ascii").splitlines()
    except OSError:
        return None
    free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    try:
        limit, used = (cgroup / "memory.max").read_text().strip(), (cgroup / "memory.current").read_text()
    except OSError:
        return free  # no limit of its own
    if limit == "max" or free is None:
        return free
    return min(free, max(0, int(limit) - int(used)))


def _sentence(where: str, free: int, need: int) -> str:
    return (
        f"{where} has {_gigabytes(free)} of memory free, and building this engine takes at least {_gigabytes(need)}; "
        "end what else runs there, and build it before `streamer run` starts"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
