"""The models of a run: how each is opened, served by a thread of its own, and moved to a better way beside that."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_S
from streamer.core.look import Classified
from streamer.core.results import Result
from streamer.pipeline.closer_looks import pictures_of
from streamer.pipeline.infer_loop import Inference, InferPlan
from streamer.pipeline.worker import Worker

from .serving import LEAST_SCORE, Serving
from .ways import ServingPlan

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streamer.core.clock import Clock
    from streamer.core.frame import Frame, FrameInfo
    from streamer.core.look import Look
    from streamer.core.results import Classification, Detections, ModelRef, Timing
    from streamer.infer.network import Network
    from streamer.infer.spec import ModelSpec
    from streamer.ops.health import Beats
    from streamer.pipeline.closer_looks import CloserLooks
    from streamer.pipeline.frames import Mark
    from streamer.pipeline.upgrade import BackendUpgrade
    from streamer.settings import Camera, Settings

    from .figures import Figures
    from .queues import Queues

_LIMIT_S = 300.0  # how long a thread may be silent: compiling a large model takes minutes on a small machine


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPlan:
    """What the threads of a run's models need."""

    settings: Settings
    specs: Mapping[str, ModelSpec]  # of each model that is used
    cameras: Mapping[str, Camera]  # those that run
    queues: Queues  # what waits for the models
    figures: Figures
    beats: Beats
    clock: Clock
    prove: bool  # try better ways beside the run
    stop: threading.Event  # ends what builds and proves
    passed: Callable[[Result | Classified | Mark], None]  # takes each answer, and each mark behind the last of them
    keep: Callable[[Frame], None]  # takes each frame that a second stage may look into, before `passed` its answer
    left: Callable[[], None]  # called by each inference thread at its end
    due_ns: Callable[[FrameInfo], int | None]  # when the verdict on a frame comes that only waits for one, as `Factory`
    closer: Mapping[str, CloserLooks] = field(default_factory=dict)  # of the cameras whose small regions are zoomed at


class ModelThreads:
    """Makes the threads of a run's models. Main thread, but for what is handed to others."""

    def __init__(self, plan: ModelsPlan) -> None:
        """Look up how each model can be computed.

        Raises:
            BackendError: a runtime can't be loaded.
            ConfigError: the GPU that was asked for is not there.
        """
        self._plan = plan
        self._serving = {model: self._serving_of(model) for model in plan.specs}
        self._upgrades: dict[str, BackendUpgrade] = {}  # of the models for which there may be a better way
        self.opened: dict[str, Network[Any]] = {}  # each appears when its thread has opened it

    def workers(self) -> tuple[list[Worker], list[Worker]]:
        """Return the inference threads, and those that build and prove a better way."""
        served = [self._workers(model) for model in self._plan.specs]
        return [inference for inference, _ in served], [worker for _, side_work in served for worker in side_work]

    def hardware(self, model: str) -> int | None:
        """Return the index of the GPU that computes a model, or will; None: the CPU does."""
        return self._serving[model].hardware

    def names(self) -> Collection[str]:
        """Return the models for which there may be a better way."""
        return self._upgrades.keys()

    def doing(self, model: str) -> str | None:
        """Return what is being built or proved beside a model, for people; from any thread."""
        upgrade = self._upgrades.get(model)
        return None if upgrade is None else upgrade.doing()

    def build_first(self, leaving: Callable[[], bool]) -> bool:
        """Build what is to be built before the cameras are opened; return whether there was something."""
        waiting = [self._upgrades[name] for name, serving in self._serving.items() if serving.build_first]
        for upgrade in waiting:
            upgrade.prepare_first(leaving)
        return bool(waiting)

    def _serving_of(self, name: str) -> Serving:
        """Return how a model serves its cameras."""
        cameras = [camera for camera in self._plan.cameras.values() if camera.detect and camera.detect.model == name]
        asked = [camera.detect.classes or {} for camera in cameras if camera.detect]
        least = min((score for classes in asked for score in classes.values() or [LEAST_SCORE]), default=LEAST_SCORE)
        return Serving(
            ServingPlan(
                name=name,
                spec=self._plan.specs[name],
                settings=self._plan.settings.models[name],
                latency=self._alone(name),
                least=least,
                on_ready=self._plan.queues.of(name).wake,
                clock=self._plan.clock,
                prove=self._plan.prove,
            )
        )

    def _alone(self, name: str) -> bool:
        """Whether one live camera's newest picture, or one line's items, is all that a model sees at a time.

        No two wait for it at once then, and each is wanted as soon as can be.
        """
        lanes = [
            (camera.delivery == "newest" or (camera.decides is not None and camera.source.live), of_objects)
            for camera in self._plan.cameras.values()
            for model, of_objects in [
                (camera.detect.model if camera.detect else None, False),
                *((item.model, bool(item.of.objects)) for item in camera.classify),
            ]
            if model == name
        ]
        return lanes == [(True, False)]

    def _within_ns(self, name: str) -> int | None:
        """Return the shortest time in which a live camera's verdict is due that may wait for a model."""
        due_s = [
            camera.decides.decide.deadline_s
            for camera in self._plan.cameras.values()
            if camera.decides is not None and camera.decides.decide is not None and camera.source.live
            if name in {camera.detect.model if camera.detect else None, *(item.model for item in camera.classify)}
        ]
        return round(min(due_s) * NS_PER_S) if due_s else None

    def _workers(self, name: str) -> tuple[Worker, list[Worker]]:
        """Return a model's inference thread, and the one that builds and proves a better way, if there may be one."""
        serving = self._serving[name]
        side_name = f"{'build' if serving.builds else 'prove'}-{name}"
        upgrade = serving.upgrade(self._plan.stop, self._plan.beats.register(side_name, _LIMIT_S))
        beat = self._plan.beats.register(f"infer-{name}", _LIMIT_S)
        if self._plan.specs[name].scoring is None:
            loop = Inference(self._detecting(name, upgrade), clock=self._plan.clock, beat=beat).loop
        else:
            loop = Inference(self._classifying(name, upgrade), clock=self._plan.clock, beat=beat).loop
        inference = Worker(f"infer-{name}", loop, at_end=partial(self._at_end, name))
        if upgrade is None:
            self._plan.beats.retire(side_name)
            return inference, []
        self._upgrades[name] = upgrade
        return inference, [Worker(side_name, upgrade.loop, at_end=partial(self._plan.beats.retire, side_name))]

    def _at_end(self, name: str) -> None:
        self._plan.queues.of(name).close()  # the captures must not wait for a model that is gone
        self._plan.beats.retire(f"infer-{name}")
        self._plan.left()

    def _detecting(self, name: str, upgrade: BackendUpgrade | None) -> InferPlan[Frame, Detections]:
        keeping = {
            camera
            for camera, settings in self._plan.cameras.items()
            if settings.looks_at_objects or settings.save.snapshot
        }
        ages_ns, closer = self._max_ages_ns(), self._plan.closer

        def joined(frame: Frame, answers: Sequence[Detections]) -> Detections:
            if not frame.zoom:
                return answers[0]
            self._plan.figures.count(frame.info.camera, "zoomed", len(frame.zoom))
            return closer[frame.info.camera].joined(frame, answers)

        def told(frame: Frame, output: Detections, timing: Timing, model: ModelRef) -> None:
            if frame.info.camera in keeping:
                self._plan.keep(frame)
            self._plan.passed(Result(info=frame.info, output=output, timing=timing, model=model))

        return InferPlan(
            open_model=partial(self._open, name),
            frames=self._plan.queues.frames[name],
            told=told,
            marked=self._plan.passed,
            count=self._plan.figures.count,
            counter="inferred",
            measured=self._plan.figures.measured(name),
            max_age_ns=lambda frame: ages_ns[frame.info.camera],
            due_ns=lambda frame: self._plan.due_ns(frame.info),
            within_ns=self._within_ns(name),
            swapper=upgrade,
            pictures=pictures_of,
            joined=joined,
        )

    def _classifying(self, name: str, upgrade: BackendUpgrade | None) -> InferPlan[Look, Classification]:
        looks, ages_ns = self._plan.queues.looks[name], self._max_ages_ns()

        def told(look: Look, output: Classification, timing: Timing, model: ModelRef) -> None:
            self._plan.passed(
                Classified(info=look.info, name=look.name, track=look.track, output=output, timing=timing, model=model)
            )

        def marked(mark: Mark) -> None:
            if self._plan.queues.is_of_objects(mark.lane):  # the camera's desk set it itself
                looks.release(mark.lane)
            else:
                self._plan.passed(mark)

        return InferPlan(
            open_model=partial(self._open, name),
            frames=looks,
            told=told,
            marked=marked,
            count=self._plan.figures.count,
            counter="classified",
            measured=self._plan.figures.measured(name),
            # A late answer is still true of its object.
            max_age_ns=lambda look: ages_ns[look.info.camera] if look.track is None else None,
            due_ns=lambda look: None if look.track is not None else self._plan.due_ns(look.info),
            within_ns=self._within_ns(name),
            swapper=upgrade,
        )

    def _max_ages_ns(self) -> dict[str, int | None]:
        """Return how old a camera's frames may be, by camera."""
        return {
            camera: None if settings.max_age_s is None else round(settings.max_age_s * NS_PER_S)
            for camera, settings in self._plan.cameras.items()
        }

    def _open(self, name: str) -> Network[Any]:
        model = self._serving[name].open()
        self.opened[name] = model
        return model
