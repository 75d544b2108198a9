"""From the last packet of a frame at the camera to its MQTT message, on live 1080p25 RTSP cameras.

    python tests/measure/latency.py [--cameras 1] [--minutes 3] [--precision f32] [--size 1920x1080]

The cameras send bar-coded frames from a process of their own and note when the last packet of each left. A message is
paired with its frame by its capture time, which lies within half a frame interval of the sending.
"""

from __future__ import annotations

import argparse
import bisect
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rig import ROOT, Arrival, broker, cameras, environment, listening, quantile, rest, streamer, wait_until

CONFIG = """\
mqtt: {{url: mqtt://127.0.0.1:{port}}}
data_dir: {folder}/data
models:
  net: {{model: {model}, precision: {precision}}}
cameras:
"""
CAMERA = """\
  cam{n}:
    source: {url}
    detect: {{model: net, fps: 0}}
    publish_detections: true
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--fps", type=int, default=25)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, clip, times, config = folder / "net.onnx", folder / "clip.mp4", folder / "times", folder / "config.yaml"
        make = ["make", "--model", str(model), "--clip", str(clip), "--seconds", "1"]
        limits = Path(__file__).with_name("limits.py")
        subprocess.run([sys.executable, str(limits), *make], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        serve = ["--cameras", args.cameras, "--size", args.size, "--fps", args.fps, "--times", times]
        with (
            broker(folder / "broker") as mosquitto,
            listening(mosquitto.port) as heard,
            cameras(*map(str, serve)) as facts,
        ):
            text = CONFIG.format(port=mosquitto.port, folder=folder, model=model, precision=args.precision)
            config.write_text(text + "".join(CAMERA.format(n=n, url=url) for n, url in enumerate(facts["urls"])))
            utc_offset_ns = time.time_ns() - time.monotonic_ns()
            with streamer(config, log=folder / "log") as child:
                wait_until(lambda: len(heard.on("/detections")) > 10, 60, "the first results")
                memory = []
                for _ in range(round(args.minutes * 6)):
                    cpu_s, began = child.cpu_s(), time.monotonic()
                    rest(10)
                    memory.append((child.rss_mib(), (child.cpu_s() - cpu_s) / (time.monotonic() - began)))
            stats = [a.json() for a in heard.on("streamer/stats")]
        sys.stderr.write((folder / "log").read_text())
        sent: dict[str, list[int]] = {}
        for line in times.read_text().splitlines():
            path, _, sent_ns = line.split(",")
            sent.setdefault(path.replace("/cam", "cam") if args.cameras > 1 else "cam0", []).append(int(sent_ns))
    print(environment())
    for name in sorted(sent):
        report(name, sorted(sent[name]), heard.on(f"{name}/detections"), utc_offset_ns, args.fps)
    print("RSS MiB and cores used, each 10 s:", " ".join(f"{m:.0f}/{c:.2f}" for m, c in memory))
    print("last statistics:", stats[-1] if stats else None)
    return 0


def report(name: str, sent: list[int], feed: list[Arrival], utc_offset_ns: int, fps: int) -> None:
    ages: list[tuple[float, float]] = []
    reported = []
    for arrival in feed:
        message = arrival.json()
        captured = datetime.fromisoformat(message["captured_at"].replace("Z", "+00:00")).timestamp()
        captured_ns = round(captured * 1e9) - utc_offset_ns
        index = bisect.bisect_right(sent, captured_ns + round(0.5e9 / fps)) - 1
        if index < 0 or abs(sent[index] - captured_ns) > 0.6e9 / fps:
            continue
        ages.append((arrival.at_ns / 1e9, (arrival.at_ns - sent[index]) / 1e6))
        reported.append(message["age_ms"])
    first = ages[0][0]
    settled = [age for at, age in ages if at - first > 5]
    duration = ages[-1][0] - first
    print(
        f"{name}: {len(feed)} messages in {duration:.0f} s ({len(feed) / duration:.1f}/s), paired {len(ages)}; "
        f"p50 {quantile(settled, 0.5):.0f} ms, p95 {quantile(settled, 0.95):.0f}, p99 {quantile(settled, 0.99):.0f}, "
        f"max {max(settled):.0f}; reported age p50 {quantile(reported, 0.5):.0f}"
    )
    minutes: dict[int, list[float]] = {}
    for at, age in ages:
        minutes.setdefault(int((at - first) // 60) + 1, []).append(age)
    print(
        "  p50/p99 by minute:",
        " ".join(f"{m}:{quantile(v, 0.5):.0f}/{quantile(v, 0.99):.0f}" for m, v in minutes.items()),
    )


if __name__ == "__main__":
    raise SystemExit(main())
