"""Opening a GPU: once for all threads, and in one sentence what is missing where it can't be."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import BackendError
from streamer.cuda.driver import load_driver
from streamer.cuda.gpu import look_for_gpus
from streamer.cuda.open import has_gpu, install_line, open_gpu

if TYPE_CHECKING:
    from nvidia import FakeGpu


def no_library(*_: object) -> object:
    raise OSError("libcuda.so.1: cannot open shared object file")


def test_one_object_for_all_threads(fake_gpu: FakeGpu) -> None:
    opened: list[object] = []
    threads = [threading.Thread(target=lambda: opened.append(open_gpu(0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5.0)
    assert len(opened) == 8
    assert len(set(map(id, opened))) == 1
    assert fake_gpu.machine.contexts == {0: 1}, "retained once"


def test_those_who_wait_in_its_context_sleep(fake_gpu: FakeGpu) -> None:
    open_gpu()
    assert fake_gpu.machine.primary_flags == 4  # CU_CTX_SCHED_BLOCKING_SYNC


def test_a_missing_gpu_is_named(fake_gpu: FakeGpu) -> None:
    with pytest.raises(BackendError, match="GPU 3 is not there: this machine has 1, counted from 0"):
        open_gpu(3)
    fake_gpu.machine.devices.clear()
    assert not has_gpu()
    with pytest.raises(BackendError, match=r"GPU 0 can't be used: .*no CUDA-capable device is detected"):
        open_gpu()


def test_a_missing_driver_is_said(fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake_gpu
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert not has_gpu()
    assert look_for_gpus() == []
    with pytest.raises(BackendError, match=r"no NVIDIA driver is installed here \(libcuda.so.1 can't be loaded"):
        open_gpu()


def test_a_missing_pycuda_is_said_with_the_line_that_installs_it(
    fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_gpu
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(BackendError, match="pycuda can't be used here") as caught:
        open_gpu()
    assert install_line() in str(caught.value)
    assert has_gpu(), "the GPU is there all the same"


def test_a_driver_that_is_too_old_is_said(fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fake_gpu
    library = type("Old", (), {"cuInit": lambda *_: 0})()
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: library)
    with pytest.raises(BackendError, match="the NVIDIA driver is too old: it has no cuGraphLaunch"):
        load_driver().call("cuGraphLaunch")


def test_the_drivers_own_words_are_told(fake_gpu: FakeGpu) -> None:
    assert fake_gpu
    found = load_driver()
    assert found.text(2) == "out of memory"
    assert found.text(12345) == "CUresult 12345"
    with pytest.raises(BackendError, match="the GPU's driver failed: cuDeviceGet: invalid device ordinal"):
        found.call("cuDeviceGet", ctypes.byref(ctypes.c_int()), ctypes.c_int(9))


def test_the_line_fits_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert 'pip install "streamer[tensorrt]"' in install_line(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert 'pip install "streamer[tensorrt]"' in install_line(tmp_path), "an aarch64 server is no Jetson"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n")
    assert "nvidia-jetpack" in install_line(tmp_path)
    assert "pycuda" in install_line(tmp_path)


def test_nothing_of_a_vendors_is_imported_without_being_asked_for() -> None:
    words = (
        "import sys, streamer.cuda.open, streamer.cuda.gpu, streamer.cuda.graphs, streamer.cuda.compile\n"
        "streamer.cuda.open.has_gpu()\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('pycuda', 'tensorrt')])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", words], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_child_process_opens_the_fake_gpu(fake_gpu: FakeGpu) -> None:
    words = "from streamer.cuda.open import open_gpu, has_gpu; print(has_gpu(), open_gpu())"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=root, env=fake_gpu.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True GPU 0 (NVIDIA GeForce RTX 4090)\n"
    assert done.stderr == ""
