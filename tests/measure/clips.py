"""What it costs to record: eight cameras at 1080p25 with a clip of each being written all the time.

    python tests/measure/clips.py [--cameras 8] [--seconds 60] [--live 30]

Two figures. What clips add to cameras that are read anyway: packets of a noisy picture (about 4 Mbit/s, a key frame
every 2 s) are put on eight tapes and written, finished and told, in virtual time, as fast as it goes; CPU of that must
be under 5 % of a core. And what eight `record` streams of their own cost in all, received by RTSP from another
process, in real time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import av
from rig import cameras
from servers.clip import bar_coded_clip

from streamer.capture.av_source import open_packets
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.cut import cutter, leftover
from streamer.capture.packets import Coded
from streamer.capture.tape import CodecFacts, Tape
from streamer.core.clock import NS_PER_S, SystemClock
from streamer.evidence.clips import Clips, ClipsPlan, SavedClip
from streamer.evidence.files import EvidenceFolder
from streamer.pipeline.backoff import Backoff
from streamer.pipeline.record_loop import Recording, RecordingPlan
from streamer.pipeline.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from servers.clip import Clip

MOST = 0.05  # of a core
FPS = 25
NOISE = 1.6  # grey levels: 4 Mbit/s
CLIP_S = 25.0  # five before, fifteen of an event, five after
TICK_NS = NS_PER_S // 4


class Recorder:
    """Clips of several cameras, one after the other without a pause."""

    def __init__(self, root: Path, tapes: Mapping[str, Tape]) -> None:
        root.mkdir()
        self.told: list[SavedClip] = []
        self.counts: Counter[str] = Counter()
        self.cpu_s = 0.0
        self._names = list(tapes)
        self._began: dict[str, int] = {}
        self._number = 0
        plan = ClipsPlan(
            folder=EvidenceFolder(root, min_free_bytes=0),
            open_cut=cutter(tapes),
            open_leftover=leftover,
            longest_ns=dict.fromkeys(tapes, 300 * NS_PER_S),
            told=self.told.append,
            count=lambda _, counter, n: self.counts.update({counter: n}),
        )
        self.clips = Clips(plan, clock=SystemClock())

    def step(self, now_ns: int) -> None:
        """Begin and end clips, each camera in a turn of its own, and write what has come."""
        began = time.thread_time()
        length_ns = round(CLIP_S * NS_PER_S)
        for place, name in enumerate(self._names):
            turn = now_ns // NS_PER_S + 3 * place
            if self._began.get(name) != turn // int(CLIP_S):
                self._began[name] = turn // int(CLIP_S)
                self._number += 1
                event = f"{self._number:08x}-7d1e-7c44-9a31-5f1f0c7b2a10"
                self.clips.begin(event, name, now_ns - 5 * NS_PER_S)
                self.clips.end(event, now_ns - 5 * NS_PER_S + length_ns)
        self.clips.step(now_ns)
        self.cpu_s += time.thread_time() - began


def added(clip: Clip, count: int, seconds: float, root: Path) -> float:
    """Return the share of a core that tapes and clips take where the packets are there anyway."""
    packets = [av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals)) for unit in clip.units]
    keys = [unit.key for unit in clip.units]
    tapes = {f"cam{n}": Tape(seconds=10.0) for n in range(count)}
    for tape in tapes.values():
        tape.begin(CodecFacts(codec="h264", extradata=b""))
    recorder = Recorder(root, tapes)
    next_ns, taping_s = 0, 0.0
    for number in range(round(seconds * FPS)):
        now_ns, place = number * NS_PER_S // FPS, number % len(packets)
        coded = Coded(packet=packets[place], pts_ns=now_ns, key=keys[place], arrived_ns=now_ns, waited=True)
        began = time.thread_time()
        for tape in tapes.values():
            tape.put(coded, now_ns)
        taping_s += time.thread_time() - began
        if now_ns >= next_ns:
            next_ns += TICK_NS
            recorder.step(now_ns)
    recorder.clips.close(lambda: True)
    written = sum(clip.nbytes for clip in recorder.told)
    print(f"  {len(recorder.told)} clips, {written / 1e6:.0f} MB, {dict(recorder.counts)}")
    print(f"  tapes {taping_s / seconds:.2%} of a core, clips {recorder.cpu_s / seconds:.2%}")
    return (taping_s + recorder.cpu_s) / seconds


def live(count: int, seconds: float, root: Path) -> float:
    """Return the share of a core that so many `record` streams take in all, from the socket to the disk."""
    with cameras("--cameras", str(count), "--noise", str(NOISE), "--gop", str(2 * FPS)) as served:
        tapes = {f"cam{n}": Tape(seconds=10.0) for n in range(count)}
        recorder, stop, counts = Recorder(root, tapes), threading.Event(), Counter[str]()
        workers = []
        for (name, tape), url in zip(tapes.items(), served["urls"], strict=True):
            plan = RecordingPlan(
                spec=SourceSpec(camera=name, url=url, delivery=Delivery.NEWEST, tape=tape),
                open_packets=open_packets,
                backoff=Backoff(random.Random(1)),
                count=lambda counter, n: counts.update({counter: n}),
            )
            loop = Recording(plan, clock=SystemClock(), stop=stop, beat=lambda: None).loop
            workers.append(Worker(f"record-{name}", loop))
        for worker in workers:
            worker.start()
        time.sleep(3.0)  # all are connected
        began_s, began_ns = time.process_time(), time.monotonic_ns()
        while (now_ns := time.monotonic_ns()) < began_ns + seconds * NS_PER_S:
            recorder.step(now_ns)
            time.sleep(TICK_NS / NS_PER_S)
        share = (time.process_time() - began_s) / ((time.monotonic_ns() - began_ns) / NS_PER_S)
        print(
            f"  {len(recorder.told)} clips, of which the evidence thread {recorder.cpu_s / seconds:.2%}, {dict(counts)}"
        )
        stop.set()
        for worker in workers:
            worker.join(5.0)
        recorder.clips.close(lambda: True)
    return share


def main() -> int:
    """Measure; 0 if clips cost as little as they should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--live", type=float, default=30.0, help="seconds of real time; 0: not at all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        clip = bar_coded_clip(width=1920, height=1080, fps=FPS, seconds=10.0, gop=2 * FPS, noise=NOISE)
        rate = sum(len(nal) for unit in clip.units for nal in unit.nals) * 8 / 10 / 1e6
        print(f"{args.cameras} cameras, 1080p{FPS}, {rate:.1f} Mbit/s each")
        print("added to cameras that are read anyway:")
        share = added(clip, args.cameras, args.seconds, root / "added")
        print(f"  together {share:.2%} of a core (at most {MOST:.0%})")
        if args.live:
            print("record streams of their own, from the socket to the disk:")
            print(f"  {live(args.cameras, args.live, root / 'live'):.2%} of a core")
    return 0 if share < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
