"""Made-up frames and tracks of one camera, for rules and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.frame import FrameInfo
from streamer.core.look import Classified
from streamer.core.results import Box, Classification, ModelRef, Timing, Track
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

NS_PER_S = 1_000_000_000
BEGAN_NS = 5_000 * NS_PER_S
BEGAN_UTC_NS = 1_764_000_000 * NS_PER_S
MODEL = ModelRef(name="yolox-nano", digest="sha256:" + "a" * 64, backend="onnxruntime", precision="f32")
LABELS = ("person", "dog", "traffic light")
PERSON = RuleSpec(name="person", class_ids=frozenset({0}))
BOX: Box = (100.0, 100.0, 160.0, 250.0)


def ns(t_s: float) -> int:
    """Monotonic time of a scene's second."""
    return BEGAN_NS + round(t_s * NS_PER_S)


def utc(t_s: float) -> int:
    """Wall clock of a scene's second."""
    return BEGAN_UTC_NS + round(t_s * NS_PER_S)


def info(t_s: float, *, live: bool = True) -> FrameInfo:
    """A 1280x720 frame."""
    return FrameInfo(
        camera="porch",
        connection=0,
        seq=round(t_s * 1000),
        captured_ns=ns(t_s),
        utc_ns=utc(t_s),
        width=1280,
        height=720,
        live=live,
    )


@dataclass
class Tracks:
    """What a tracker would say: keeps first and last sightings and hits of each id."""

    known: dict[int, Track] = field(default_factory=dict)

    def seen(self, t_s: float, track_id: int = 1, *, box: Box = BOX, score: float = 0.8, class_id: int = 0) -> Track:
        old = self.known.get(track_id)
        track = Track(
            id=track_id,
            class_id=class_id,
            box=box,
            score=score,
            first_ns=old.first_ns if old else ns(t_s),
            last_ns=ns(t_s),
            hits=old.hits + 1 if old else 1,
        )
        self.known[track_id] = track
        return track


def camera_events(*rules: RuleSpec) -> CameraEvents:
    return CameraEvents("porch", rules or (PERSON,), LABELS, EventIds())


def classified(
    t_s: float, scores: Mapping[int, float], *, name: str = "parcel", track: int | None = None, of: int = 3
) -> Classified:
    """A classifier's answer about a frame: the scores of some of its classes; the others have none."""
    every = np.array([scores.get(class_id, 0.0) for class_id in range(of)], np.float32)
    order = np.argsort(-every, kind="stable")
    at_ns = ns(t_s)
    return Classified(
        info=info(t_s),
        name=name,
        track=track,
        output=Classification(class_ids=order.astype(np.int32), scores=every[order]),
        timing=Timing(captured_ns=at_ns, taken_ns=at_ns, inferred_ns=at_ns),
        model=MODEL,
    )
