"""Frames a second with a second stage, and without it; and what that stage costs, in looks.

    python tests/measure/tandem.py [--rounds 5] [--seconds 20]

Two scenes, each a file that is read as fast as it can be, rounds interleaved:
`five`: a photograph with five people that moves a little, so that five objects are in view all the time;
`clip`: the shared clip of a person, a bicycle and a car, again and again (each turn brings new tracks).
The detector is YOLOX-nano, the second stage SqueezeNet v1.1, both in f32. A rate is taken from the first event to the
last, by their frames and by when they were told, so that loading is not in it; `per_cpu_s` is frames for each second of
CPU, which a machine that others use as well disturbs less. What counts is the two rates of one round, side by side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from rig import ROOT, SHARED, environment
from servers.broker import free_port

from streamer.app import open_run
from streamer.core.clock import NS_PER_S
from streamer.pipeline.tandem import Tandem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.event import Event
    from streamer.core.look import Classified

FPS = 15

CONFIG = """\
mqtt: {{url: "mqtt://127.0.0.1:{port}", drain: 1ms}}
data_dir: {folder}/data
models:
  coco: {{model: {models}/yolox_nano_416.onnx, labels: coco80, precision: f32}}
  what: {{model: {models}/squeezenet1_1.onnx, task: classify, labels: imagenet1000, color: bgr, scale: 1,
          mean: [104, 117, 123], fit: crop, precision: f32}}
cameras:
  cam:
    source: {clip}
    detect: {{model: coco, classes: {{person: 0.3, bicycle: 0.3, car: 0.3}}}}
{classify}    events:
      - {{name: thing, class: [person, bicycle, car], after: 200ms}}
      - {{name: any, class: [person, bicycle, car], count: {{more_than: 0}}, after: 0s}}
"""
SECOND = "    classify: [{name: what, model: what, of: {class: [person, bicycle, car]}, agree: 3}]\n"


def five(path: Path, seconds: float) -> None:
    """Write a film of a photograph of five people that moves to and fro."""
    photo = cv2.imread(str(SHARED / "images" / "humans_4.jpg"))
    assert photo is not None
    height, width = photo.shape[0] // 2 * 2 - 20, photo.shape[1] // 2 * 2 - 20
    rng = np.random.default_rng(1)

    def pictures() -> Iterator[np.ndarray]:
        for n in range(round(seconds * FPS)):
            x, y = round(10 + 8 * np.sin(n / 9)), round(10 + 8 * np.cos(n / 13))
            part = photo[y : y + height, x : x + width].astype(np.int16)
            yield (part + rng.normal(0, 2, part.shape)).clip(0, 255).astype(np.uint8)

    write(path, pictures(), width, height)


def clip(path: Path, seconds: float) -> None:
    """Write the shared clip again and again, two seconds of an empty street between the turns."""
    with av.open(str(SHARED / "videos" / "person-bicycle-car-detection-preview.mp4")) as container:
        turn = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    height, width = turn[0].shape[:2]
    turn += [np.full_like(turn[0], 90)] * (2 * FPS + 30)
    write(path, (turn[n % len(turn)] for n in range(round(seconds * FPS))), width, height)


def write(path: Path, pictures: Iterator[np.ndarray], width: int, height: int) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {"preset": "veryfast", "crf": "20"}
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


def once(config: Path) -> dict[str, float]:
    """Run a configuration in this process; return its rate and what its looks cost."""
    told: list[tuple[int, float, Event]] = []
    looks: dict[int | None, list[int]] = defaultdict(list)
    answered = Tandem.classified

    def watched(self: Tandem, classified: Classified) -> None:
        looks[classified.track].append(classified.info.captured_ns)
        answered(self, classified)

    Tandem.classified = watched  # type: ignore[method-assign]
    with open_run(config, table=False) as run:
        run.tell(lambda event: told.append((time.monotonic_ns(), time.process_time(), event)))
        run.run()
        looked = run.figures.value("cam", "classified")
    (began_ns, began_s, first), (ended_ns, ended_s, last) = told[0], told[-1]
    frames = (last.captured_utc_ns - first.captured_utc_ns) / NS_PER_S * FPS
    over = [n - (at - times[0]) / NS_PER_S for times in looks.values() for n, at in enumerate(times, start=1)]
    return {
        "fps": frames * NS_PER_S / (ended_ns - began_ns),
        "per_cpu_s": frames / (ended_s - began_s),
        "looks": looked,
        "tracks": len({event.track for _, _, event in told} - {None}),
        "most": max(over, default=0.0),  # looks of a track beyond one a second
    }


def child(config: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--once", str(config)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def measure(args: argparse.Namespace, folder: Path) -> None:
    for name, make in (("five", five), ("clip", clip)):
        film = folder / f"{name}.mp4"
        make(film, args.seconds)
        rounds: list[tuple[dict[str, float], dict[str, float]]] = []
        for number in range(args.rounds):
            pair = []
            for way, classify in (("with", SECOND), ("without", "")):
                run = folder / f"{name}-{way}-{number}"
                run.mkdir()
                config = run / "config.yaml"
                config.write_text(
                    CONFIG.format(port=free_port(), folder=run, models=SHARED / "models", clip=film, classify=classify)
                )
                pair.append((way, config))
            found = {way: child(config) for way, config in (pair if number % 2 else pair[::-1])}
            rounds.append((found["with"], found["without"]))
            print(name, {way: {k: round(v, 2) for k, v in said.items()} for way, said in found.items()}, flush=True)
        for rate in ("fps", "per_cpu_s"):
            ratios = sorted(one[rate] / other[rate] for one, other in rounds)
            middle = statistics.median(ratios)
            print(f"{name}: {rate} with / without {middle:.3f} [{ratios[0]:.3f} - {ratios[-1]:.3f}]")
        print(f"{name}: most looks of a track beyond one a second: {max(one['most'] for one, _ in rounds):.2f}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each scene")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once is not None:
        print(json.dumps(once(args.once)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        measure(args, Path(temporary))
    print(environment())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
