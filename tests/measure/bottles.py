"""`objects/bottle` follows 3-2-3-1-2-3-2-3 of `bottle-detection.mp4`, served as a live camera at 1x.

python tests/measure/bottles.py [--model FILE] [--score 0.45]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rig import SHARED, broker, cameras, listening, rest, streamer, wait_until

# From the clip's own description: from so many seconds on there are so many bottles.
TRUTH = ((7.5, 2), (11.5, 3), (18.0, 1), (22.5, 2), (27.5, 3), (32.0, 2), (35.5, 3))
LENGTH_S = 39.9

CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}}}
data_dir: {folder}/data
models:
  coco: {{model: {model}, precision: f32}}
cameras:
  table:
    source: {source}
    detect: {{model: coco, classes: {{bottle: {score}}}}}
    publish_detections: true
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=str(SHARED / "models" / "yolox_nano_v8layout.onnx"))
    parser.add_argument("--score", type=float, default=0.45)
    args = parser.parse_args()
    clip = SHARED / "videos" / "bottle-detection.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = folder / "config.yaml"
        with (
            broker(folder / "broker") as mosquitto,
            listening(mosquitto.port) as heard,
            cameras("--clip", clip, "--once") as facts,
        ):
            config.write_text(
                CONFIG.format(
                    port=mosquitto.port, folder=folder, model=args.model, score=args.score, source=facts["urls"][0]
                )
            )
            with streamer(config, log=folder / "log"):
                wait_until(lambda: len(heard.on("table/detections")) > 0, 30, "a first result")
                rest(LENGTH_S + 3)
        sys.stderr.write((folder / "log").read_text())
    online = next(a for a in heard.on("table/status") if a.json()["state"] == "online")
    changes = [a for a in heard.on("objects/bottle") if a.json() is not None]
    print("began with", changes[0].json())
    worst = 0.0
    got = [((a.at_ns - online.at_ns) / 1e9, a.json()) for a in changes[1:]]
    for (at_s, number), (true_s, true_number) in zip(got, TRUTH, strict=False):
        worst = max(worst, abs(at_s - true_s) if number == true_number else 99.0)
        print(f"  {at_s:6.2f} s  {number}   truth {true_s:5.1f} s  {true_number}   {at_s - true_s:+.2f} s")
    sequence = [changes[0].json(), *(number for _, number in got)]
    print("sequence", sequence, "worst", f"{worst:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
