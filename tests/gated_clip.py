"""Watches pictures as a camera's pipeline does, in their own time: gate, parts, detector, tracks, rules. No thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream
from streamer.core.event import EventType
from streamer.core.frame import Frame, FrameInfo
from streamer.core.results import ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import default_rules
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.cadence import Cadence
from streamer.pipeline.closer_looks import CloserLooks, pictures_of
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.frames import FrameQueue, Lane, Mark
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.messages import CameraChange, CameraState
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.pipeline.outlets import DetectorOutlet, DetectorPlan
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from streamer.core.event import Event
    from streamer.core.frame import AnyPicture
    from streamer.core.results import Detections
    from streamer.infer.network import Network
    from streamer.pipeline.outcome import Outcome

_MODEL = ModelRef(name="m", digest="sha256:0", backend="openvino", precision="f32")
BEGAN_NS = 1000 * NS_PER_S


class Shot(NamedTuple):
    """One picture, and when it was taken, s from the beginning."""

    picture: AnyPicture
    at_s: float


class Spell(NamedTuple):
    """One event, s from the beginning."""

    name: str
    begin_s: float
    end_s: float | None


def shots_of(path: Path, until_s: float = 1e9) -> Iterator[Shot]:
    """Read a recording."""
    spec = SourceSpec(camera="c", url=str(path), delivery=Delivery.EVERY, epoch_ns=0)
    source = open_source(spec, stopping=lambda: False, dropped=lambda _cause, _n: None)
    try:
        while (grab := source.read()).captured_ns < until_s * NS_PER_S:
            yield Shot(grab.picture, grab.captured_ns / NS_PER_S)
    except EndOfStream:
        return
    finally:
        source.close()


class Answers:
    """What a model says of pictures, each asked for once: runs that see the same frames share it."""

    def __init__(self, model: Network[Detections]) -> None:
        self._model = model
        self._known: dict[tuple[int, object], Detections] = {}

    def __call__(self, frame: Frame) -> list[Detections]:
        """Return the answers to the whole, and to each part."""
        said = []
        for part, picture in zip([None, *frame.zoom], pictures_of(frame), strict=True):
            key = frame.info.captured_ns, part
            if key not in self._known:
                (self._known[key],) = self._model.collect(self._model.submit([picture]))
            said.append(self._known[key])
        return said


@dataclass
class GatedCamera:
    """One camera. The detector answers at once."""

    answers: Callable[[Frame], Sequence[Detections]]  # to the whole of a frame, and to each part
    labels: tuple[str, ...]
    least: Mapping[int, float] | float = 0.5
    gated: bool = True
    zoom: tuple[int, int] | None = None  # the network's input, px: small regions are zoomed at
    fps: float = 5.0
    events: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        wanted = range(len(self.labels)) if isinstance(self.least, float) else self.least
        objects = Objects(
            ObjectsPlan(
                camera="c",
                tracker=ObjectTracker(least=self.least),
                events=CameraEvents("c", default_rules(self.labels, wanted), self.labels, EventIds()),
                counts=ObjectCounts(wanted),
                labels=self.labels,
                levels=self.labels,
                publish_detections=None,
                max_age_ns=None,
            )
        )
        self._desk = CameraDesk(DeskPlan(camera="c", max_age_ns=None, objects=objects))
        self._desk.change(CameraChange(camera="c", state=CameraState.ONLINE, reason=None, since_utc_ns=0, connection=0))
        self._queue: FrameQueue[Frame] = FrameQueue({"c": Lane.NEWEST}, lambda _, cause: self.counts.update([cause]))
        self._closer = None if self.zoom is None else CloserLooks(self.zoom)
        gate = Gated(
            GatePlan(
                gate=MotionGate(MotionPlan()),
                settled_ns=self._desk.settled_ns,
                still=lambda still: self._note(self._desk.still(still.info)),
            )
        )
        self._outlet = DetectorOutlet(
            DetectorPlan(
                camera="c",
                frames=self._queue,
                cadence=Cadence(self.fps),
                gate=gate if self.gated else None,
                skipped=lambda: self.counts.update(["still"]),
                closer=self._closer,
            )
        )

    def watch(self, shots: Iterator[Shot]) -> list[Spell]:
        """Watch to the end; return the events."""
        for seq, shot in enumerate(shots):
            at_ns = BEGAN_NS + round(shot.at_s * NS_PER_S)
            info = FrameInfo(
                camera="c",
                connection=0,
                seq=seq,
                captured_ns=at_ns,
                utc_ns=at_ns,
                width=shot.picture.width,
                height=shot.picture.height,
                live=True,
            )
            frame = Frame(info=info, picture=shot.picture)
            if self._outlet.choose(frame, item=False):
                assert self._outlet.offer(frame)
                self._look(at_ns)
            self._note(self._desk.tick(at_ns))
        return self.spells()

    def _look(self, now_ns: int) -> None:
        (frame,) = self._queue.take(1, 0)
        assert not isinstance(frame, Mark)
        self.counts["inferred"] += 1
        self.counts["zoomed"] += len(frame.zoom)
        answers = self.answers(frame)
        output = answers[0] if self._closer is None or not frame.zoom else self._closer.joined(frame, answers)
        timing = Timing(captured_ns=now_ns, taken_ns=now_ns, inferred_ns=now_ns)
        self._note(self._desk.result(Result(info=frame.info, output=output, timing=timing, model=_MODEL), now_ns))
        self._queue.release("c")

    def _note(self, outcome: Outcome) -> None:
        self.events += outcome.events

    def spells(self) -> list[Spell]:
        """Return each event from its start to its end, if it has ended."""
        ends = {event.id: event.ended_utc_ns for event in self.events if event.type is EventType.END}
        return [
            Spell(event.rule, _seconds(event.started_utc_ns), _seconds(end) if (end := ends.get(event.id)) else None)
            for event in self.events
            if event.type is EventType.START
        ]


def _seconds(utc_ns: int) -> float:
    return round((utc_ns - BEGAN_NS) / NS_PER_S, 3)
