"""What this machine offers Streamer, what is missing, what that is for, and how to get it.

Nothing is imported here that could hang or crash: each runtime is asked in a process of its own, with a limit.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer import __version__

from . import doctor_gpio, doctor_gpu
from .findings import Finding, State, ask, pip_line, required

if TYPE_CHECKING:
    from collections.abc import Callable

_BROKER = ("localhost", 1883)
_CPU_FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")
_DECODERS = ("h264", "hevc", "av1", "mjpeg")
_FREE_GB_LOW = 2.0


def doctor(out: TextIO, *, as_json: bool = False) -> int:
    """Examine this machine and print what was found; always 0, for what is missing may well not be needed."""
    findings = examine()
    if as_json:
        out.write(json.dumps({"streamer": __version__, "findings": [asdict(f) for f in findings]}) + "\n")
    else:
        _print(findings, out)
    return 0


def examine(root: Path = Path("/")) -> list[Finding]:
    """Return all findings, in the order in which they are shown."""
    probes: dict[str, Callable[[], Finding | None]] = {
        "Python": python,
        "CPU": lambda: cpu(root),
        "memory": lambda: memory(root),
        "GPU": lambda: doctor_gpu.gpu(root),
        "JetPack": lambda: doctor_gpu.jetpack(root),
        "TensorRT": lambda: doctor_gpu.tensorrt(root),
        "pycuda": lambda: doctor_gpu.pycuda(root),
        "engine builder": lambda: doctor_gpu.builder(root),
        "NVRTC": lambda: doctor_gpu.nvrtc(root),
        "NVDEC": lambda: doctor_gpu.decoder(root),
        "OpenVINO": openvino,
        "ONNX Runtime": onnxruntime,
        "PyAV": pyav,
        "OpenCV": opencv,
        "GStreamer": gstreamer,
        "USB cameras": lambda: video_devices(root),
        "GPIO": lambda: doctor_gpio.gpio(root),
        "MQTT broker": lambda: broker(*_BROKER),
        "embedded broker": amqtt,
        "disk": disk,
        "clock": clock,
    }
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="streamer-doctor") as pool:
        return [found for found in pool.map(lambda item: _guarded(*item), probes.items()) if found is not None]


def _guarded(topic: str, probe: Callable[[], Finding | None]) -> Finding | None:
    try:
        return probe()
    except Exception as exc:  # noqa: BLE001  the doctor never falls ill itself, and says what it could not see
        return Finding(topic, State.NOTE, f"could not be examined: {exc}")


# --- the machine -----------------------------------------------------------------------------------------------------


def python() -> Finding:
    """The interpreter that runs this."""
    return Finding("Python", State.OK, f"{platform.python_version()} ({sys.executable}), {platform.platform()}")


def cpu(root: Path) -> Finding:
    """Model, cores that may be used, and the units that matter for networks."""
    lines = (root / "proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    info = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in reversed(lines))}
    flags = set((info.get("flags") or info.get("Features") or "").split())
    units = [name for name in _CPU_FEATURES if name in flags]
    name = info.get("model name") or info.get("Model") or platform.machine()
    return Finding("CPU", State.OK, f"{name}, {_cores(root)} cores; {' '.join(units) or 'no vector units known'}")


def _cores(root: Path) -> str:
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        return str(cores)
    return str(cores) if quota == "max" else f"{min(float(cores), int(quota) / int(period)):g}"


def memory(root: Path) -> Finding:
    """RAM, in all and free to use."""
    lines = (root / "proc/meminfo").read_text("ascii").splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if len(line.split()) > 1}
    gib = {key: kib[key] / 2**20 for key in ("MemTotal", "MemAvailable")}
    return Finding("memory", State.OK, f"{gib['MemTotal']:.1f} GiB, {gib['MemAvailable']:.1f} GiB available")


def video_devices(root: Path) -> Finding:
    """V4L2 devices, their names, and whether this user may open them."""
    topic = "USB cameras"
    found = []
    closed = False
    for device in sorted((root / "dev").glob("video[0-9]*")):
        name = root / "sys/class/video4linux" / device.name / "name"
        title = name.read_text("utf-8", "replace").strip() if name.is_file() else "unnamed"
        allowed = os.access(device, os.R_OK | os.W_OK)
        closed |= not allowed
        found.append(f"/dev/{device.name} {title}{'' if allowed else ' (no permission)'}")
    if not found:
        return Finding(topic, State.NOTE, "none: there is no /dev/video*")
    if closed:
        return Finding(
            topic,
            State.MISSING,
            "; ".join(found),
            "Your user must be in the group video.",
            "sudo usermod -aG video $USER",
        )
    return Finding(topic, State.OK, "; ".join(found))


def disk() -> Finding:
    """Free space here, where `data_dir` usually is."""
    usage = shutil.disk_usage(Path.cwd())
    free_gb = usage.free / 1e9
    text = f"{free_gb:.1f} GB of {usage.total / 1e9:.1f} GB free here"
    if free_gb < _FREE_GB_LOW:
        return Finding("disk", State.MISSING, text, "Events are kept on disk until the broker has them.")
    return Finding("disk", State.OK, text)


def clock() -> Finding:
    """Whether something keeps the wall clock right, as the kernel knows it."""
    timex = ctypes.create_string_buffer(512)  # struct timex, generously; modes = 0: only asks
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state == -1:
        return Finding("clock", State.NOTE, f"unknown: {os.strerror(ctypes.get_errno())}")
    if state == 5:  # TIME_ERROR, see adjtimex(2)
        purpose = "The times in events are those of this clock."
        return Finding("clock", State.MISSING, "not synchronised", purpose, "sudo apt-get install systemd-timesyncd")
    return Finding("clock", State.OK, "synchronised")


# --- what is installed -----------------------------------------------------------------------------------------------


def openvino() -> Finding:
    """OpenVINO, its devices, and the precisions the CPU computes in."""
    found, error = ask("""
import sys
sys.modules['openvino_telemetry'] = None  # it would call home
import openvino as ov
core = ov.Core()
names = [f"{d} ({core.get_property(d, 'FULL_DEVICE_NAME')})" for d in core.available_devices]
say([ov.__version__, names, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")])
""")
    if found is None:
        x86 = platform.machine() in {"x86_64", "AMD64"}
        state = State.MISSING if x86 else State.NOTE
        return Finding("OpenVINO", state, error, "The fastest way to run models on an x86 CPU.", pip_line("openvino"))
    version, devices, precisions = found
    kinds = ", ".join(str(p).lower() for p in precisions if p in {"FP32", "BF16", "FP16", "INT8"})
    return Finding("OpenVINO", State.OK, f"{version}: {'; '.join(devices)}; {kinds}")


def onnxruntime() -> Finding:
    """ONNX Runtime and its execution providers."""
    code = "import onnxruntime as o; say(o.__version__ + ': ' + ', '.join(o.get_available_providers()))"
    return required("ONNX Runtime", code, "Runs models on any CPU; Streamer needs it.", pip_line("", "onnxruntime"))


def pyav() -> Finding:
    """PyAV, the FFmpeg inside it, and the decoders for what cameras send."""
    found, error = ask(f"""
import av
decoders = {{}}
for name in {_DECODERS!r}:
    try:
        av.Codec(name, "r")
        decoders[name] = True
    except Exception:
        decoders[name] = False
say([av.__version__, getattr(av, "ffmpeg_version_info", "unknown"), decoders])
""")
    if found is None:
        return Finding("PyAV", State.MISSING, error, "Reads cameras and files; Streamer needs it.", pip_line("", "av"))
    version, ffmpeg, decoders = found
    have, lack = ([n for n, there in decoders.items() if there is wanted] for wanted in (True, False))
    text = f"{version} (FFmpeg {ffmpeg}); decodes {', '.join(have)}"
    if lack:
        return Finding(
            "PyAV",
            State.MISSING,
            f"{text}; not {', '.join(lack)}",
            "Cameras that send those can't be read.",
            pip_line("", "av"),
        )
    return Finding("PyAV", State.OK, text)


def opencv() -> Finding:
    """OpenCV, which needs two system libraries that slim images lack."""
    get = "sudo apt-get install libgl1 libglib2.0-0"
    return required("OpenCV", "import cv2; say(cv2.__version__)", "Scales pictures; Streamer needs it.", get)


def gstreamer() -> Finding:
    """GStreamer through PyGObject in this interpreter, and its hardware decoder on a Jetson."""
    found, error = ask("""
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
names = [n for n in ("rtspsrc", "avdec_h264", "nvv4l2decoder", "nvarguscamerasrc") if Gst.ElementFactory.find(n)]
say(Gst.version_string() + ", with " + ", ".join(names))
""")
    if found is not None:
        return Finding("GStreamer", State.OK, str(found))
    purpose = "For gst: and csi: sources only (Jetson, industrial cameras)."
    get = (
        "sudo apt-get install gcc pkg-config python3-dev libcairo2-dev libgirepository1.0-dev"
        " gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav"
        f" && {sys.executable} -m pip install 'PyGObject<3.51'"
    )
    return Finding("GStreamer", State.MISSING, error, purpose, get)


def broker(host: str, port: int) -> Finding:
    """Whether something listens where the default configuration looks for the broker."""
    try:
        with socket.create_connection((host, port), timeout=2.0):
            return Finding("MQTT broker", State.OK, f"something listens at {host}:{port}")
    except OSError as exc:
        text = f"nothing at {host}:{port} ({exc.strerror or exc})"
        purpose = "Events go to a broker: one on this machine, or any other by mqtt.url."
        return Finding("MQTT broker", State.MISSING, text, purpose, "sudo apt-get install mosquitto mosquitto-clients")


def amqtt() -> Finding:
    """The broker inside the process."""
    code = "from importlib.metadata import version; import amqtt; say('amqtt ' + version('amqtt'))"
    return required("embedded broker", code, "For `streamer demo` and `mqtt.url: embedded`.", pip_line("demo"))


# --- how it is shown -------------------------------------------------------------------------------------------------

_MARK = {State.OK: ("yes", "green"), State.MISSING: ("no", "yellow"), State.NOTE: ("-", "dim")}


def _print(findings: list[Finding], out: TextIO) -> None:
    console = Console(file=out, width=None if out.isatty() else 120, highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark, style = _MARK[finding.state]
        table.add_row(Text(mark, style=style), Text(finding.topic), Text(finding.found))
    console.print(f"streamer {__version__}", table, sep="\n")
    missing = [f for f in findings if f.state is State.MISSING]
    if not missing:
        console.print("\nNothing is missing.")
    for finding in missing:
        console.print(Text(f"\n{finding.topic}: {finding.found}. {finding.purpose}"), soft_wrap=True)
        if finding.get:
            console.print(Text(f"    {finding.get}"), soft_wrap=True)  # one line, to be copied
