"""The kernels' image: compiled here and now, for the GPU and the driver that are here, from the text that is shipped.

NVRTC needs neither a host compiler nor a GPU. Where it is missing, nvcc does. A shipped image would be worse: a driver
refuses PTX that a newer toolkit wrote, and a cubin fits one architecture.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError

from .open import install_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .gpu import GpuInfo

_NVCC_LIMIT_S = 120.0
_OPTIONS = ("--std=c++14",)
_LIBRARIES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2")

_images: dict[tuple[tuple[int, int], tuple[int, int]], bytes] = {}
# Held while the kernels are compiled: who comes meanwhile needs that same image.
_lock = threading.Lock()


class _Refused(Exception):  # noqa: N818  a reason to try the next compiler, not yet an error
    """Why one compiler has not compiled the kernels."""


def kernel_image(info: GpuInfo) -> bytes:
    """Return the image of all kernels for one GPU: PTX, or a cubin where the compiler is newer than the driver.

    Blocks on: NVRTC (under a second), nvcc (120 s at most), another thread that compiles the same.

    Raises:
        BackendError: nothing here compiles them; it says why, and what to install.
    """
    key = (info.compute_capability, info.cuda_version)
    with _lock:
        if key not in _images:
            _images[key] = _compiled(info)
        return _images[key]


def kernel_source() -> str:
    """Return the text of all kernels: the files in the order of their names, as one unit."""
    folder = resources.files("streamer.cuda") / "kernels"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".cu")), key=lambda f: f.name)
    return "".join(f'#line 1 "{f.name}"\n{f.read_text("utf-8")}\n' for f in files)


def forget() -> None:
    """Drop what has been compiled: for tests."""
    _images.clear()


def _compiled(info: GpuInfo) -> bytes:
    source, reasons = kernel_source(), []
    for compiler in _compilers():
        try:
            return compiler(source, info)
        except _Refused as exc:  # noqa: PERF203  a handful at most
            reasons.append(str(exc))
    said = "; ".join(reasons) if reasons else "neither NVRTC (libnvrtc) nor nvcc is here"
    raise BackendError(f"the GPU's kernels can't be compiled: {said}; NVRTC comes with CUDA: {install_line()}")


def _compilers() -> Iterator[Callable[[str, GpuInfo], bytes]]:
    """Yield what may compile here, the best first."""
    for name in (*_bundled(), *_LIBRARIES):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue  # another version, or another place
        yield _Nvrtc(library).compile
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        yield lambda source, info: _by_nvcc(nvcc, source, info)


def _bundled() -> list[str]:
    """Return the NVRTC libraries of pip's packages (nvidia/cu13/lib, nvidia/cuda_nvrtc/lib), the newest first."""
    libraries = [p for place in sys.path for p in Path(place, "nvidia").glob("*/lib/libnvrtc.so.*")]
    wanted = [p for name in _LIBRARIES for p in libraries if p.name == name]
    return [str(path) for path in wanted]


class _Nvrtc:
    """One NVRTC library."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401  a ctypes library, or what stands in for it
        self._library = library

    def compile(self, source: str, info: GpuInfo) -> bytes:
        """Return the image of a source.

        A driver reads PTX of its own version of CUDA and older ones, and cubins of its own major version.

        Raises:
            _Refused: this NVRTC can't.
        """
        version = self._version()
        if version[0] > info.cuda_version[0]:
            raise _Refused(f"NVRTC {_dotted(version)} is newer than the driver's CUDA {_dotted(info.cuda_version)}")
        cubin = version > info.cuda_version
        architecture = f"sm_{_joined(info.compute_capability)}" if cubin else f"compute_{self._known(info)}"
        program = ctypes.c_void_p()
        self._call(
            "nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernels.cu", ctypes.c_int(0), None, None
        )
        try:
            self._compile(program, (f"--gpu-architecture={architecture}", *_OPTIONS), version)
            return self._text(program, "nvrtcGetCUBIN" if cubin else "nvrtcGetPTX")
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))

    def _known(self, info: GpuInfo) -> int:
        """Return the architecture to write PTX for: the GPU's own, or the newest one before it that is known here.

        GPUs are newer than the CUDA of many a machine. Their driver brings older PTX up to them.
        """
        number, own = ctypes.c_int(), int(_joined(info.compute_capability))
        self._call("nvrtcGetNumSupportedArchs", ctypes.byref(number))
        known = (ctypes.c_int * number.value)()
        self._call("nvrtcGetSupportedArchs", known)
        return max((one for one in known if one <= own), default=own)

    def _compile(self, program: ctypes.c_void_p, options: tuple[str, ...], version: tuple[int, int]) -> None:
        listed = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if self._library.nvrtcCompileProgram(program, ctypes.c_int(len(options)), listed):
            log = self._text(program, "nvrtcGetProgramLog").rstrip(b"\0").decode("utf-8", "replace")
            raise _Refused(f"NVRTC {_dotted(version)} ({options[0]}): {_first_line(log)}")

    def _text(self, program: ctypes.c_void_p, name: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"{name}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(name, program, text)
        return text.raw

    def _version(self) -> tuple[int, int]:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return major.value, minor.value

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401  ctypes values
        code = getattr(self._library, name)(*arguments)
        if code:
            raise _Refused(f"NVRTC failed: {name} gave {code}")


def _by_nvcc(nvcc: str, source: str, info: GpuInfo) -> bytes:
    """Compile to a cubin, which a driver of the same major version of CUDA reads, older ones too."""
    with tempfile.TemporaryDirectory(prefix="streamer-kernels-") as folder:
        text, image = Path(folder, "kernels.cu"), Path(folder, "kernels.cubin")
        text.write_text(source, "utf-8")
        command = [
            nvcc,
            "-cubin",
            f"-arch=sm_{_joined(info.compute_capability)}",
            *_OPTIONS,
            "-o",
            str(image),
            str(text),
        ]
        try:
            done = subprocess.run(  # noqa: S603  nvcc from PATH, a text of ours
                command, capture_output=True, text=True, timeout=_NVCC_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise _Refused(f"nvcc: {exc}") from exc
        if done.returncode:
            raise _Refused(f"nvcc: {_first_line(done.stderr or done.stdout)}")
        return image.read_bytes()


def _first_line(log: str) -> str:
    """Return the first line that tells of an error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "no reason was given")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _joined(capability: tuple[int, int]) -> str:
    return "".join(map(str, capability))
