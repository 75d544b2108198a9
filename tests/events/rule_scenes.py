"""Drawn boxes of one camera, run through its tracker and its rules: what a person would see, five times a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from event_scenes import MODEL, info, ns

from streamer.core.event import Event, EventType
from streamer.core.results import Box, Detections
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.event import EndReason
    from streamer.events.rules import RuleSpec

PERSON, PARCEL, CAR = 0, 1, 2
LABELS = ("person", "parcel", "car")
Seen = tuple[int, Box]  # class, and where


def person(cx: float, foot_y: float = 400.0, *, height: float = 200.0) -> Seen:
    """Return somebody who stands at a point."""
    return PERSON, (cx - 0.2 * height, foot_y - height, cx + 0.2 * height, foot_y)


def parcel(cx: float, foot_y: float = 400.0, *, size: float = 50.0) -> Seen:
    """Return a parcel on the ground."""
    return PARCEL, (cx - size / 2, foot_y - 0.8 * size, cx + size / 2, foot_y)


def car(cx: float, foot_y: float = 500.0, *, width: float = 200.0) -> Seen:
    """Return a car."""
    return CAR, (cx - width / 2, foot_y - 0.5 * width, cx + width / 2, foot_y)


@dataclass
class Watch:
    """One camera, from its detections to its events."""

    rules: Sequence[RuleSpec]
    seed: int = 1
    noise: float = 0.02  # of the boxes, in their sizes
    fps: float = 5.0
    memory_s: float = 2.0
    t_s: float = 0.0  # of the next frame
    said: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracker = ObjectTracker(least=0.5, memory_s=self.memory_s)
        self.events = CameraEvents("porch", self.rules, LABELS, EventIds())
        self.random = np.random.default_rng(self.seed)

    def show(self, seconds: float, scene: Callable[[float], Sequence[Seen]], *, share: float = 1.0) -> list[Event]:
        """Show a scene for a time; return what was said meanwhile.

        Args:
            seconds: how long.
            scene: what is there, by the seconds since its beginning.
            share: of the frames in which each object is detected.
        """
        before = len(self.said)
        for k in range(round(seconds * self.fps)):
            there = [seen for seen in scene(k / self.fps) if self.random.random() < share]
            tracks = self.tracker.update(self._detected(there), ns(self.t_s)).tracks
            self.said += self.events.observe(info(self.t_s), tracks, MODEL)
            self.t_s = round(self.t_s + 1 / self.fps, 6)
        return self.said[before:]

    def end(self, reason: EndReason) -> list[Event]:
        """End the camera's connection."""
        ended = self.events.end_all(reason)
        self.tracker.reset()
        self.said += ended
        return ended

    def _detected(self, there: Sequence[Seen]) -> Detections:
        boxes = np.array([box for _, box in there], np.float64).reshape(-1, 4)
        sizes = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        boxes += self.random.normal(0, self.noise, boxes.shape) * sizes[:, None]
        return Detections(
            boxes=boxes.astype(np.float32),
            scores=np.linspace(0.9, 0.8, len(there), dtype=np.float32),
            class_ids=np.array([class_id for class_id, _ in there], np.int32),
        )


def story(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return rule and kind of each message but updates."""
    return [(event.rule, event.type.value) for event in events if event.type is not EventType.UPDATE]


def walk(start: float, end: float, seconds: float) -> Callable[[float], float]:
    """Return where somebody is who walks from one place to another, and stays there."""
    return lambda t: start + (end - start) * min(max(t / seconds, 0.0), 1.0)
