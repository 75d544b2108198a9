"""What pictures of events cost, which views of a clip are pictured, and what 100,000 old files cost.

python tests/measure/pictures.py cost
python tests/measure/pictures.py files [--events 33333]
python tests/measure/pictures.py views CLIP [--model FILE] [--fps 5] [--seconds 60] [--classes 0] [--save sheet.png]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from rig import SHARED

from streamer.core.frame import FrameInfo, Picture, PixelFormat
from streamer.core.results import ModelRef
from streamer.events.sighting import Sighting
from streamer.evidence.files import EvidenceFolder, names_of
from streamer.evidence.retention import Retention
from streamer.evidence.stills import Marked, Shot, drawn
from streamer.evidence.views import BestViews
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.pipeline.views_desk import Views, ViewsPlan
from streamer.pixels.convert import use_one_thread
from streamer.pixels.sharpness import sharpness
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NS = 1_000_000_000
LEAST_HITS = 3  # sightings before an object counts as an event here


def picture_of(i420: NDArray[np.uint8], width: int, height: int) -> Picture:
    """Return a picture as a decoder gives it, of whole planes (3 * H / 2, W)."""
    luma, colour = i420.reshape(-1)[: width * height], i420.reshape(-1)[width * height :]
    u, v = colour.reshape(2, height // 2, width // 2)
    planes = (luma.reshape(height, width), u, v)
    return Picture(format=PixelFormat.I420, planes=planes, width=width, height=height)


def info_of(picture: Picture, seq: int, at_s: float) -> FrameInfo:
    return FrameInfo(
        camera="a", connection=0, seq=seq, captured_ns=round(at_s * NS), utc_ns=0, width=picture.width,
        height=picture.height, live=True,
    )  # fmt: skip


def cost() -> None:
    """Draw the pictures of a view of a 1080p frame, a photograph, over and over."""
    bgr = cv2.resize(np.asarray(cv2.imread(str(SHARED / "images" / "bus.jpg"))), (1920, 1080))
    picture = picture_of(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8), 1920, 1080)
    mark = Marked((100, 400, 500, 900), "person", 0, 0.9)
    shot = Shot(camera="a", event_id="a", picture=picture, boxes=(mark,), info=info_of(picture, 0, 0))
    for name, work in (("three pictures", lambda: drawn(shot)), ("sharpness", lambda: _sharp(picture))):
        times = []
        for _ in range(21):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
        print(f"{name}: {sorted(times)[10] * 1e3:.2f} ms of CPU (median of 21)")
    stills = drawn(shot)
    print("kB:", [round(len(jpeg) / 1000) for jpeg in (stills.boxed, stills.clean, stills.thumb)])


def _sharp(picture: Picture) -> float:
    return sharpness(picture, (100, 400, 500, 900))


def files(events: int) -> None:
    """Have retention find what earlier runs have left, three pictures an event, and then remove it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = EvidenceFolder(Path(temporary), min_free_bytes=0)
        for number in range(events):
            names = list(names_of(f"c{number % 10}/{number:08x}-7d1e-7c44-9a31-5f1f0c7b2a10"))[:3]
            folder.path(*names[0]).parent.mkdir(parents=True, exist_ok=True)
            for name in names:
                folder.path(*name).write_bytes(b"x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        retention = Retention(folder, max_age_s=1e9, max_bytes=1 << 40)
        looks = list(_sweeps(retention))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"looked at: {len(looks)} sweeps, {_ms(looks)}; {grown:.0f} MiB of memory")
        quiet = [_timed(retention) for _ in range(100)]
        print(f"nothing to do: {sorted(quiet)[50] * 1e6:.0f} us")
        emptied = Retention(folder, max_age_s=1e9, max_bytes=0)
        print(f"all removed: {_ms(list(_sweeps(emptied))[len(looks) :])}")


def _timed(retention: Retention) -> float:
    began = time.perf_counter()
    retention.sweep(time.time())
    return time.perf_counter() - began


def _sweeps(retention: Retention) -> Iterator[float]:
    while retention.busy:
        yield _timed(retention)


def _ms(times: list[float]) -> str:
    times = sorted(times)
    return f"median {times[len(times) // 2] * 1e3:.1f} ms, longest {times[-1] * 1e3:.1f} ms"


def views(args: argparse.Namespace) -> None:
    """Track what a detector finds in a clip, and picture each object's best views, one row of small ones each."""
    options = SpecOptions(head=args.head, labels=args.labels)
    spec = load_spec(args.model, options=options)
    model = open_model(
        spec, backend="onnxruntime", precision="f32", latency=True, floor=0.3, iou=0.5, on_ready=lambda: None, threads=1
    )
    tracker, shots, shown = ObjectTracker(least=0.5, memory_s=2.0), list[Shot](), dict[int, Picture]()
    plan = ViewsPlan(
        camera="a", labels=spec.labels, picture_of=lambda info: shown.get(info.seq), best=BestViews(),
        offer=shots.append,
    )  # fmt: skip
    desk, ref, seq = Views(plan), ModelRef(name=spec.name, digest="", backend="", precision=""), 0
    for seq, (at_s, picture) in enumerate(_pictures(args.clip, args.fps, args.seconds)):
        (found,) = model.collect(model.submit([picture]))
        found = found[np.isin(found.class_ids, args.classes)]
        info = info_of(picture, seq, at_s)
        shown.clear()
        shown[seq] = picture
        tracks = [t for t in tracker.update(found, info.captured_ns).tracks if t.hits >= LEAST_HITS]
        seen = [Sighting(info=info, model=ref, class_id=t.class_id, score=t.score, box=t.box) for t in tracks]
        desk.look(info, [(str(track.id), sighting) for track, sighting in zip(tracks, seen, strict=True)])
    model.close()
    rows = {shot.event_id: [s for s in shots if s.event_id == shot.event_id] for shot in shots}
    print(f"{seq + 1} looks, {len(rows)} objects, {len(shots)} pictures:", [len(row) for row in rows.values()])
    if args.save is not None and rows:
        cv2.imwrite(str(args.save), np.vstack([_row(row) for row in rows.values()]))


def _pictures(clip: Path, fps: float, seconds: float) -> Iterator[tuple[float, Picture]]:
    next_s = 0.0
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and next_s <= frame.time < seconds:
                next_s = frame.time + 1 / fps - 1e-3
                yield frame.time, picture_of(frame.to_ndarray(format="yuv420p"), frame.width, frame.height)


def _row(shots: list[Shot], most: int = 8) -> NDArray[np.uint8]:
    cells = np.zeros((120, most * 160, 3), np.uint8)
    for column, shot in enumerate(shots[:most]):
        small = cv2.imdecode(np.frombuffer(drawn(shot).thumb, np.uint8), cv2.IMREAD_COLOR)
        cells[:, column * 160 : column * 160 + 160] = cv2.resize(np.asarray(small), (160, 120))
    return cells


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("cost")
    kinds.add_parser("files").add_argument("--events", type=int, default=33_333)
    clip = kinds.add_parser("views")
    clip.add_argument("clip", type=Path)
    clip.add_argument("--model", default=str(SHARED / "models" / "yolox_nano_416.onnx"))
    clip.add_argument("--head", default="yolox")
    clip.add_argument("--labels", default="coco80")
    clip.add_argument("--fps", type=float, default=5.0)
    clip.add_argument("--seconds", type=float, default=60.0)
    clip.add_argument("--classes", type=int, nargs="+", default=[0])
    clip.add_argument("--save", type=Path)
    args = parser.parse_args()
    use_one_thread()
    if args.what == "cost":
        cost()
    elif args.what == "files":
        files(args.events)
    else:
        views(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
