"""The kernels are compiled where they run, by NVRTC or nvcc, for the GPU and the driver that are there."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streamer.core.errors import BackendError
from streamer.cuda import compile as compiling
from streamer.cuda.compile import kernel_image, kernel_source
from streamer.cuda.gpu import GpuInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvidia import FakeGpu

INFO = GpuInfo(
    index=0,
    name="a GPU",
    compute_capability=(8, 9),
    multiprocessors=128,
    memory_bytes=1 << 34,
    cuda_version=(13, 0),
    integrated=False,
)


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    compiling.forget()
    yield
    compiling.forget()


KNOWN = (75, 80, 86, 87, 89, 90)  # architectures, to NVRTC 12.6


class Nvrtc:
    """NVRTC as ctypes calls it, of any version, with a log of its options."""

    def __init__(self, version: tuple[int, int], refusal: str = "") -> None:
        self.version = version
        self.refusal = refusal
        self.options: list[str] = []
        self.programs = 0

    def nvrtcVersion(self, major: Any, minor: Any) -> int:  # noqa: N802, ANN401  NVRTC's name, ctypes' values
        major._obj.value, minor._obj.value = self.version
        return 0

    def nvrtcGetNumSupportedArchs(self, number: Any) -> int:  # noqa: N802, ANN401
        number._obj.value = len(KNOWN)
        return 0

    def nvrtcGetSupportedArchs(self, known: Any) -> int:  # noqa: N802, ANN401
        known[:] = KNOWN
        return 0

    def nvrtcCreateProgram(self, program: Any, source: bytes, *_: Any) -> int:  # noqa: N802, ANN401
        assert b"__global__" in source
        self.programs += 1
        program._obj.value = 77
        return 0

    def nvrtcCompileProgram(self, _program: Any, count: Any, options: Any) -> int:  # noqa: N802, ANN401
        self.options = [options[i].decode() for i in range(count.value)]
        return 6 if self.refusal else 0

    def nvrtcDestroyProgram(self, program: Any) -> int:  # noqa: N802, ANN401
        assert program._obj.value == 77
        self.programs -= 1
        return 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """nvrtcGetPTX and the like, each with its ...Size."""
        texts = {"PTX": b"ptx\0", "CUBIN": b"\x7fELF", "ProgramLog": self.refusal.encode() + b"\0"}
        text = texts[name.removeprefix("nvrtcGet").removesuffix("Size")]

        def size(_program: Any, nbytes: Any) -> int:  # noqa: ANN401
            nbytes._obj.value = len(text)
            return 0

        def get(_program: Any, target: Any) -> int:  # noqa: ANN401
            ctypes.memmove(target, text, len(text))
            return 0

        return size if name.endswith("Size") else get


def offer(monkeypatch: pytest.MonkeyPatch, libraries: dict[str, Any], nvcc: str | None = None) -> None:
    """Let these libraries be there, and nothing else that compiles."""

    def load(name: str) -> Any:  # noqa: ANN401
        if name not in libraries:
            raise OSError(name)
        return libraries[name]

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(compiling, "_bundled", list)
    monkeypatch.setattr(shutil, "which", lambda _: nvcc)


def test_ptx_where_the_driver_knows_the_compilers_version(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = Nvrtc((12, 6))
    offer(monkeypatch, {"libnvrtc.so.12": nvrtc})
    assert kernel_image(INFO) == b"ptx\0"
    assert nvrtc.options == ["--gpu-architecture=compute_89", "--std=c++14"]
    assert nvrtc.programs == 0, "destroyed again"


@pytest.mark.parametrize(
    ("capability", "architecture"), [((12, 0), "compute_90"), ((10, 3), "compute_90"), ((8, 8), "compute_87")]
)
def test_older_ptx_for_a_gpu_that_is_newer_than_the_compiler(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], architecture: str
) -> None:
    nvrtc = Nvrtc((12, 6))
    offer(monkeypatch, {"libnvrtc.so.12": nvrtc})
    assert kernel_image(replace(INFO, compute_capability=capability)) == b"ptx\0"
    assert nvrtc.options[0] == f"--gpu-architecture={architecture}"


def test_a_cubin_where_the_compiler_is_a_little_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = Nvrtc((12, 9))
    offer(monkeypatch, {"libnvrtc.so.12": nvrtc})
    assert kernel_image(replace(INFO, cuda_version=(12, 4))) == b"\x7fELF"
    assert nvrtc.options[0] == "--gpu-architecture=sm_89"


def test_the_next_one_where_the_newest_is_too_new_for_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, {"libnvrtc.so.13": Nvrtc((13, 0)), "libnvrtc.so.12": Nvrtc((12, 2))})
    assert kernel_image(replace(INFO, cuda_version=(12, 4))) == b"ptx\0"


def test_compiled_once_for_an_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc = Nvrtc((12, 6))
    offer(monkeypatch, {"libnvrtc.so.12": nvrtc})
    first = kernel_image(INFO)
    offer(monkeypatch, {})
    assert kernel_image(replace(INFO, index=1, name="its twin")) is first
    with pytest.raises(BackendError):
        kernel_image(replace(INFO, compute_capability=(7, 5)))


def test_a_refusal_shows_the_first_line_that_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    log = 'draw.cu(3): warning #1: odd\ndraw.cu(7): error: identifier "x" is undefined\n1 error detected'
    nvrtc = Nvrtc((12, 6), refusal=log)
    offer(monkeypatch, {"libnvrtc.so.12": nvrtc})
    with pytest.raises(BackendError) as caught:
        kernel_image(INFO)
    said = str(caught.value)
    assert said.startswith(
        "the GPU's kernels can't be compiled: NVRTC 12.6 (--gpu-architecture=compute_89): "
        'draw.cu(7): error: identifier "x" is undefined'
    )
    assert "\n" not in said
    assert nvrtc.programs == 0


def test_nothing_that_compiles_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, {})
    with pytest.raises(BackendError, match=r"neither NVRTC \(libnvrtc\) nor nvcc is here; .*pip install"):
        kernel_image(INFO)


def test_an_nvcc_that_fails_or_hangs_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, {}, nvcc="nvcc")

    def hang(*_: object, **__: object) -> Any:  # noqa: ANN401
        raise subprocess.TimeoutExpired("nvcc", 120)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(BackendError, match=r"nvcc: .*timed out after 120 seconds"):
        kernel_image(INFO)
    failed = subprocess.CompletedProcess([], 2, stdout="", stderr="kernels.cu(1): error: no\nmore")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(BackendError, match=r"nvcc: kernels\.cu\(1\): error: no;"):
        kernel_image(INFO)


def test_pips_own_libraries_are_found_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13", "cu13/lib/libnvrtc-builtins.so.13.0"):
        (tmp_path / "nvidia" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "nvidia" / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    ours = [f for f in compiling._bundled() if f.startswith(str(tmp_path))]  # others may be installed beside
    assert [f.rsplit("/", 1)[1] for f in ours] == ["libnvrtc.so.13", "libnvrtc.so.12"]


def test_the_text_is_one_unit_that_names_its_files() -> None:
    source = kernel_source()
    names = [line.split('"')[1] for line in source.splitlines() if line.startswith("#line 1 ")]
    assert names == sorted(names)
    assert "draw.cu" in names
    assert "#include" not in source, "NVRTC has no headers"


def test_the_fake_gpu_loads_what_nvrtc_gives(fake_gpu: FakeGpu) -> None:
    from streamer.cuda.open import open_gpu  # noqa: PLC0415  beside the fixture

    gpu = open_gpu()
    assert gpu.load(kernel_image(gpu.info)) is gpu.load(kernel_image(gpu.info))
    assert fake_gpu.machine.compilations == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_real_nvcc_compiles_them(monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("needs nvcc")
    offer(monkeypatch, {}, nvcc=nvcc)
    assert kernel_image(INFO).startswith(b"\x7fELF")


@pytest.mark.parametrize("capability", [(7, 5), (8, 9), (12, 1)])
def test_the_real_nvrtc_compiles_them(capability: tuple[int, int]) -> None:
    libraries = [name for name in (*compiling._bundled(), *compiling._LIBRARIES) if _loads(name)]
    if not libraries:
        pytest.skip("needs libnvrtc (part of CUDA; pip: nvidia-cuda-nvrtc)")
    for name in libraries:
        for version in ((13, 99), (12, 0)):  # PTX, and a cubin where that is older than the library
            compiler = compiling._Nvrtc(ctypes.CDLL(name))
            if compiler._version()[0] <= version[0] and (capability < (9, 0) or version > (13, 0)):
                info = replace(INFO, compute_capability=capability, cuda_version=version)
                image = compiler.compile(kernel_source(), info)
                assert image.startswith(b"\x7fELF") or b".visible .entry draw" in image


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
