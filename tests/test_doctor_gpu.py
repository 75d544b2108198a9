"""What the doctor says of a GPU: over made roots, and over the fakes in the processes that it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer import doctor_gpu
from streamer.doctor_gpu import Kind, builder, decoder, gpu, jetpack, nvidia_of, nvrtc, pycuda, tensorrt
from streamer.findings import State, ask

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

JETPACK_6 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
JETPACK_7 = "# R38 (release), REVISION: 2.1, GCID: 42061081\n"
JETPACK_5 = "# R35 (release), REVISION: 4.1, GCID: 33958178\n"
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: gcc\n"
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"
DPKG = """\
Package: nvidia-jetpack
Status: install ok installed
Version: 6.2+b77

Package: tensorrt
Status: install ok installed
Architecture: arm64
Version: 10.3.0.30-1+cuda12.5

Package: gone
Status: deinstall ok config-files
Version: 1.0
"""


def root_of(folder: Path, **files: str) -> Path:
    paths = {"tegra": "etc/nv_tegra_release", "driver": "proc/driver/nvidia/version", "dpkg": "var/lib/dpkg/status"}
    for name, text in files.items():
        path = folder / paths.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture
def children_see_the_gpu(fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    monkeypatch.setenv("PYTHONPATH", fake_gpu.environ["PYTHONPATH"])
    return fake_gpu


@pytest.mark.parametrize(
    ("files", "kind", "said"),
    [
        ({}, Kind.NONE, ""),
        ({"dev/nvidia0": ""}, Kind.PC, ""),
        ({"usr/lib/wsl/lib/libcuda.so.1": ""}, Kind.PC, ""),
        ({"driver": DRIVER}, Kind.PC, "550.54.14"),
        ({"driver": OPEN_DRIVER}, Kind.PC, "580.65.06"),
        ({"tegra": JETPACK_6}, Kind.JETPACK_6, "36.4.3"),
        ({"tegra": JETPACK_7}, Kind.JETPACK_7, "38.2.1"),
        ({"tegra": JETPACK_7.replace("R38", "R41")}, Kind.JETPACK_7, "41.2.1"),
        ({"tegra": JETPACK_5}, Kind.OLD_JETSON, "35.4.1"),
        ({"tegra": "nothing that is known\n"}, Kind.OLD_JETSON, "unknown"),
    ],
)
def test_the_kind_of_machine_is_told_by_its_files(tmp_path: Path, files: dict[str, str], kind: Kind, said: str) -> None:
    machine = nvidia_of(root_of(tmp_path, **files))
    assert machine.kind is kind
    assert said in (machine.driver, machine.release)


def test_without_a_gpu_nothing_is_missing(tmp_path: Path) -> None:
    for probe in (gpu, tensorrt, pycuda, builder, nvrtc, decoder):
        found = probe(tmp_path)
        assert found.state is not State.MISSING, found
    assert "models run on the CPU" in gpu(tmp_path).found
    assert jetpack(tmp_path) is None


def test_a_gpu_that_the_driver_does_not_offer_is_told_with_what_to_do(tmp_path: Path) -> None:
    found = gpu(root_of(tmp_path, driver=DRIVER))
    if found.state is State.OK:
        pytest.skip("needs a machine without a GPU")
    assert found.state is State.MISSING
    assert "driver 550.54.14" in found.found
    assert found.get == "sudo ubuntu-drivers install"
    assert "--gpus all" in found.purpose


@pytest.mark.timeout(30)
def test_a_gpu_is_told_with_its_driver_and_cuda(tmp_path: Path, children_see_the_gpu: FakeGpu) -> None:
    assert children_see_the_gpu.machine.devices
    root = root_of(tmp_path, driver=OPEN_DRIVER)
    found = gpu(root)
    assert found.state is State.OK
    assert found.found == ("NVIDIA GeForce RTX 4090 (8.9, 128 multiprocessors, 24.0 GiB); driver 580.65.06, CUDA 13.0")
    assert tensorrt(root).state is State.OK
    assert tensorrt(root).found.startswith("11.")
    assert pycuda(root).found.endswith("1 GPUs")
    assert nvrtc(root).found.startswith("compiles Streamer's kernels for NVIDIA GeForce RTX 4090 (")


def test_jetpack_is_told_from_the_packages(tmp_path: Path) -> None:
    found = jetpack(root_of(tmp_path, tegra=JETPACK_6, dpkg=DPKG))
    assert found is not None
    assert found.state is State.OK
    assert found.found == ("Jetson Linux 36.4.3 (JetPack 6), nvidia-jetpack 6.2+b77, TensorRT 10.3.0.30-1+cuda12.5")


def test_a_jetson_without_jetpack_s_packages_and_one_that_is_too_old(tmp_path: Path) -> None:
    found = jetpack(root_of(tmp_path, tegra=JETPACK_7))
    assert found is not None
    assert (found.state, found.get) == (State.MISSING, "sudo apt-get install nvidia-jetpack")
    found = jetpack(root_of(tmp_path, tegra=JETPACK_5, dpkg=DPKG))
    assert found is not None
    assert found.state is State.MISSING
    assert "JetPack 6.2" in found.purpose
    assert tensorrt(tmp_path).state is State.NOTE  # what it can't have is not asked for


@pytest.mark.parametrize(
    ("kind", "cuda", "tensorrt_line", "pycuda_line", "nvrtc_line"),
    [
        (DRIVER, (12, 4), "'tensorrt-cu12", "'pycuda", "nvidia-cuda-nvrtc-cu12"),
        (OPEN_DRIVER, (13, 0), "install 'tensorrt", "'pycuda", "nvidia-cuda-nvrtc"),
        (JETPACK_6, (12, 6), "apt-get install tensorrt python3-libnvinfer", "'pycuda", "nvidia-jetpack"),
        (JETPACK_7, (13, 0), "--system-site-packages", "build-essential", "apt-get install nvidia-jetpack"),
    ],
)
def test_each_missing_piece_has_the_line_for_its_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    cuda: tuple[int, int],
    tensorrt_line: str,
    pycuda_line: str,
    nvrtc_line: str,
) -> None:
    root = root_of(tmp_path, **{"driver" if "NVRM" in kind else "tegra": kind})
    monkeypatch.setattr(
        doctor_gpu, "ask", lambda code: (list(cuda), "") if "cuda_version for" in code else (None, "no")
    )
    for probe, line in ((tensorrt, tensorrt_line), (pycuda, pycuda_line), (nvrtc, nvrtc_line)):
        found = probe(root)
        assert found.state is State.MISSING
        assert found.purpose
        assert line in found.get
    assert "PATH=/usr/local/cuda/bin:$PATH" in pycuda(root).get
    assert nvrtc(root).get.endswith(nvrtc_line)


@pytest.mark.parametrize(("said", "state"), [("10.3.0", State.OK), ("11.4.0.106", State.OK), ("8.6.1", State.MISSING),
                                             ("12.0.0", State.MISSING), ("10.0.1", State.MISSING)])  # fmt: skip
def test_a_tensorrt_that_is_too_old_or_too_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, state: State
) -> None:
    monkeypatch.setattr(doctor_gpu, "ask", lambda _: (said, ""))
    found = tensorrt(root_of(tmp_path, tegra=JETPACK_6))
    assert found.state is state
    assert found.found.startswith(said)


def test_a_driver_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"name": "T4", "compute_capability": [7, 5], "multiprocessors": 40, "memory_bytes": 16 << 30,
             "cuda_version": [11, 4], "integrated": False}  # fmt: skip
    monkeypatch.setattr(doctor_gpu, "ask", lambda _: ([facts], ""))
    found = gpu(root_of(tmp_path, driver=DRIVER))
    assert found.state is State.MISSING
    assert "too old" in found.purpose


@pytest.mark.parametrize(
    ("answer", "state", "get"),
    [
        (([["h264", "hevc"], ""], ""), State.OK, ""),
        (([["h264"], "libnvcuvid.so.1: cannot open shared object file"], ""), State.MISSING, "libnvidia-decode-550"),
        (([[], ""], ""), State.MISSING, "'av"),
        (([[], "PyAV 17.1.0 does not tell how a GPU's pictures lie"], ""), State.MISSING, "'av"),
        ((None, "not installed"), State.MISSING, "'av"),  # PyAV itself
    ],
)
def test_nvdec_through_pyav(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[object, str], state: State, get: str
) -> None:
    monkeypatch.setattr(doctor_gpu, "ask", lambda _: answer)
    found = decoder(root_of(tmp_path, driver=DRIVER))
    assert found.state is state
    assert get in found.get


def test_an_old_pyav_is_named() -> None:
    old = "import av\nif hasattr(av.VideoFrame, 'sw_format'): del av.VideoFrame.sw_format\n"
    found, error = ask(old + doctor_gpu.NVDEC_PROBE)
    assert error == ""
    assert found[0] == []
    assert "does not tell how" in found[1]


def test_pyav_is_asked_in_words_that_it_knows() -> None:
    """The probe itself, on this machine: it answers with lists, with a GPU or without."""
    found, error = ask(doctor_gpu.NVDEC_PROBE)
    assert error == ""
    codecs, missing = found
    assert isinstance(codecs, list)
    assert isinstance(missing, str)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((["nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"], ""), State.OK),
        (([], ""), State.MISSING),
        ((None, "not installed"), State.MISSING),
    ],
)
def test_a_jetson_decodes_by_gstreamer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[object, str], state: State
) -> None:
    monkeypatch.setattr(doctor_gpu, "ask", lambda _: answer)
    found = decoder(root_of(tmp_path, tegra=JETPACK_6))
    assert found.state is state
    assert ("nvidia-l4t-gstreamer" in found.get) is (state is State.MISSING)
