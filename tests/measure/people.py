"""One event for each stay of a person in `one-by-one-person-detection.mp4`, as a file and as a live camera.

python tests/measure/people.py file|live [--model FILE] [--precision f32]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from rig import SHARED, broker, cameras, listening, streamer, wait_until

# From the clips' own description: a person is in view, seconds of the clip.
STAYS = ((6.5, 19.0), (23.0, 44.5), (51.0, 69.0), (74.5, 86.5), (92.5, 119.0), (123.5, 135.5))
LENGTH_S = 139.4

CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}}}
data_dir: {folder}/data
models:
  coco: {{model: {model}, precision: {precision}}}
cameras:
  hall:
    source: {source}
    detect: {{model: coco, classes: {{person: 0.4}}{fps}}}
"""


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("how", choices=("file", "live"))
    parser.add_argument("--model", default=str(SHARED / "models" / "yolox_nano_v8layout.onnx"))
    parser.add_argument("--precision", default="f32")
    args = parser.parse_args()
    clip = SHARED / "videos" / "one-by-one-person-detection.mp4"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with broker(folder / "broker") as mosquitto, listening(mosquitto.port) as heard:
            if args.how == "file":
                origin = run(folder, mosquitto.port, str(clip), args)
            else:
                with cameras("--clip", clip, "--once") as facts:
                    origin = run(folder, mosquitto.port, facts["urls"][0], args)
            wait_until(lambda: len(heard.events()) > 0, 10, "an event")
            events = heard.events()
            first = next(a.json() for a in heard.on("hall/status") if a.json()["state"] == "online")
    origin_s = seconds(first["since"]) if origin is None else origin
    return report(events, origin_s)


def run(folder: Path, port: int, source: str, args: argparse.Namespace) -> float | None:
    config = folder / "config.yaml"
    live = source.startswith("rtsp")
    config.write_text(
        CONFIG.format(
            port=port,
            folder=folder,
            model=args.model,
            precision=args.precision,
            source=source,
            fps="" if live else ", fps: 0",
        )
    )
    with streamer(config, log=folder / "log") as child:
        try:
            child.process.wait(LENGTH_S + 6 if live else 300)
        except Exception:  # noqa: BLE001  a live camera does not end by itself
            child.stop()
    sys.stderr.write((folder / "log").read_text())
    return None


def report(events: list[dict[str, Any]], origin_s: float) -> int:
    stays: dict[str, dict[str, Any]] = {}
    for event in events:
        stays.setdefault(event["id"], {})[event["type"]] = event
    rows = []
    for stay in stays.values():
        start = stay.get("start", {})
        end = stay.get("end", {})
        rows.append(
            (
                seconds(start["started_at"]) - origin_s,
                seconds(end["ended_at"]) - origin_s if end else float("nan"),
                end.get("end_reason"),
                start["top_score"],
            )
        )
    rows.sort()
    print(f"{len(rows)} events for {len(STAYS)} stays")
    worst = 0.0
    for start_s, end_s, reason, score in rows:
        nearest = min(STAYS, key=lambda stay: abs(stay[0] - start_s))
        inside = any(a - 1 <= start_s <= b for a, b in STAYS)
        first_of_stay = abs(nearest[0] - start_s)
        worst = max(worst, first_of_stay if inside else 99)
        truth = f"truth {nearest[0]} .. {nearest[1]}  off {start_s - nearest[0]:+.2f} s"
        print(f"  {start_s:7.2f} .. {end_s:7.2f}  {reason}  {score:.2f}  {truth}")
    print(f"worst start: {worst:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
