"""Where the frames of a run's cameras, and parts of them, wait for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamer.core.look import look_lane
from streamer.pipeline.frames import FrameQueue, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from streamer.core.frame import Frame
    from streamer.core.look import Look
    from streamer.settings import Camera


class Queues:
    """One queue for each model: of frames for a detector, of looks for a classifier. Any thread."""

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        *,
        detectors: Iterable[str],
        classifiers: Iterable[str],
        frame_lost: Callable[[Frame, str], None],
        look_lost: Callable[[Look, str], None],
    ) -> None:
        """Make the lanes.

        Args:
            cameras: those that run.
            detectors: models that look at whole frames.
            classifiers: models that look at frames, zones or objects.
            frame_lost: told (frame, cause) of each that no detector looks at.
            look_lost: told (look, cause) of each that no classifier looks at.
        """
        frame_lanes = {model: _frame_lanes(cameras, model) for model in detectors}
        look_lanes = {model: _look_lanes(cameras, model) for model in classifiers}
        self.frames: dict[str, FrameQueue[Frame]] = {
            model: FrameQueue(lanes, frame_lost) for model, lanes in frame_lanes.items()
        }
        self.looks: dict[str, FrameQueue[Look]] = {
            model: FrameQueue(lanes, look_lost) for model, lanes in look_lanes.items()
        }
        # Lanes of which no answer may be lost: so many are on their way at most.
        self.bounded = {
            lane
            for lanes in (*frame_lanes.values(), *look_lanes.values())
            for lane, policy in lanes.items()
            if policy is not Lane.NEWEST
        }
        self._objects = {name: objects_lanes(name, camera) for name, camera in cameras.items()}
        self._of_lane: dict[str, FrameQueue[Any]] = {}
        for name, camera in cameras.items():
            if camera.detect is not None:
                self._of_lane[name] = self.frames[camera.detect.model]
            for item in camera.classify:
                self._of_lane[look_lane(name, item.name)] = self.looks[item.model]

    def of(self, model: str) -> FrameQueue[Any]:
        """Return a model's queue."""
        return self.frames[model] if model in self.frames else self.looks[model]

    def is_of_objects(self, lane: str) -> bool:
        """Whether objects wait in a lane, not frames or zones."""
        return any(lane in lanes for lanes in self._objects.values())

    def release(self, lane: str) -> None:
        """Say that what was taken from a lane has been dealt with."""
        self._of_lane[lane].release(lane)

    def finish_objects(self, camera: str) -> None:
        """Say that no object of a camera will be looked at any more."""
        for lane in self._objects[camera]:
            self._of_lane[lane].finish(lane)

    def close(self) -> None:
        """Refuse everything, and drop what waits."""
        for frames in self.frames.values():
            frames.close()
        for looks in self.looks.values():
            looks.close()


def lane_of(camera: Camera, name: str | None = None) -> Lane:
    """Return what happens to a camera's frames when a model is behind; none that shows an item is skipped.

    Args:
        camera: its settings.
        name: of the classification of frames or of a zone that the model makes; None: it detects.
    """
    if camera.delivery == "newest" and not _judges(camera, name):
        return Lane.NEWEST
    return Lane.BUFFER if camera.source.live else Lane.WAIT


def _judges(camera: Camera, name: str | None) -> bool:
    """Whether a camera's items need what its detector, or a classification, says."""
    rule = camera.decides
    if rule is None or rule.decide is None:
        return False
    if name is None:
        return bool(rule.class_names) or rule.decide.trigger.kind == "line"
    return name in (rule.labels or {})


def _lane_of_objects(camera: Camera) -> Lane:
    """Return what happens to looks at a camera's objects; a recording's labels are the same in each run."""
    return Lane.HOLD if lane_of(camera) is Lane.WAIT else Lane.REFUSE


def objects_lanes(name: str, camera: Camera) -> Collection[str]:
    """Return the lanes in which a camera's objects wait for a second stage."""
    return [look_lane(name, item.name) for item in camera.classify if item.of.objects]


def _frame_lanes(cameras: Mapping[str, Camera], model: str) -> dict[str, Lane]:
    return {name: lane_of(camera) for name, camera in cameras.items() if camera.detect and camera.detect.model == model}


def _look_lanes(cameras: Mapping[str, Camera], model: str) -> dict[str, Lane]:
    return {
        look_lane(name, item.name): _lane_of_objects(camera) if item.of.objects else lane_of(camera, item.name)
        for name, camera in cameras.items()
        for item in camera.classify
        if item.model == model
    }
