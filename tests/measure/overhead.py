"""CPU per frame outside inference and decoding: the whole pipeline on a file with a fake network, minus decoding alone.

    python tests/measure/overhead.py [--rounds 3] [--profile]

The fake network answers with one constant [1, 84, 8400] output in which some ten boxes pass, so that drawing the
canvas, the head, tracking, events, the per-frame feed and MQTT all do their usual work.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from rig import ROOT, broker, environment, listening

from streamer.app import open_run
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.errors import EndOfStream
from streamer.infer.backends.fake import FakeBackend

CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}}}
data_dir: {folder}/data{round}
models:
  net: {{model: {model}, precision: f32}}
cameras:
  file: {{source: {clip}, frames: every, detect: {{model: net, classes: {{class0: 0.4, class2: 0.4}}}}, publish_detections: true}}
"""  # noqa: E501  one line of YAML


def answer() -> np.ndarray:
    output = np.zeros((1, 84, 8400), np.float32)
    rng = np.random.default_rng(3)
    for i, column in enumerate(rng.choice(8400, 10, replace=False)):
        output[0, :4, column] = (60 + 55 * i, 300, 40, 90)
        output[0, 4 + 2 * (i % 2), column] = 0.8
    return output


def decoding(clip: Path) -> tuple[int, float]:
    """Return (frames, CPU s) of reading the clip through our own source and nothing else."""
    spec = SourceSpec(camera="file", url=str(clip), delivery=Delivery.EVERY)
    began, frames = time.process_time(), 0
    source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    try:
        while True:
            source.read()
            frames += 1
    except EndOfStream:
        source.close()
    return frames, time.process_time() - began


def pipeline(config: Path) -> float:
    """Return the CPU s of a whole run."""
    constant = answer()

    def open_fake(_spec: object, _kind: str, options: object) -> FakeBackend:
        return FakeBackend(lambda _: (constant,), input_spec=_spec.input, on_ready=options.on_ready)  # type: ignore[attr-defined]

    with mock.patch("streamer.ways.open_warm", open_fake), open_run(config, table=False) as run:
        began = time.process_time()
        code = run.run()
        spent = time.process_time() - began
    assert code == 0
    return spent


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, clip = folder / "net.onnx", folder / "clip.mp4"
        make = ["make", "--model", str(model), "--clip", str(clip), "--seconds", "20"]
        subprocess.run([sys.executable, str(Path(__file__).with_name("limits.py")), *make], check=True, cwd=ROOT)
        costs = []
        with broker(folder / "broker") as mosquitto, listening(mosquitto.port, "nothing"):
            for number in range(args.rounds):
                frames, decode_s = decoding(clip)
                config = folder / "config.yaml"
                config.write_text(
                    CONFIG.format(port=mosquitto.port, folder=folder, round=number, model=model, clip=clip)
                )
                if args.profile:
                    import cProfile  # noqa: PLC0415

                    with cProfile.Profile() as profile:
                        pipeline(config)
                    profile.print_stats("cumulative")
                whole_s = pipeline(config)
                costs.append((whole_s - decode_s) / frames * 1e3)
                print(f"decoding {decode_s / frames * 1e3:.2f} ms, whole {whole_s / frames * 1e3:.2f} ms a frame")
    print(environment())
    print(f"outside inference and decoding: {statistics.median(costs):.2f} ms a frame, rounds {costs}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
