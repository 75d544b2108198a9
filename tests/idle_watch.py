"""A camera's packets through the source, the gate and the desk, in the test's own time: what idling changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import numpy as np

from streamer.capture.av_source import LiveSource
from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.packets import Coded
from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream
from streamer.core.event import EventType
from streamer.core.frame import Frame, FrameInfo
from streamer.core.results import Detections, ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import default_rules
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.messages import CameraChange, CameraState
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from passers_by import Film

    from streamer.core.event import Event
    from streamer.pipeline.outcome import Outcome

_MODEL = ModelRef(name="truth", digest="sha256:0", backend="fake", precision="f32")
_BEGAN_NS = 1000 * NS_PER_S
_DELAY_NS = 30_000_000  # from the light to the packet's arrival


class Unit(NamedTuple):
    """A packet, its time stamp, and when it is sent, ns from the beginning."""

    packet: av.Packet[Any]
    pts_ns: int | None
    sent_ns: int


class Reel:
    """Encoded pictures as a connection gives them, each in its time, whatever the clock on the wall says."""

    def __init__(self, codec: av.VideoCodecContext, units: Iterable[Unit]) -> None:
        """Store.

        Args:
            codec: the decoder's context.
            units: packets in decoding order.
        """
        self._codec = codec
        self._units = iter(units)
        self.now_ns = _BEGAN_NS
        self.given = 0

    @property
    def codec(self) -> av.VideoCodecContext:
        return self._codec

    def next(self) -> Coded:
        for unit in self._units:
            self.given += 1
            self.now_ns = _BEGAN_NS + unit.sent_ns + _DELAY_NS
            key = unit.packet.is_keyframe
            return Coded(packet=unit.packet, pts_ns=unit.pts_ns, key=key, arrived_ns=self.now_ns, waited=True)
        raise EndOfStream

    def close(self) -> None:
        """Nothing is open."""


def reel_of(packets: Sequence[av.Packet[Any]], *, fps: float, codec: str = "h264") -> Reel:
    """Return a reel of packets without B-frames that hold their parameter sets."""
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    return Reel(context, timed(packets, fps=fps))


def timed(packets: Iterable[av.Packet[Any]], *, fps: float) -> Iterator[Unit]:
    """Yield packets, each with its time stamp, as a camera gives it."""
    for number, packet in enumerate(packets):
        at_ns = round(number * NS_PER_S / fps)
        packet.pts, packet.dts, packet.time_base = at_ns, at_ns, Fraction(1, NS_PER_S)
        yield Unit(packet, at_ns, at_ns)


@dataclass(frozen=True, slots=True)
class Told:
    """An event's start or end, s from the beginning, and when it was told."""

    name: str
    at_s: float
    told_s: float


@dataclass
class Watch:
    """One camera watched to its end. The detector answers at once."""

    reel: Reel
    detect: Callable[[Frame], Detections]
    labels: tuple[str, ...] = ("person",)
    idle: bool = True
    fps: float = 5.0
    plan: MotionPlan = field(default_factory=MotionPlan)
    events: list[tuple[Event, int]] = field(default_factory=list)  # and when each was told
    counts: Counter[str] = field(default_factory=Counter)
    recalled: list[float] = field(default_factory=list)  # s

    def __post_init__(self) -> None:
        objects = Objects(
            ObjectsPlan(
                camera="c",
                tracker=ObjectTracker(least=0.5),
                events=CameraEvents("c", default_rules(self.labels, None), self.labels, EventIds()),
                counts=ObjectCounts(range(len(self.labels))),
                labels=self.labels,
                levels=self.labels,
                publish_detections=None,
                max_age_ns=None,
            )
        )
        self._desk = CameraDesk(DeskPlan(camera="c", max_age_ns=None, objects=objects))
        self._desk.change(CameraChange(camera="c", state=CameraState.ONLINE, reason=None, since_utc_ns=0, connection=0))
        self._gate = Gated(
            GatePlan(
                gate=MotionGate(self.plan),
                settled_ns=self._desk.settled_ns,
                still=lambda still: self._note(self._desk.still(still.info)),
            )
        )

    def run(self) -> Watch:
        """Watch to the end."""
        spec = SourceSpec(
            camera="c",
            url="rtsp://192.0.2.1/x",
            delivery=Delivery.NEWEST,
            idle=self._gate.idle if self.idle else None,
        )
        source = LiveSource(self.reel, spec=spec, dropped=lambda cause, n: self.counts.update({cause.value: n}))
        cadence, seq = Cadence(self.fps), 0
        try:
            while True:
                grab = source.read()
                self.counts["decoded"] += 1
                info = FrameInfo(
                    camera="c", connection=0, seq=seq, captured_ns=grab.captured_ns, utc_ns=grab.captured_ns,
                    width=grab.picture.width, height=grab.picture.height, live=True, recalled=grab.recalled,
                )  # fmt: skip
                seq += 1
                self._show(Frame(info=info, picture=grab.picture), cadence)
        except EndOfStream:
            source.close()
        return self

    def _show(self, frame: Frame, cadence: Cadence) -> None:
        info = frame.info
        if info.recalled:
            self.recalled.append((info.captured_ns - _BEGAN_NS) / NS_PER_S)
        self._gate.watch(frame)
        if cadence.takes(info.captured_ns) and not self._gate.skips(frame):
            self.counts["inferred"] += 1
            timing = Timing(captured_ns=info.captured_ns, taken_ns=info.captured_ns, inferred_ns=info.captured_ns)
            result = Result(info=info, output=self.detect(frame), timing=timing, model=_MODEL)
            self._note(self._desk.result(result, self.reel.now_ns))
        self._note(self._desk.tick(self.reel.now_ns))

    def _note(self, outcome: Outcome) -> None:
        self.events += [(event, self.reel.now_ns) for event in outcome.events]

    def told(self, kind: EventType) -> list[Told]:
        """Return the starts, or the ends, in the order in which they were told."""
        return [
            Told(
                event.rule,
                _seconds(event.started_utc_ns if kind is EventType.START else event.ended_utc_ns),
                _seconds(now_ns),
            )
            for event, now_ns in self.events
            if event.type is kind
        ]


class Truth:
    """A detector that knows who is where in a drawn film."""

    def __init__(self, film: Film) -> None:
        self._film = film

    def __call__(self, frame: Frame) -> Detections:
        number = round((frame.info.captured_ns - _DELAY_NS - _BEGAN_NS) / NS_PER_S * self._film.fps)
        return detections(self._film.boxes[number])


def detections(boxes: Sequence[tuple[float, float, float, float]]) -> Detections:
    """Return boxes as what a detector is sure of."""
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        class_ids=np.zeros(len(boxes), np.int32),
    )


def _seconds(ns: int | None) -> float:
    return (ns or 0) / NS_PER_S - 1000
