"""What the shipped network finds on drawn boards: recall of each kind, boards judged rightly, what a board costs.

python tests/measure/boards.py [--boards 200] [--seed 0] [--score 0.5] [--model pcb-defects] [--backend auto]
    [--save DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from streamer.board_reports import Found
from streamer.capture.scenes.boards import KINDS, Boards
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.pixels.convert import picture_of_bgr, use_one_thread
from streamer.tally import match

if TYPE_CHECKING:
    from streamer.capture.scenes.shapes import SceneFrame

SIZE = (640, 640)
_TRUTH, _ANSWER = (0, 160, 0), (0, 0, 255)  # B G R


@dataclass(slots=True)
class Tally:
    """What came of the boards that were looked at."""

    drawn: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    invented: Counter[str] = field(default_factory=Counter)  # where nothing of that kind was drawn
    boards: Counter[str] = field(default_factory=Counter)  # "bad rejected", "good rejected", ...


def judge(tally: Tally, frame: SceneFrame, found: list[Found]) -> bool:
    """Count one board; tell whether anything was missed or invented."""
    hit, invented = match(found, frame.objects)
    tally.drawn.update(defect.kind for defect in frame.objects)
    tally.found.update(hit)
    tally.invented.update(invented)
    tally.boards[f"{'bad' if frame.objects else 'good'} {'rejected' if found else 'accepted'}"] += 1
    return bool(invented) or len(hit) < len(frame.objects)


def mark(frame: SceneFrame, found: list[Found], path: Path) -> None:
    """Save a board with the truth in green and the answer in red."""
    bgr = frame.bgr.copy()
    marks = [(o.kind, o.box, _TRUTH) for o in frame.objects]
    marks += [(f"{each.kind} {each.score:.2f}", each.box, _ANSWER) for each in found]
    for text, box, colour in marks:
        x1, y1, x2, y2 = (round(side) for side in box)
        cv2.rectangle(bgr, (x1, y1), (x2, y2), colour, 1)
        cv2.putText(bgr, text, (x1, y1 - 3 if colour == _TRUTH else y2 + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)
    cv2.imwrite(str(path), bgr)


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--model", default="pcb-defects")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--save", type=Path, help="folder for the boards on which something is wrong")
    args = parser.parse_args()
    use_one_thread()
    spec = load_spec(args.model, options=SpecOptions())
    model = open_model(
        spec, backend=args.backend, precision="f32", latency=True, floor=args.score, iou=0.5, on_ready=lambda: None
    )
    scene, tally, drawing_s = Boards(args.seed, *SIZE), Tally(), 0.0
    with contextlib.closing(model):
        for index in range(args.boards):
            began_s = time.thread_time()
            frame = scene.at(index / 2)
            drawing_s += time.thread_time() - began_s
            (detections,) = model.collect(model.submit([picture_of_bgr(frame.bgr)]))
            found = [Found(kind=spec.labels[d.class_id], score=d.score, box=d.box) for d in detections]
            if judge(tally, frame, found) and args.save:
                args.save.mkdir(parents=True, exist_ok=True)
                mark(frame, found, args.save / f"{index:04d}.png")
    report(tally, drawing_ms=drawing_s / args.boards * 1e3)


def report(tally: Tally, *, drawing_ms: float) -> None:
    """Print the figures."""
    out = sys.stdout
    for kind in KINDS:
        count = tally.drawn[kind]
        out.write(f"{kind:10} {tally.found[kind]:4} of {count:4}  {tally.found[kind] / max(1, count):.3f}\n")
    out.write(f"all        {tally.found.total():4} of {tally.drawn.total():4}  ")
    out.write(f"{tally.found.total() / max(1, tally.drawn.total()):.3f}\n")
    out.write(f"invented: {dict(tally.invented)}\n")
    out.write(f"boards: {dict(sorted(tally.boards.items()))}\n")
    out.write(f"drawing a board: {drawing_ms:.1f} ms of CPU\n")


if __name__ == "__main__":
    main()
