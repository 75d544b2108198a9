"""How many 1080p H.264 pictures a second NVDEC decodes through PyAV, left in the GPU's memory, against the CPU."""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from servers.clip import write_recording


def told(values: list[float], unit: str = "", scale: float = 1.0) -> str:
    """Return the median and the spread."""
    low, middle, high = (scale * v for v in (min(values), statistics.median(values), max(values)))
    return f"{middle:.3g}{unit} ({low:.3g}..{high:.3g})"


def decoded(clip: Path, device: int | None) -> int:
    """Decode a clip, on the GPU unless `device` is None, and return how many pictures came."""
    hardware = None
    if device is not None:
        hardware = HWAccel("cuda", device=str(device), is_hw_owned=True, allow_software_fallback=False)
    with av.open(str(clip), hwaccel=hardware) as container:
        return sum(1 for _ in container.decode(video=0))


def pictures_a_second(clip: Path, device: int | None, *, streams: int, at_least_s: float) -> float:
    """Decode the clip in so many threads at once, again and again."""

    def again(until: float) -> int:
        count = 0
        while count == 0 or time.perf_counter() < until:
            count += decoded(clip, device)
        return count

    with ThreadPoolExecutor(streams) as pool:
        start = time.perf_counter()
        counts = list(pool.map(again, [start + at_least_s] * streams))
        return sum(counts) / (time.perf_counter() - start)


def measure_decoding(clip: Path | None, device: int, *, streams: int, at_least_s: float, rounds: int) -> None:
    """Print the two rates and their ratio, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        if clip is None:
            clip = Path(folder) / "clip.mp4"
            write_recording(clip, width=1920, height=1080, frames=100, options={"preset": "fast"})
        try:
            decoded(clip, device)
        except (av.FFmpegError, NotImplementedError, RuntimeError) as exc:
            print(f"decode: NVDEC can't be used here: {exc}")
            return
        _compare(clip, device, streams=streams, at_least_s=at_least_s, rounds=rounds)


def _compare(clip: Path, device: int, *, streams: int, at_least_s: float, rounds: int) -> None:
    rates: dict[str, list[float]] = {"nvdec": [], "cpu": []}
    for _ in range(rounds):
        for name, where in (("nvdec", device), ("cpu", None)):
            rates[name].append(pictures_a_second(clip, where, streams=streams, at_least_s=at_least_s))
    gains = [gpu / cpu for gpu, cpu in zip(rates["nvdec"], rates["cpu"], strict=True)]
    print(f"decode 1080p H.264, {streams} at once, NVDEC: {told(rates['nvdec'], ' pictures/s')}, ", end="")
    print(f"CPU: {told(rates['cpu'], ' pictures/s')}; NVDEC / CPU: {told(gains)}")
