"""Frames a second of the whole pipeline on a file, against a bare inference loop and a plain loop, interleaved.

    python tests/measure/speed.py [--rounds 3] [--seconds 20] [--precision f32]

`pipeline`: `streamer run` on a 1920x1080 H.264 file with `every` and `publish_detections`; its rate is taken from the
first event's start to the last one's end, by their frames and their arrival, so that loading is not in it.
`bare`: OpenVINO with two requests in flight on one constant input, at the same precision and streams.
`plain`: cv2.VideoCapture, onnxruntime, cv2.dnn.NMSBoxes, paho.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rig import ROOT, Streamer, broker, environment, listening, wait_until

FPS = 25  # of the clip

CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}}}
data_dir: {folder}/data{round}
models:
  net: {{model: {model}, precision: {precision}}}
cameras:
  file:
    source: {clip}
    frames: every
    detect: {{model: net}}
    publish_detections: true
"""


def pipeline(folder: Path, port: int, args: argparse.Namespace, number: int, precision: str) -> float:
    config = folder / f"config{number}.yaml"
    config.write_text(
        CONFIG.format(
            port=port,
            folder=folder,
            round=f"{number}{precision}",
            model=args.model,
            clip=args.clip,
            precision=precision,
        )
    )
    with listening(port) as heard:  # to every frame's message too: it takes its share of the cores that are measured
        child = Streamer(config, log=folder / "log")
        child.process.wait(300)
        wait_until(lambda: heard.events()[-1]["end_reason"] == "source_ended", 5, "the last event")
    first, last = heard.on("file/event")[0], heard.on("file/event")[-1]
    frames = (_seconds(last.json()["captured_at"]) - _seconds(first.json()["captured_at"])) * FPS
    return frames / ((last.at_ns - first.at_ns) / 1e9)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def child(name: str, args: argparse.Namespace, *more: str) -> float:
    command = [sys.executable, str(Path(__file__).with_name("limits.py")), name, "--model", str(args.model), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(json.loads(done.stdout)["fps"])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--precisions", default="f32,bf16")
    parser.add_argument("--skip-plain", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        args.model, args.clip = folder / "net.onnx", folder / "clip.mp4"
        subprocess.run([sys.executable, str(Path(__file__).with_name("limits.py")), "make", "--model", str(args.model),
                        "--clip", str(args.clip), "--seconds", str(args.seconds)], check=True, cwd=ROOT)  # fmt: skip
        rates: dict[str, list[float]] = {}
        with broker(folder / "broker") as mosquitto:
            for number in range(args.rounds):
                for precision in args.precisions.split(","):
                    rates.setdefault(f"bare {precision}", []).append(child("bare", args, "--precision", precision))
                    rates.setdefault(f"pipeline {precision}", []).append(
                        pipeline(folder, mosquitto.port, args, number, precision)
                    )
                if not args.skip_plain:
                    rates.setdefault("plain", []).append(
                        child("plain", args, "--clip", str(args.clip), "--port", str(mosquitto.port))
                    )
                print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    print(environment())
    for name, values in rates.items():
        print(f"{name:15} {statistics.median(values):6.1f} fps  [{min(values):.1f} - {max(values):.1f}]")
    for precision in args.precisions.split(","):
        pairs = zip(rates[f"pipeline {precision}"], rates[f"bare {precision}"], strict=True)
        print(f"pipeline / bare, {precision}: {statistics.median(a / b for a, b in pairs):.2f}")
    if not args.skip_plain:
        first = args.precisions.split(",")[0]
        pairs = zip(rates[f"pipeline {first}"], rates["plain"], strict=True)
        print(f"pipeline {first} / plain: {statistics.median(a / b for a, b in pairs):.2f}")
    return 0


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - began:.0f} s")
    raise SystemExit(code)
