"""Where a GPU is opened: one object for each in a process, whatever asks for it."""

from __future__ import annotations

import platform
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

from .driver import load_driver
from .gpu import look_for_gpus

if TYPE_CHECKING:
    from .gpu import Gpu

_opened: dict[int, Gpu] = {}
# Held while a GPU is opened: what two objects of one context have made, neither can free for the other.
_lock = threading.Lock()


def open_gpu(index: int = 0) -> Gpu:
    """Return the one shared object of a GPU. It is never closed: contexts of runtimes and decoders live in it.

    Raises:
        BackendError: the driver, pycuda or the GPU is missing; it says what to install.
    """
    with _lock:
        if index not in _opened:
            _opened[index] = _open(index)
        return _opened[index]


def has_gpu() -> bool:
    """Whether there is a driver that offers a GPU. Makes no context and needs no pycuda."""
    return bool(look_for_gpus())


def install_line(root: Path = Path("/")) -> str:
    """Return what installs TensorRT and pycuda on this machine."""
    jetson = root / "etc/nv_tegra_release"
    if platform.machine() == "aarch64" and jetson.is_file():
        # "# R36 (release), REVISION: 4.3 ...": 36 is JetPack 6 (TensorRT 10.3, CUDA 12.6), later ones JetPack 7.
        apt = "sudo apt-get install nvidia-jetpack build-essential python3-dev python3-pip"
        return f'{apt} && PATH=/usr/local/cuda/bin:$PATH pip install "pycuda>=2024.1" (TensorRT comes with JetPack)'
    return 'pip install "streamer[tensorrt]", with the bin folder of a CUDA toolkit on PATH: pycuda is compiled'


def _open(index: int) -> Gpu:
    load_driver()
    try:
        from .pycuda_gpu import open_pycuda  # noqa: PLC0415  only when chosen
    except ImportError as exc:
        raise BackendError(f"pycuda can't be used here ({exc}); to install it: {install_line()}") from exc
    return open_pycuda(index)


def forget() -> None:
    """Drop every opened GPU: for tests, whose GPU is gone with each."""
    _opened.clear()
