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
        self.frames: dict[str, FrameQueue[Frame]] = {
            model: FrameQueue(_frame_lanes(cameras, model), frame_lost) for model in detectors
        }
        self.looks: dict[str, FrameQueue[Look]] = {
            model: FrameQueue(_look_lanes(cameras, model), look_lost) for model in classifiers
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


def lane_of(camera: Camera) -> Lane:
    """Return what happens to a camera's frames when a model is behind; none that shows an item is skipped."""
    if camera.delivery == "newest" and not camera.decides:
        return Lane.NEWEST
    return Lane.BUFFER if camera.source.live else Lane.WAIT


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
        look_lane(name, item.name): _lane_of_objects(camera) if item.of.objects else lane_of(camera)
        for name, camera in cameras.items()
        for item in camera.classify
        if item.model == model
    }
