"""Watches a drawn doorway as a camera's pipeline does, in the scene's own time: gate, detector, tracks, rules.

No thread, no clock, no broker: an hour of the scene takes as long as drawing it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streamer.capture.scenes.doorway import KINDS, Doorway, Weather
from streamer.capture.scenes.doorway_story import What, happenings
from streamer.capture.synthetic import _i420
from streamer.core.event import EventType
from streamer.core.frame import Frame, FrameInfo
from streamer.core.results import ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents, no_labels
from streamer.events.rules import RuleSpec
from streamer.infer.model import open_model
from streamer.infer.recognise.load import load_spec
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.pipeline.outcome import Outcome
from streamer.track.tracker import GOES_ON_AT, ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.capture.scenes.doorway_story import Happening
    from streamer.capture.scenes.shapes import SceneFrame
    from streamer.core.event import Event
    from streamer.core.results import Detections
    from streamer.infer.model import Model
    from streamer.pipeline.messages import Still

    Detect = Callable[[SceneFrame], Detections]

NS_PER_S = 1_000_000_000
FPS = 10  # of the camera
EVERY = 2  # frames: 5 inferences a second at most, as by default
SCORE = 0.5
PERSON, PARCEL = frozenset({0}), frozenset({1})
RULES = (
    RuleSpec(name="visitor", class_ids=PERSON),
    RuleSpec(name="parcel-left", class_ids=PARCEL, left_by=PERSON, after_s=3.0),
    RuleSpec(name="parcel-taken", class_ids=PARCEL, removed=True, after_s=2.0),
)
RULE_OF = {What.CAME: "visitor", What.LEFT: "parcel-left", What.TAKEN: "parcel-taken"}
MODEL = ModelRef(name="doorway", digest="sha256:" + "d" * 64, backend="onnxruntime", precision="f32")
# A start is told so long after what it tells of, s: `after`, and the time to be sure. Whoever passes close by a parcel
# that was left puts it off: it might be theirs.
_LATEST_S = {What.LEFT: 20.0, What.TAKEN: 9.0}
_BEGAN_NS = 1_000 * NS_PER_S


class Said(NamedTuple):
    """The start of an event, in the scene's time."""

    rule: str
    told_s: float
    began_s: float


@dataclass
class Watched:
    """What was said of a scene."""

    said: list[Said] = field(default_factory=list)
    ended: int = 0
    frames: int = 0
    inferred: int = 0


class Verdict(NamedTuple):
    """How what was said agrees with the truth."""

    named: int  # what a person would name
    found: list[Happening]
    missed: list[Happening]
    false: list[Said]  # said, and nothing the like has happened, or for the second time

    @property
    def recall(self) -> float:
        return len(self.found) / self.named if self.named else 1.0


class Watch:
    """One camera before a doorway."""

    def __init__(self, detect: Detect, *, gated: bool = True) -> None:
        self._detect = detect
        self._gated_at_all = gated
        self.watched = Watched()
        self._objects = Objects(
            ObjectsPlan(
                camera="door",
                tracker=ObjectTracker(least=dict.fromkeys(range(len(KINDS)), SCORE), memory_s=2.0),
                events=CameraEvents("door", RULES, KINDS, EventIds()),
                counts=ObjectCounts(range(len(KINDS))),
                labels=KINDS,
                levels=KINDS,
                publish_detections=None,
                max_age_ns=None,
            )
        )
        gate = GatePlan(gate=MotionGate(MotionPlan()), settled_ns=self._objects.settled_ns, still=self._still)
        self._gated = Gated(gate)

    def run(self, scene: Doorway, *, seconds: float, size: tuple[int, int], begin_s: float = 0.0) -> Watched:
        """Watch a scene for so many seconds."""
        for number in range(round(seconds * FPS)):
            t_s = begin_s + number / FPS
            shown = scene.at(t_s)
            at_ns = round(t_s * NS_PER_S)
            info = FrameInfo(
                camera="door",
                connection=0,
                seq=number,
                captured_ns=_BEGAN_NS + at_ns,
                utc_ns=at_ns,
                width=size[0],
                height=size[1],
                live=True,
            )
            self._take(Frame(info=info, picture=_i420(shown.bgr)), shown)
        return self.watched

    def _take(self, frame: Frame, shown: SceneFrame) -> None:
        self.watched.frames += 1
        self._gated.watch(frame)
        if frame.info.seq % EVERY or (self._gated_at_all and self._gated.skips(frame)):
            return
        self.watched.inferred += 1
        at_ns, outcome = frame.info.captured_ns, Outcome()
        result = Result(
            info=frame.info,
            output=self._detect(shown),
            timing=Timing(captured_ns=at_ns, taken_ns=at_ns, inferred_ns=at_ns),
            model=MODEL,
        )
        self._objects.observe(outcome, result, no_labels)
        self._note(outcome.events)

    def _still(self, still: Still) -> None:
        outcome = Outcome()
        self._objects.still(outcome, still.info, no_labels)
        self._note(outcome.events)

    def _note(self, events: list[Event]) -> None:
        for event in events:
            self.watched.ended += event.type is EventType.END
            if event.type is EventType.START:
                told_s, began_s = event.captured_utc_ns / NS_PER_S, event.started_utc_ns / NS_PER_S
                self.watched.said.append(Said(event.rule, told_s, began_s))


def open_doorway(backend: str = "onnxruntime") -> Model:
    """Return the doorway's network, on one core."""
    return open_model(
        load_spec("doorway"),
        backend=backend,
        precision="f32",
        latency=True,
        floor=GOES_ON_AT * SCORE,
        iou=0.5,
        on_ready=lambda: None,
        threads=1,
    )


def drawn_weather(seed: int, *, windy: bool = False) -> Weather:
    """Return the weather of a seed: any wind or much of it, and rain one time in three."""
    rng = np.random.default_rng((seed, 0x3EA7))
    wind, rain = rng.uniform(0.6, 1.0) if windy else rng.uniform(0, 1), rng.uniform(0.1, 1.0)
    return Weather(wind=wind, rain=rain if rng.random() < 1 / 3 else 0.0)


def by_network(model: Model) -> Detect:
    """Return what asks a network, one picture at a time."""

    def detect(shown: SceneFrame) -> Detections:
        (found,) = model.collect(model.submit([_i420(shown.bgr)]))
        return found

    return detect


def judged(said: list[Said], truth: tuple[Happening, ...]) -> Verdict:
    """Give each thing that has happened the event that tells of it, if there is one, in order of time."""
    left, found, missed = sorted(said, key=lambda one: one.told_s), [], []
    for happened in truth:
        latest_s = happened.until_s
        if happened.what is not What.CAME:
            latest_s = min(happened.at_s + _LATEST_S[happened.what], latest_s + 3.0)
        telling = next(
            (one for one in left if one.rule == RULE_OF[happened.what] and happened.at_s <= one.told_s <= latest_s),
            None,
        )
        if telling is None:
            missed.append(happened)
        else:
            left.remove(telling)
            found.append(happened)
    return Verdict(named=len(truth), found=found, missed=missed, false=left)


def visited(seed: int, detect: Detect, *, seconds: float, size: tuple[int, int], weather: Weather) -> Verdict:
    """Watch a doorway to which people come; say how what was said agrees with what happened."""
    watched = Watch(detect).run(Doorway(seed, *size, weather=weather), seconds=seconds, size=size)
    return judged(watched.said, happenings(seed, until_s=seconds))


def empty(seed: int, detect: Detect, *, seconds: float, size: tuple[int, int], weather: Weather) -> Watched:
    """Watch a doorway to which nobody comes."""
    scene = Doorway(seed, *size, weather=weather, visitors=0.0)
    return Watch(detect).run(scene, seconds=seconds, size=size)
