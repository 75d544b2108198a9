"""How far the events before a drawn doorway can be trusted: what is told, what is missed, and what was never there.

python tests/measure/trust.py [--scenes 12] [--seconds 540] [--empty-hours 1] [--size 640x360] [--seed N]

Gate, network, tracker and rules run in the scene's own time; seeds are drawn anew unless one is given.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from doorway_watch import EVERY, FPS, Watch, by_network, drawn_weather, judged, open_doorway

from streamer.capture.scenes.doorway import Doorway
from streamer.capture.scenes.doorway_story import happenings

if TYPE_CHECKING:
    from streamer.infer.model import Model

_EMPTY_SCENES = 6  # of which an hour is made up: one house may be kinder than another


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=540.0, help="of each scene")
    parser.add_argument("--empty-hours", type=float, default=1.0)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seed", type=int, default=None, help="of the first scene; the others count up from it")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    first = random.SystemRandom().randrange(10**9) if args.seed is None else args.seed
    width, height = (int(side) for side in args.size.split("x"))
    model = open_doorway()
    visited(model, first, args, (width, height))
    empty(model, first + args.scenes, args, (width, height))
    model.close()
    return 0


def visited(model: Model, first: int, args: argparse.Namespace, size: tuple[int, int]) -> None:
    named, found, false = Counter[str](), Counter[str](), Counter[str]()
    frames = inferred = 0
    for seed in range(first, first + args.scenes):
        began, weather = time.monotonic(), drawn_weather(seed)
        watched = Watch(by_network(model)).run(Doorway(seed, *size, weather=weather), seconds=args.seconds, size=size)
        truth = happenings(seed, until_s=args.seconds)
        verdict = judged(watched.said, truth)
        print(
            f"seed {seed}, wind {weather.wind:.1f}, rain {weather.rain:.1f}: {len(verdict.found)} of {verdict.named},"
            f" false {len(verdict.false)}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for what in (*(f"  missed {h}" for h in verdict.missed), *(f"  false {s}" for s in verdict.false)):
            print(what)
        named.update(h.what.value for h in truth)
        found.update(h.what.value for h in verdict.found)
        false.update(s.rule for s in verdict.false)
        frames, inferred = frames + watched.frames, inferred + watched.inferred
    if named:
        shares = ", ".join(f"{what} {found[what]} of {named[what]}" for what in named)
        print(f"recall {found.total() / named.total():.3f} ({shares}); false: {dict(false)}")
        print(f"inferred {inferred} of {frames // EVERY} frames")


def empty(model: Model, first: int, args: argparse.Namespace, size: tuple[int, int]) -> None:
    said: list[object] = []
    frames = inferred = 0
    for seed in range(first, first + _EMPTY_SCENES):
        weather = drawn_weather(seed, windy=True)
        scene = Doorway(seed, *size, weather=weather, visitors=0.0)
        seconds = args.empty_hours * 3600 / _EMPTY_SCENES
        watched = Watch(by_network(model)).run(scene, seconds=seconds, size=size)
        print(f"empty, seed {seed}, wind {weather.wind:.1f}, rain {weather.rain:.1f}: told", *watched.said, flush=True)
        said += watched.said
        frames, inferred = frames + watched.frames, inferred + watched.inferred
    print(f"{len(said)} false events in {frames / FPS / 3600:.2f} h; inferred {inferred} of {frames // EVERY} frames")


if __name__ == "__main__":
    sys.exit(main())
