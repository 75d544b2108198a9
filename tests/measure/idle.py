"""What idling saves and what it costs: the CPU of a quiet hour, and the events of films with idling and without.

    python tests/measure/idle.py quiet [--minutes 60] [--full-minutes 5] [--noise 1.5] [--crf 25] [--key-every 50]
    python tests/measure/idle.py films [--model FILE]
    python tests/measure/idle.py street [--seeds 20] [--heartbeat 10]

`quiet`: a scene of 1920x1080 at 25 frames a second in which nothing moves but the sensor's noise, drawn once for some
seconds and repeated. The process' CPU time of source, gate and desk, with idling and without, in the films' own time:
faster than real. Inference is left out: both would make the same few.

`films`: each shared film as it is, and encoded anew as cameras do (no B-frames, a key frame each two seconds), looked
at by a real network. `street`: drawn films, looked at by the truth.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from rig import SHARED, environment

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from idle_films import as_it_is, films, refilmed
from idle_watch import Reel, Told, Truth, Watch, detections, reel_of, timed
from passers_by import Street, camera_encoder, street_film

from streamer.core.event import EventType
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.motion.gate import MotionPlan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from streamer.core.frame import Frame
    from streamer.core.results import Detections

FPS = 25
SIZE = (1920, 1080)


def quiet_packets(seconds: int, *, noise: float, crf: float, key_every: int) -> list[av.Packet[Any]]:
    """Draw and encode a quiet scene."""
    street = Street([], width=SIZE[0], height=SIZE[1], noise=noise, seed=1)
    context = camera_encoder(*SIZE, fps=FPS, key_every=key_every, crf=crf)
    packets: list[av.Packet[Any]] = []
    planes = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
    for number in range(seconds * FPS):
        planes[: SIZE[1]] = street.luma(number / FPS)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    return (packets + context.encode(None))[key_every:]  # the very first key frame is larger than all that follow


def repeated(packets: Sequence[av.Packet[Any]], seconds: float) -> Reel:
    """Return the packets again and again, in time that goes on."""

    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    return Reel(context, timed(islice(cycle(packets), round(seconds * FPS)), fps=FPS))


def nobody(_frame: Frame) -> Detections:
    return detections([])


def quiet(minutes: float, full_minutes: float, *, noise: float, crf: float, key_every: int) -> None:
    """Measure a quiet hour."""
    packets = quiet_packets(30, noise=noise, crf=crf, key_every=key_every)
    sizes = [packet.size for packet in packets]
    print(f"{SIZE[0]}x{SIZE[1]}, {FPS} frames/s, a key frame each {key_every}, noise {noise}, crf {crf}:", end=" ")
    print(f"{sum(sizes) * 8 * FPS / len(sizes) / 1e6:.2f} Mbit/s, median packet {sorted(sizes)[len(sizes) // 2]} bytes")
    shares = {}
    for idle, length in ((False, full_minutes), (True, minutes)):
        watch = Watch(repeated(packets, 60 * length), nobody, idle=idle)
        began = time.process_time()
        watch.run()
        shares[idle] = (time.process_time() - began) / (60 * length)
        counts = watch.counts
        print(
            f"  {'idling' if idle else 'decoding all'}, {length:g} min: {100 * shares[idle]:.2f} % of a core, "
            f"{counts['decoded']} decoded ({len(watch.recalled)} recalled), {counts['idle']} left, "
            f"{counts['inferred']} inferred"
        )
    print(f"  idling costs {shares[True] / shares[False]:.3f} of decoding all")


def compared(name: str, watches: Sequence[Watch]) -> None:
    """Print what idling changed of the events."""
    everything, idling = (watch.run() for watch in watches)
    decoded = f"{idling.counts['decoded']} of {everything.counts['decoded']} decoded"
    print(f"{name}: {decoded}, {idling.counts['inferred']} of {everything.counts['inferred']} inferred")
    for kind in (EventType.START, EventType.END):
        before, now = everything.told(kind), idling.told(kind)
        same = [told.name for told in before] == [told.name for told in now]
        print(f"  {kind.value}: {len(before)} without, {len(now)} with{'' if same else '  DIFFERENT'}")
        if not same:
            print(f"    {_listed(before)}\n    {_listed(now)}")
        elif before:
            later = max(b.at_s - a.at_s for a, b in zip(before, now, strict=True))
            told = max(b.told_s - a.told_s for a, b in zip(before, now, strict=True))
            print(f"    later by at most {later:.2f} s, told later by at most {told:.2f} s")


def _listed(told: Sequence[Told]) -> str:
    return ", ".join(f"{one.name} {one.at_s:.1f}" for one in told)


class Network:
    """A real network, asked once for each picture of a film."""

    def __init__(self, name: str) -> None:
        spec = load_spec(name, options=SpecOptions())
        self.labels = spec.labels
        self._model = open_model(
            spec, backend="auto", precision="f32", latency=True, floor=0.4, iou=0.5, on_ready=lambda: None, threads=1
        )
        self._known: dict[int, Detections] = {}

    def begin(self) -> None:
        """Another film comes."""
        self._known.clear()

    def __call__(self, frame: Frame) -> Detections:
        at_ns = frame.info.captured_ns
        if at_ns not in self._known:
            (self._known[at_ns],) = self._model.collect(self._model.submit([frame.picture]))
        return self._known[at_ns]


def compare_films(model: str) -> None:
    """Compare the events of the shared films."""
    network = Network(model)
    for path in films(SHARED):
        network.begin()
        compared(
            f"{path.name} as it is",
            [Watch(as_it_is(path), network, labels=network.labels, idle=i) for i in (False, True)],
        )
        network.begin()
        packets, fps = refilmed(path)
        compared(
            f"{path.name} encoded anew",
            [Watch(reel_of(packets, fps=fps), network, labels=network.labels, idle=idle) for idle in (False, True)],
        )


def compare_streets(seeds: int, heartbeat_s: float) -> None:
    """Compare the events of drawn films.

    Whom the gate does not see a heartbeat may find, and idling changes when they come: one so long that there is none
    leaves that out.
    """
    plan = MotionPlan(heartbeat_s=heartbeat_s)
    for seed in range(seeds):
        film = street_film(seed)
        truth = Truth(film)
        watches = [Watch(reel_of(film.packets, fps=film.fps), truth, idle=idle, plan=plan) for idle in (False, True)]
        compared(f"street {seed} (noise {film.noise})", watches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quiet", "films", "street"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--full-minutes", type=float, default=5)
    parser.add_argument("--noise", type=float, default=1.5)
    parser.add_argument("--crf", type=float, default=25)
    parser.add_argument("--key-every", type=int, default=50)
    parser.add_argument("--model", default=str(SHARED / "models" / "yolox_nano_v8layout.onnx"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--heartbeat", type=float, default=10, help="s")
    options = parser.parse_args()
    print(environment())
    match options.what:
        case "quiet":
            quiet(
                options.minutes, options.full_minutes, noise=options.noise, crf=options.crf, key_every=options.key_every
            )
        case "films":
            compare_films(options.model)
        case _:
            compare_streets(options.seeds, options.heartbeat)


if __name__ == "__main__":
    main()
