"""What this machine offers for models on an NVIDIA GPU, and the exact line for what is missing on its kind of machine.

A PC gets its packages from PyPI, for the CUDA that its driver knows. A Jetson gets TensorRT and CUDA with its JetPack;
only pycuda is compiled. What is installed there is read from dpkg's own list.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .findings import Finding, State, ask, pip_line

if TYPE_CHECKING:
    from pathlib import Path

_JETPACK = {36: 6, 38: 7, 39: 7}  # Jetson Linux -> JetPack, major versions
_LEAST_CUDA = (12, 0)  # of the driver: TensorRT 10 and 11 know no older
_LEAST_TENSORRT, _BELOW_TENSORRT = (10, 3), (12,)
_CODECS = ("h264", "hevc", "av1", "mjpeg")
NVDEC_PROBE = f"""
import ctypes
import av
codecs = []
for name in {_CODECS!r}:
    configs = av.Codec(name, "r").hardware_configs
    if any(c.device_type.name == "cuda" and c.is_supported for c in configs):
        codecs.append(name)
try:
    ctypes.CDLL("libnvcuvid.so.1")
    missing = ""
except OSError as exc:
    missing = str(exc)
if not hasattr(av.VideoFrame, "sw_format"):
    codecs, missing = [], "PyAV " + av.__version__ + " does not tell how a GPU's pictures lie"
    missing += "; 18 does, for Python 3.11 and later"
say([codecs, missing])
"""
_WITHOUT = "not needed without an NVIDIA GPU"
_WSL_DRIVER = "usr/lib/wsl/lib/libcuda.so.1"  # Windows gives its driver to Linux without device files
_ON_TOOLKIT = "PATH=/usr/local/cuda/bin:$PATH"  # pycuda finds the headers by nvcc


class Kind(str, Enum):
    """Where software for the GPU comes from."""

    NONE = "none"  # no NVIDIA GPU
    PC = "pc"
    JETPACK_6 = "JetPack 6"
    JETPACK_7 = "JetPack 7"
    OLD_JETSON = "old Jetson"  # JetPack 5 and before: no TensorRT 10


@dataclass(frozen=True, slots=True)
class Nvidia:
    """The machine, as its files tell."""

    kind: Kind
    release: str = ""  # of Jetson Linux, such as 36.4.3
    driver: str = ""  # version of a PC's driver


def nvidia_of(root: Path) -> Nvidia:
    """Tell the kind of machine from its files, below `root`."""
    release = root / "etc/nv_tegra_release"
    if release.is_file():
        said = re.search(r"R(\d+) \(release\), REVISION: ([0-9.]+)", release.read_text("utf-8", "replace"))
        major = int(said[1]) if said else 0
        kinds = {6: Kind.JETPACK_6, 7: Kind.JETPACK_7}
        kind = kinds.get(_JETPACK.get(major, 7 if major > max(_JETPACK) else 0), Kind.OLD_JETSON)
        return Nvidia(kind, release=f"{said[1]}.{said[2]}" if said else "unknown")
    module = root / "proc/driver/nvidia/version"
    if module.is_file():
        said = re.search(r"Module\S*(?:\s+for \S+)?\s+([0-9.]+)", module.read_text("utf-8", "replace"))
        return Nvidia(Kind.PC, driver=said[1] if said else "")
    there = any((root / "dev").glob("nvidia[0-9]*")) or (root / _WSL_DRIVER).exists()
    return Nvidia(Kind.PC if there else Kind.NONE)


def gpu(root: Path) -> Finding:
    """The GPUs as their driver describes them, and the CUDA that it knows."""
    machine = nvidia_of(root)
    if machine.kind is Kind.NONE:
        return Finding("GPU", State.NOTE, "no NVIDIA GPU; models run on the CPU")
    gpus, error = ask("""
from dataclasses import asdict
from streamer.cuda.gpu import look_for_gpus
say([asdict(gpu) for gpu in look_for_gpus()])
""")
    driver = f"driver {machine.driver}, " if machine.driver else ""
    if not gpus:
        text = f"a GPU is there{f' ({driver[:-2]})' if driver else ''}, but its libcuda.so.1 offers none"
        get = "sudo ubuntu-drivers install" if machine.kind is Kind.PC else "sudo apt-get install nvidia-l4t-cuda"
        said = f"{text} ({error})" if error else text
        return Finding(
            "GPU", State.MISSING, said, "In a container: start it with --gpus all (or --runtime nvidia).", get
        )
    shown = [
        f"{gpu['name']} ({'.'.join(map(str, gpu['compute_capability']))}, {gpu['multiprocessors']} multiprocessors,"
        f" {gpu['memory_bytes'] / 2**30:.1f} GiB{', shared with the CPU' if gpu['integrated'] else ''})"
        for gpu in gpus
    ]
    cuda = tuple(gpus[0]["cuda_version"])
    text = f"{'; '.join(shown)}; {driver}CUDA {'.'.join(map(str, cuda))}"
    if cuda < _LEAST_CUDA:
        purpose = "The driver is too old: TensorRT wants one that knows CUDA 12."
        return Finding("GPU", State.MISSING, text, purpose, "sudo ubuntu-drivers install")
    return Finding("GPU", State.OK, text)


def jetpack(root: Path) -> Finding | None:
    """What of JetPack a Jetson has; None elsewhere."""
    machine = nvidia_of(root)
    if not machine.release:
        return None
    installed = _packages(root)
    versions = [
        f"{title} {installed[package]}"
        for title, package in (("nvidia-jetpack", "nvidia-jetpack"), ("TensorRT", "tensorrt"))
        if package in installed
    ]
    text = f"Jetson Linux {machine.release} ({machine.kind.value}){', ' if versions else ''}{', '.join(versions)}"
    if machine.kind is Kind.OLD_JETSON:
        purpose = "It has no TensorRT 10: models run on the CPU. Flash JetPack 6.2 or later."
        return Finding("JetPack", State.MISSING, text, purpose)
    if "nvidia-jetpack" not in installed and not any(name.startswith("libnvinfer1") for name in installed):
        purpose = "It brings CUDA, TensorRT and their Python packages."
        return Finding("JetPack", State.MISSING, text, purpose, "sudo apt-get install nvidia-jetpack")
    return Finding("JetPack", State.OK, text)


def tensorrt(root: Path) -> Finding:
    """TensorRT's Python package, in a version that Streamer knows."""
    machine = nvidia_of(root)
    found, error = ask("import tensorrt; say(tensorrt.__version__)")
    purpose = "Runs models on the GPU."
    if found is None:
        return _wanted(machine, "TensorRT", error, purpose, _tensorrt_line(machine))
    numbers = tuple(int(part) for part in re.findall(r"\d+", str(found))[:3])
    if not _LEAST_TENSORRT <= numbers < _BELOW_TENSORRT:
        text = f"{found}, which is not supported: 10.3 to 11"
        return _wanted(machine, "TensorRT", text, purpose, _tensorrt_line(machine))
    return Finding("TensorRT", State.OK, str(found))


def pycuda(root: Path) -> Finding:
    """PyCUDA, and whether it sees the GPU."""
    machine = nvidia_of(root)
    code = "import pycuda, pycuda.driver as d; d.init(); say(f'{pycuda.VERSION_TEXT}, {d.Device.count()} GPUs')"
    found, error = ask(code)
    if found is not None:
        return Finding("pycuda", State.OK, str(found))
    pip = f"{_ON_TOOLKIT} {pip_line('tensorrt', 'pycuda')}"
    get = f"sudo apt-get install build-essential python3-dev && {pip}"  # it comes as source, and is compiled
    return _wanted(machine, "pycuda", error, "Streamer talks to the GPU through it; CUDA's headers must be here.", get)


def builder(root: Path) -> Finding:
    """What building an engine takes beside TensorRT."""
    machine = nvidia_of(root)
    found, error = ask("import onnx; say('onnx ' + onnx.__version__)")
    if found is not None:
        return Finding("engine builder", State.OK, str(found))
    purpose = "Puts a precision into a model before TensorRT builds it."
    return _wanted(machine, "engine builder", error, purpose, pip_line("tensorrt", "onnx"))


def nvrtc(root: Path) -> Finding:
    """What compiles Streamer's own kernels: NVRTC, or else nvcc."""
    machine = nvidia_of(root)
    if machine.kind is Kind.NONE:
        return Finding("NVRTC", State.NOTE, _WITHOUT)
    found, error = ask("""
from streamer.cuda.compile import kernel_image
from streamer.cuda.gpu import look_for_gpus
gpu = look_for_gpus()[0]
say(f"compiles Streamer's kernels for {gpu.name} ({len(kernel_image(gpu))} bytes)")
""")
    if found is not None:
        return Finding("NVRTC", State.OK, str(found))
    if machine.kind is Kind.PC:
        new = _driver_cuda() >= (13, 0)
        get = f"{sys.executable} -m pip install nvidia-cuda-nvrtc{'' if new else '-cu12'}"
    else:
        get = "sudo apt-get install nvidia-jetpack"
    return _wanted(machine, "NVRTC", error, "Compiles the kernels that draw pictures on the GPU.", get)


def decoder(root: Path) -> Finding:
    """The hardware decoder: NVDEC through PyAV on a PC, nvv4l2decoder of GStreamer on a Jetson."""
    machine = nvidia_of(root)
    if machine.kind is Kind.NONE:
        return Finding("NVDEC", State.NOTE, _WITHOUT)
    if machine.release:
        return _jetson_decoder()
    found, error = ask(NVDEC_PROBE)
    codecs, missing = found or ([], error)
    if codecs and not missing:
        return Finding("NVDEC", State.OK, f"PyAV decodes {', '.join(codecs)} with it")
    text = missing or "this build of PyAV knows no NVDEC"
    purpose = "Decodes cameras on the GPU. In a container: NVIDIA_DRIVER_CAPABILITIES=compute,video,utility."
    driver = machine.driver.partition(".")[0]
    get = f"sudo apt-get install libnvidia-decode-{driver}" if codecs and driver else pip_line("", "av")
    return _wanted(machine, "NVDEC", text, purpose, get)


def _jetson_decoder() -> Finding:
    found, error = ask("""
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
say([n for n in ("nvv4l2decoder", "nvvidconv", "nvarguscamerasrc") if Gst.ElementFactory.find(n)])
""")
    if found and {"nvv4l2decoder", "nvvidconv"} <= set(found):
        return Finding("NVDEC", State.OK, f"GStreamer has {', '.join(found)}: for `gst:` and `csi:` sources")
    text = error or "GStreamer has no nvv4l2decoder and nvvidconv"
    purpose = "The Jetson's decoder, for `gst:` and `csi:` sources; rtsp:// is decoded on the CPU."
    get = "sudo apt-get install nvidia-l4t-gstreamer gstreamer1.0-plugins-good gstreamer1.0-plugins-bad python3-gi"
    return Finding("NVDEC", State.MISSING, text, purpose, get)


def _wanted(machine: Nvidia, topic: str, found: str, purpose: str, get: str) -> Finding:
    """Return what is missing, which is no matter where there is no GPU."""
    if machine.kind in (Kind.NONE, Kind.OLD_JETSON):
        return Finding(topic, State.NOTE, f"{found}; {_WITHOUT if machine.kind is Kind.NONE else 'see JetPack'}")
    return Finding(topic, State.MISSING, found, purpose, get)


def _tensorrt_line(machine: Nvidia) -> str:
    if machine.kind is Kind.PC:
        line = pip_line("tensorrt", "tensorrt")
        # The plain package is for CUDA 13, which an older driver does not know.
        return line if _driver_cuda() >= (13, 0) else line.replace("'tensorrt", "'tensorrt-cu12")
    venv = "python3 -m venv --system-site-packages .venv"  # it comes by apt, for the system's own Python
    return f"sudo apt-get install tensorrt python3-libnvinfer && {venv}"


def _driver_cuda() -> tuple[int, int]:
    """Return the newest CUDA that the driver knows; (13, 0) where it does not tell."""
    found, _ = ask("from streamer.cuda.gpu import look_for_gpus; say([g.cuda_version for g in look_for_gpus()][0])")
    return (int(found[0]), int(found[1])) if found else (13, 0)


def _packages(root: Path) -> dict[str, str]:
    """Return the installed Debian packages and their versions, from dpkg's own list."""
    status = root / "var/lib/dpkg/status"
    if not status.is_file():
        return {}
    installed = {}
    for paragraph in status.read_text("utf-8", "replace").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed") and "Package" in fields:
            installed[fields["Package"]] = fields.get("Version", "")
    return installed
