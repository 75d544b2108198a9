"""Detections in, tracks out: ByteTrack of the `trackers` library, subordinated to our scores and our clock."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from streamer.core.clock import NS_PER_S
from streamer.core.results import Detections, Track

from .away import Away
from .motion import FRAME_RATE, CoastingEstimator
from .nearness import Nearness
from .rest import Rests

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from streamer.core.results import Box, Detection

    from .pace import Pace

GOES_ON_AT = 0.8  # a running track goes on down to this share of the least score
_CLASS_SHIFT_PX = 1e6  # boxes of different classes are moved this far apart, so that they never pair
_LONGEST_STEP_S = 10.0  # between two frames of a camera that is slow rather than away
_LEAST_STEP_NS = 1_000  # time must advance for the filter: frames of equal or earlier time count as this much later


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracked:
    """What a frame shows, and which object each of it is. Rows of the first two fields belong together."""

    detections: Detections  # those that belong to a track, best first
    track_ids: NDArray[np.int32]  # (N,)
    tracks: tuple[Track, ...]  # the same objects in the same order


class ObjectTracker:
    """The objects of one camera. Pure: time comes with the detections. Owned by one thread."""

    def __init__(self, *, least: Mapping[int, float] | float, memory_s: float = 2.0) -> None:
        """Store the thresholds.

        Args:
            least: least score that starts a track, for each class id asked for, or one for every class.
            memory_s: how long an object that is out of sight keeps its id; a stationary one a minute longer.
        """
        self._least = least
        self._memory_s = memory_s
        self._tracker = ByteTrackTracker(
            lost_track_buffer=math.ceil(memory_s * 30),  # in frames of 30 Hz, whatever the rate; `_advance` refines it
            frame_rate=FRAME_RATE,
            track_activation_threshold=0.5,  # scores are reduced to 1.0 (starts a track) and 0.0 (continues one)
            high_conf_det_threshold=0.5,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=1e-6,  # `Nearness` is 0 for what is too far
            state_estimator_class=CoastingEstimator,
            iou=Nearness(),
        )
        self._ids = itertools.count(1)  # never restarted: ids are unique within a camera and a run
        self._tracks: dict[int, Track] = {}
        self._origin_ns: int | None = None
        self._last_ns = 0
        self._rests = Rests()
        self._away = Away()
        self._settled = False

    def update(self, detections: Detections, captured_ns: int) -> Tracked:
        """Tell which object each detection of the next frame is.

        Args:
            detections: of the frame, any scores and classes; those not asked for are dropped.
            captured_ns: monotonic capture time; durations are measured by it.
        """
        kept, starts = self._asked_for(detections)
        in_turn = captured_ns > self._last_ns  # else the filter has it a moment later, and its speeds mean nothing
        seconds = self._advance(captured_ns)
        self._away.pass_time(captured_ns)
        if not len(kept) and not self._tracker.tracks:
            self._settled = not self._away.unsure(captured_ns)
            return Tracked(detections=kept, track_ids=np.zeros(0, np.int32), tracks=())
        ids = self._associate(kept, starts, seconds)
        kept, ids = kept[ids > 0], ids[ids > 0]
        alive = {t.tracker_id: t.state_estimator.pace for t in self._tracker.tracks}
        tracks = tuple(
            self._seen(track_id, detection, captured_ns, alive[track_id] if in_turn else None)
            for track_id, detection in zip(ids.tolist(), kept, strict=True)
        )
        self._forget_but(alive, captured_ns)
        self._settled = self._rests.settled(self._tracks.values(), captured_ns) and not self._away.unsure(captured_ns)
        return Tracked(detections=kept, track_ids=ids, tracks=tracks)

    def still(self, captured_ns: int) -> None:
        """Let time stand still up to a moment: nothing has moved since the last frame, so nothing is forgotten."""
        if self._origin_ns is not None:
            passed_ns = max(0, captured_ns - self._last_ns)
            self._origin_ns += passed_ns
            self._last_ns += passed_ns

    def settled(self) -> bool:
        """Whether all that is known was in the last frame, for sure and at rest: then it may be taken to last."""
        return self._settled

    def reset(self) -> None:
        """Forget every object: the next frame has nothing to do with the last. Ids go on counting."""
        self._tracker.reset()
        self._tracks = {}
        self._away.clear()
        self._rests.keep(())
        self._settled = False
        self._origin_ns = None

    def _asked_for(self, detections: Detections) -> tuple[Detections, NDArray[np.bool_]]:
        """Return the detections good enough to continue a track, and which of them may start one."""
        if isinstance(self._least, Mapping):
            wanted = [self._least.get(class_id, math.inf) for class_id in detections.class_ids.tolist()]
            least = np.array(wanted, np.float32)
        else:
            least = np.full(len(detections), self._least, np.float32)
        kept = detections.scores >= np.float32(GOES_ON_AT) * least
        return detections[kept], (detections.scores >= least)[kept]

    def _advance(self, captured_ns: int) -> float:
        """Return seconds since the first frame, strictly rising, as the library asks."""
        if self._origin_ns is None:
            self._origin_ns = self._last_ns = captured_ns
            return 0.0
        now_ns = max(captured_ns, self._last_ns + _LEAST_STEP_NS)
        step_s = (now_ns - self._last_ns) / NS_PER_S
        # What the next frame shows is never forgotten before it, however slow the camera.
        self._tracker.maximum_time_without_update = max(self._memory_s, 1.5 * min(step_s, _LONGEST_STEP_S))
        self._last_ns = now_ns
        return (self._last_ns - self._origin_ns) / NS_PER_S

    def _associate(self, kept: Detections, starts: NDArray[np.bool_], seconds: float) -> NDArray[np.int32]:
        """Return the (N,) track id of each detection, -1 for none."""
        boxes = kept.boxes.astype(np.float64)  # float32 would lose pixels at the shifts of high class ids
        boxes[:, 0::2] += kept.class_ids[:, None] * _CLASS_SHIFT_PX
        result = self._tracker.update(
            sv.Detections(
                xyxy=boxes,
                confidence=starts.astype(np.float32),
                class_id=np.arange(len(kept)),  # carries the row through the library's reordering
            ),
            timestamp=seconds,
        )
        ids = np.full(len(kept), -1, np.int32)
        if not len(result):
            return ids
        rows = result.class_id
        ids[rows] = result.tracker_id
        # The library gives an id at the second sighting, and forgets what it has seen once after two misses. With an id
        # from here the first sighting counts, and a flickering object is kept. New tracks stand in order of their rows.
        born = [t for t in self._tracker.tracks if t.tracker_id == -1]
        for tracklet, row in zip(born, (r for r in rows.tolist() if ids[r] == -1 and starts[r]), strict=True):
            tracklet.tracker_id = ids[row] = self._id_of(int(kept.class_ids[row]), kept.boxes[row].tolist())
        return ids

    def _id_of(self, class_id: int, box: Box) -> int:
        """Return the id of what the library takes for a new object: it may be one that had been at rest there."""
        known = self._away.again(class_id, box)
        if known is None:
            return next(self._ids)
        self._tracks[known.id] = known
        return known.id

    def _forget_but(self, alive: Collection[int], now_ns: int) -> None:
        """Forget the objects that the library has forgotten; those that had been at rest a minute later."""
        for track_id, track in list(self._tracks.items()):
            if track_id not in alive:
                del self._tracks[track_id]
                if track.stationary:
                    self._away.put(track, now_ns)
        self._rests.keep({*alive, *self._away.ids()})

    def _seen(self, track_id: int, seen: Detection, now_ns: int, pace: Pace | None) -> Track:
        """Note a sighting and return the track as it is now, with its velocity if `pace` can tell it."""
        old = self._tracks.get(track_id)
        track = Track(
            id=track_id,
            class_id=seen.class_id,
            box=seen.box,
            score=seen.score,
            first_ns=old.first_ns if old else now_ns,
            last_ns=now_ns,
            hits=old.hits + 1 if old else 1,
            velocity=pace.velocity() if old and pace else None,
            stationary=self._rests.see(track_id, seen.box, now_ns),
        )
        self._tracks[track_id] = track
        return track
