"""`cameras.<name>`: where the pictures come from, what is looked for in them, and what is told."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from . import values
from .address import SOURCES, SourceField
from .classify import Classify
from .geometry import Point, Polygon
from .rule import Rule
from .save import Clip, Save
from .section import Section

DEFAULT_FPS = 5.0  # inferences a second, where newest frames are looked at
_KEY_FRAMES_FPS = 0.1  # of most cameras at least: one in ten seconds


def _some_classes(value: object) -> object:
    if not isinstance(value, dict) or not value:
        values.refuse("must be a mapping of each class to its least score, at least one: {person: 0.5, dog: 0.6}")
    return value


ClassScores = Annotated[
    Mapping[values.Text, values.Share], BeforeValidator(_some_classes), Field(json_schema_extra={"minProperties": 1})
]


class Motion(Section):
    """The gate before inference."""

    enabled: values.Flag | None = Field(
        default=None,
        description="Look only where something moves. Left out: yes, unless each frame is wanted (frames: every,"
        " publish_detections, decide). Off with frames: every, which skips none.",
    )
    idle: values.Flag = Field(
        default=True, description="While nothing moves decode key frames only; off: decode every frame."
    )
    sensitivity: values.Share = Field(
        default=0.5, description="0 to 1; the least contrast that counts halves with each 0.5 more."
    )
    hold_s: values.Seconds = Field(
        default="2s", validate_default=True, alias="hold", description="How long to look on after the last motion."
    )
    heartbeat_s: values.PositiveSeconds = Field(
        default="10s",
        validate_default=True,
        alias="heartbeat",
        description="Look at one frame at least so often, also when nothing moves.",
    )
    masks: tuple[Polygon, ...] = Field(
        default=(), description="Parts of the picture whose motion does not count; each at least 3 points [x, y]."
    )


class Detect(Section):
    """Object detection."""

    model: values.Name = Field(description="A name under `models`.")
    fps: values.Rate | None = Field(
        default=None,
        description="At most so many inferences a second; 0 = each frame. Left out: 5, or 0 with frames: every.",
    )
    zoom: values.Flag = Field(
        default=False, description="Look closer at small things that move far away; takes the motion gate."
    )
    classes: ClassScores | None = Field(
        default=None, description="Class: the least score that starts a track. Left out: every class at 0.5."
    )


class Zone(Section):
    """A part of the picture; an object is in it by its foot point."""

    polygon: Polygon = Field(description="At least 3 points [x, y], fractions of width and height.")


class Line(Section):
    """A line to be crossed; `in` is from left to right as seen looking from `from` to `to`."""

    start: Point = Field(alias="from", description="[x, y], fractions of width and height.")
    end: Point = Field(alias="to", description="[x, y], fractions of width and height.")


class Feed(Section):
    """The per-frame feed."""

    format: Literal["json", "cbor"] = Field(default="json", description="json, or cbor: the same in binary.")


def _feed(value: object) -> object:
    """Return what stands for a feed: None for none, and for `true` one with every default."""
    flag = values.as_bool(value)
    if flag is not None:
        return Feed() if flag else None
    if value is not None and not isinstance(value, (dict, Feed)):
        values.refuse("must be true, false or {format: json | cbor}")
    return value


FeedField = Annotated[Feed | None, BeforeValidator(_feed)]


class Camera(Section):
    """One camera."""

    source: SourceField = Field(description=f"The camera's address: {SOURCES}.")
    record: SourceField | None = Field(
        default=None, description="The full-size stream that clips come from. Left out: the source itself."
    )
    enabled: values.Flag = Field(default=True, description="Watch it; when false it is reported as disabled.")
    transport: Literal["auto", "tcp", "udp"] = Field(default="auto", description="RTSP only; auto: TCP, then UDP.")
    decode: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        description="auto: on the GPU where the camera's model runs on it by TensorRT, else on the CPU;"
        " gpu: on the GPU, or the camera is offline.",
    )
    frames: Literal["newest", "every"] | None = Field(
        default=None,
        description="newest: skip what is late; every: in order, none skipped. Left out: newest, for files every.",
    )
    motion: Motion = Field(default=Motion(), description="Look only where something moves.")
    detect: Detect | None = Field(default=None, description="Object detection.")
    classify: tuple[Classify, ...] = Field(default=(), description="Image classifications.")
    zones: Mapping[values.Name, Zone] = Field(
        default_factory=dict, description="Named parts of the picture; each event says in which its object is."
    )
    lines: Mapping[values.Name, Line] = Field(
        default_factory=dict, description="Named lines; crossings of each are counted in both directions."
    )
    events: tuple[Rule, ...] | None = Field(
        default=None, description="What is told. Left out: one rule for each class, named after it."
    )
    publish_detections: FeedField = Field(
        default=None, description="Publish the detections of each inferred frame: true, false or {format: json | cbor}."
    )
    max_age_s: values.PositiveSeconds | None = Field(
        default=None,
        alias="max_age",
        description="Results older than this are dropped and counted. Left out: no limit.",
    )
    save: Save = Field(default=Save(), description="What is kept of an event besides its messages.")

    @property
    def delivery(self) -> Literal["newest", "every"]:
        """Which frames are looked at, also where the file leaves it open."""
        return self.frames or ("newest" if self.source.live else "every")

    @property
    def gated(self) -> bool:
        """Whether frames are skipped while nothing moves, also where the file leaves it open."""
        if self.detect is None or self.delivery == "every":
            return False
        if self.motion.enabled is None:
            return not self.publish_detections and self.decides is None
        return self.motion.enabled

    @property
    def idles(self) -> bool:
        """Whether only key frames are decoded while nothing moves: what is between is not wanted, or not at once."""
        wanted = self.gated and self.motion.idle and self.source.live
        return wanted and self.decides is None and self.max_age_s is None and not self._looks_often

    @property
    def _looks_often(self) -> bool:
        """Whether a classification of frames or a zone looks more often than key frames come."""
        return any(not item.of.objects and not 0 < item.rate <= _KEY_FRAMES_FPS for item in self.classify)

    @property
    def clip(self) -> Clip | None:
        """What is kept of the stream around events, if anything is: whoever names a `record` stream wants clips."""
        return self.save.clip or (Clip() if self.record else None)

    @property
    def main_model(self) -> str:
        """The model that sees the whole frames: the detector, else that of the first classification."""
        return self.detect.model if self.detect else self.classify[0].model

    @property
    def looks_at_objects(self) -> bool:
        """Whether a second stage looks at detected objects."""
        return any(item.of.objects for item in self.classify)

    @property
    def decides(self) -> Rule | None:
        """The rule that gives a verdict on each item, if there is one."""
        return next((rule for rule in self.events or () if rule.decide is not None), None)

    @property
    def items_fps(self) -> float:
        """Most frames a second that are items, 0 = each, where that is what frames are.

        Without a detector it is the rate of the classification that judges them, the highest of several.
        """
        judged = (self.decides.labels or {}) if self.decides else {}
        rates = [item.rate for item in self.classify if item.name in judged and (item.every_s or item.fps is not None)]
        if self.detect or self.delivery == "every" or not rates:
            return self.detect_fps
        return 0.0 if 0.0 in rates else max(rates)

    @property
    def detect_fps(self) -> float:
        """Most inferences a second, 0 = each frame, also where the file leaves it open."""
        if self.detect is None or self.detect.fps is None:
            return 0.0 if self.delivery == "every" else DEFAULT_FPS
        return self.detect.fps
