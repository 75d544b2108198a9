"""What a GPU does with our kernels, against what it can do at most. Needs no TensorRT.

    python tests/measure/gpu.py [--device 0] [--rounds 5] [--seconds 0.3] [--streams 4] [--clip 1080p.mp4]

`draw`: the drawing kernel's GB/s (each plane counted as read once, the input as written once) against the card's own
rate of copying memory to memory, read and write counted. `pick`: three launches over a v8 output. `graph`: drawing,
picking and copying out, replayed as a graph, against the same launches one by one. `decode`: 1080p H.264 pictures a
second by NVDEC through PyAV, left in the GPU's memory, against the CPU's decoder. All things are measured in turn,
round by round; what is printed is the median and the spread. Ends with 3, and one sentence, where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nvdec import measure_decoding, told

from streamer.core.errors import BackendError
from streamer.core.frame import ColorMatrix, ColorRange, PixelFormat
from streamer.cuda.draw import Drawer, Drawing, Target
from streamer.cuda.open import open_gpu
from streamer.cuda.pick import Layout, Picker
from streamer.pixels.color import yuv_weights
from streamer.pixels.fit import letterbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.cuda.gpu import Gpu, Memory

    HW = tuple[int, int]

COPIED_BYTES = 256 << 20  # far more than any cache holds
PITCH = 256  # bytes that rows are rounded up to, as decoders do
YOLO = Target(
    hw=(640, 640), layout="nchw", dtype="float32", scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3, pad=114
)  # fmt: skip
V8 = Layout(channels=84, anchors=8400, anchor_major=False, objectness=False, first_class=4)


@dataclass(frozen=True)
class Case:
    """Pictures of one size for one network, in one launch."""

    name: str
    pixels: str
    frame_hw: HW
    target: Target
    pictures: int

    @property
    def plane_bytes(self) -> tuple[int, int]:
        """Bytes of the planes, without padding."""
        (h, w), sample = self.frame_hw, 2 if self.pixels == "p010" else 1
        return h * w * sample, 2 * ((h + 1) // 2) * ((w + 1) // 2) * sample

    @property
    def moved_bytes(self) -> int:
        """What one launch has to move at least."""
        written = 3 * self.target.hw[0] * self.target.hw[1] * np.dtype(self.target.dtype).itemsize
        return self.pictures * (sum(self.plane_bytes) + written)


def cases(pictures: int) -> list[Case]:
    half = replace(YOLO, dtype="float16")
    return [
        Case("nv12 1080p to 640 f32", "nv12", (1080, 1920), YOLO, pictures),
        Case("nv12 1080p to 640 f16", "nv12", (1080, 1920), half, pictures),
        Case("nv12 360p to 640 f32", "nv12", (360, 640), YOLO, pictures),
        Case("p010 2160p to 640 f32", "p010", (2160, 3840), YOLO, pictures),
        Case("nv12 1080p to 640 f32, averaged", "nv12", (1080, 1920), replace(YOLO, area=True), pictures),
        Case("nv12 1080p to 640 f32, one", "nv12", (1080, 1920), YOLO, 1),
    ]


def seconds_each(
    work: Callable[[], None],
    wait: Callable[[], None],
    *,
    at_least_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return how long one takes where many are queued: as many as take `at_least_s`."""
    work()
    wait()
    count = 1
    while True:
        start = clock()
        for _ in range(count):
            work()
        wait()
        took_s = clock() - start
        if took_s >= at_least_s:
            return took_s / count
        count *= 2


class Bench:
    """What is measured on one GPU, and the memory it takes."""

    def __init__(self, gpu: Gpu, seconds: float, copied_bytes: int) -> None:
        self.gpu, self.stream, self._seconds = gpu, gpu.open_stream(), seconds
        self._held: list[Memory] = []
        self._drawers: list[Drawer] = []
        self._pickers: list[Picker] = []
        self._copied = copied_bytes, self.room(copied_bytes), self.room(copied_bytes)

    def room(self, nbytes: int) -> int:
        self._held.append(self.gpu.allocate(nbytes))
        return self._held[-1].pointer

    def timed(self, work: Callable[[], None]) -> float:
        return seconds_each(work, self.stream.synchronize, at_least_s=self._seconds)

    def copy_rate(self) -> float:
        """Return bytes a second, read and written."""
        nbytes, source, target = self._copied
        rows = nbytes >> 20
        return 2 * nbytes / self.timed(lambda: self.stream.copy_rows(target, 1 << 20, source, 1 << 20, 1 << 20, rows))

    def drawing(self, case: Case) -> Callable[[], None]:
        """Lay out pictures, and return what draws them: each from memory of its own."""
        (h, w), sample = case.frame_hw, 2 if case.pixels == "p010" else 1
        pitch = -(-w * sample // PITCH) * PITCH
        placement = letterbox(case.frame_hw, case.target.hw)
        weights = yuv_weights(ColorMatrix.BT709, ColorRange.LIMITED, PixelFormat.RGB).ravel().tolist()
        drawings = [
            Drawing(
                pixels=case.pixels, pointers=(self.room(pitch * h), self.room(pitch * ((h + 1) // 2))),
                pitches=(pitch, pitch), frame_hw=case.frame_hw, size_hw=placement.size_hw, top=placement.top,
                left=placement.left, weights=tuple(weights),
            )
            for _ in range(case.pictures)
        ]  # fmt: skip
        tensor = self.room(case.pictures * 3 * case.target.hw[0] * case.target.hw[1] * 4)
        drawer = Drawer(self.gpu, case.target, max_batch=case.pictures)
        self._drawers.append(drawer)
        kept = drawer.keep(drawings, self.stream)
        return lambda: drawer.draw_kept(kept, tensor, self.stream)

    def picking(self, pictures: int) -> tuple[Callable[[], None], Picker]:
        """Return what picks from an output in which every hundredth anchor is something."""
        values = np.zeros((pictures, V8.channels, V8.anchors), np.float32)
        values[:, 4, ::100] = 0.9
        output = self.room(values.nbytes)
        self.stream.copy_in(output, values)
        self.stream.synchronize()
        picker = Picker(self.gpu, V8, floor=0.25, max_batch=pictures)
        self._pickers.append(picker)
        return lambda: picker.enqueue(output, pictures, self.stream), picker

    def close(self) -> None:
        self.stream.synchronize()
        for drawer in self._drawers:
            drawer.close()
        for picker in self._pickers:
            picker.close()
        for memory in self._held:
            memory.free()
        self.stream.close()


def measure_kernels(bench: Bench, all_cases: list[Case], rounds: int) -> None:
    works = [(case, bench.drawing(case)) for case in all_cases]
    copies: list[float] = []
    rates: dict[str, list[float]] = {case.name: [] for case in all_cases}
    for _ in range(rounds):
        copies.append(bench.copy_rate())
        for case, work in works:
            rates[case.name].append(case.moved_bytes / bench.timed(work))
    print(f"copy: {told(copies, ' GB/s', 1e-9)}")
    for case in all_cases:
        of_copy = [rate / copy for rate, copy in zip(rates[case.name], copies, strict=True)]
        each = [1e6 * case.moved_bytes / case.pictures / rate for rate in rates[case.name]]
        print(f"draw, {case.name}, batch {case.pictures}: {told(rates[case.name], ' GB/s', 1e-9)}, ", end="")
        print(f"{told(of_copy)} of the copy rate, {told(each, ' us')} a picture")


def measure_graph(bench: Bench, case: Case, rounds: int) -> None:
    draw = bench.drawing(case)
    pick, picker = bench.picking(case.pictures)
    picked = bench.gpu.pinned((case.pictures, *picker.shape), np.float32)

    def work() -> None:
        draw()
        pick()
        bench.stream.copy_out(picked, picker.picked)

    work()
    graph = bench.stream.capture(work)
    times: dict[str, list[float]] = {"pick": [], "plain": [], "graph": []}
    for _ in range(rounds):
        times["pick"].append(bench.timed(pick))
        times["plain"].append(bench.timed(work))
        times["graph"].append(bench.timed(lambda: graph.launch(bench.stream)))
    graph.close()
    print(f"pick, 84x8400 of {case.pictures}: {told(times['pick'], ' us', 1e6)}")
    gains = [plain / replayed for plain, replayed in zip(times["plain"], times["graph"], strict=True)]
    print(f"draw + pick + copy, plain: {told(times['plain'], ' us', 1e6)}, ", end="")
    print(f"graph: {told(times['graph'], ' us', 1e6)}; plain / graph: {told(gains)}")


def measure(gpu: Gpu, args: argparse.Namespace) -> None:
    info = gpu.info
    major, minor = info.compute_capability
    cuda = ".".join(map(str, info.cuda_version))
    print(f"{info.name}, sm_{major}{minor}, {info.multiprocessors} SM, the driver's CUDA is {cuda}")
    print(f"PyAV {av.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}")
    bench = Bench(gpu, args.seconds, args.copied)
    try:
        measure_kernels(bench, cases(args.batch), args.rounds)
        measure_graph(bench, cases(args.batch)[0], args.rounds)
    finally:
        bench.close()
    at_least_s = 4 * args.seconds
    measure_decoding(args.clip, info.index, streams=args.streams, at_least_s=at_least_s, rounds=args.rounds)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--copied", type=int, default=COPIED_BYTES, help="bytes of the copy that all is held against")
    args = parser.parse_args(arguments)
    try:
        gpu = open_gpu(args.device)
    except BackendError as exc:
        print(f"no GPU to measure: {exc}", file=sys.stderr)
        return 3
    measure(gpu, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
