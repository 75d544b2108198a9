"""What `streamer bench` costs the pipeline that it measures: one clip through `streamer run` alone, and under bench.

    python tests/measure/bench_overhead.py [--rounds 3] [--seconds 10]

`run` alone sends to mosquitto, and nobody listens; its rate is that of a long clip less that of a short one, so that
starting and ending are not in it. Both look at every frame and publish each one's detections. Order changes by turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rig import ROOT, broker, environment

from streamer.capture.record import record_scene

FPS, SHORT_S = 25, 8.0
CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}, drain: 1s}}
data_dir: {data}
models: {{net: {{model: shapes, precision: f32}}}}
cameras:
  file: {{source: {clip}, detect: {{model: net}}, publish_detections: true}}
"""


def run_once(folder: Path, port: int, clip: Path) -> tuple[float, float]:
    """Return wall and CPU s of `streamer run` on a clip."""
    config, data = folder / "run.yaml", Path(tempfile.mkdtemp(dir=folder))
    config.write_text(CONFIG.format(port=port, data=data, clip=clip))
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "streamer", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    wall_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in (0, 4), done.stderr  # 4: the drain is short
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def alone(folder: Path, port: int, long_s: float) -> tuple[float, float]:
    """Return frames a second, and CPU ms a frame."""
    short, long = (run_once(folder, port, folder / f"{name}.mp4") for name in ("short", "long"))
    frames = (long_s - SHORT_S) * FPS
    return frames / (long[0] - short[0]), (long[1] - short[1]) / frames * 1e3


def measured(folder: Path, seconds: float) -> tuple[float, float, float, float]:
    """Return frames a second, CPU ms a frame, and the cores that the bench itself and others used."""
    command = [sys.executable, "-m", "streamer", "bench", "--file", str(folder / "long.mp4"), "--model", "shapes"]
    command += ["--precision", "f32", "--rounds", "1", "--seconds", f"{seconds:g}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    report = json.loads(done.stdout)
    pipeline, used = report["pipeline"], report["cores_used_by"]
    return (
        pipeline["inferred_per_s"]["median"], pipeline["cpu_ms_per_frame"]["median"], used["bench"], used["foreign"]
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    long_s = 30 * args.seconds  # some 500 frames a second, and more, on a small machine
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, seconds in (("short", SHORT_S), ("long", long_s)):
            record_scene(folder / f"{name}.mp4", size=(640, 360), fps=FPS, seconds=seconds, seed=1)
        rates, costs = [], []
        with broker(folder / "broker") as mosquitto:
            for number in range(args.rounds):
                if number % 2:
                    under = measured(folder, args.seconds)
                    bare = alone(folder, mosquitto.port, long_s)
                else:
                    bare = alone(folder, mosquitto.port, long_s)
                    under = measured(folder, args.seconds)
                rates.append(under[0] / bare[0])
                costs.append(under[1] / bare[1])
                print(f"alone {bare[0]:.1f}/s {bare[1]:.3f} ms; under bench {under[0]:.1f}/s {under[1]:.3f} ms; "
                      f"cores: bench {under[2]:.3f}, others {under[3]:.2f}", flush=True)  # fmt: skip
    print(environment())
    print(f"under bench / alone: rate {statistics.median(rates):.3f} {[round(r, 3) for r in rates]}, "
          f"CPU a frame {statistics.median(costs):.3f} {[round(c, 3) for c in costs]}")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
