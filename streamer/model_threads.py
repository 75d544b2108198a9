"""The models of a run: how each is opened, served by a thread of its own, and moved to a better way beside that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_S
from streamer.core.look import Classified
from streamer.core.results import Result
from streamer.pipeline.infer_loop import Inference, InferPlan
from streamer.pipeline.worker import Worker

from .serving import LEAST_SCORE, Serving
from .ways import ServingPlan

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from streamer.core.clock import Clock
    from streamer.core.frame import Frame
    from streamer.core.look import Look
    from streamer.core.results import Classification, Detections, ModelRef, Timing
    from streamer.infer.network import Network
    from streamer.infer.spec import ModelSpec
    from streamer.ops.health import Beats
    from streamer.pipeline.frames import Mark
    from streamer.pipeline.upgrade import BackendUpgrade
    from streamer.settings import Camera, Settings

    from .figures import Figures
    from .queues import Queues

_LIMIT_S = 300.0  # how long a thread may be silent: compiling a large model takes minutes on a small machine


class ModelThreads:
    """Makes the threads of a run's models. Main thread, but for what is handed to others."""

    def __init__(
        self,
        settings: Settings,
        specs: Mapping[str, ModelSpec],
        cameras: Mapping[str, Camera],
        *,
        queues: Queues,
        figures: Figures,
        beats: Beats,
        clock: Clock,
        prove: bool,
        stop: threading.Event,
        passed: Callable[[Result | Classified | Mark], None],
        keep: Callable[[Frame], None],
        left: Callable[[], None],
    ) -> None:
        """Look up how each model can be computed.

        Args:
            settings: of the run.
            specs: what is known of each model that is used.
            cameras: those that run.
            queues: what waits for the models.
            figures: where times and counts go.
            beats: the watchdog's.
            clock: for ages.
            prove: try better ways beside the run.
            stop: ends what builds and proves.
            passed: takes each answer, and each mark behind the last of them.
            keep: takes each frame that was detected in, before `passed` takes the answer.
            left: called by each inference thread at its end.

        Raises:
            BackendError: a runtime can't be loaded.
            ConfigError: the GPU that was asked for is not there.
        """
        self._settings = settings
        self._specs = specs
        self._cameras = cameras
        self._queues = queues
        self._figures = figures
        self._beats = beats
        self._clock = clock
        self._prove = prove
        self._stop = stop
        self._passed = passed
        self._keep = keep
        self._left = left
        self._serving = {model: self._serving_of(model) for model in specs}
        self._upgrades: dict[str, BackendUpgrade] = {}  # of the models for which there may be a better way
        self.opened: dict[str, Network[Any]] = {}  # each appears when its thread has opened it

    def workers(self) -> tuple[list[Worker], list[Worker]]:
        """Return the inference threads, and those that build and prove a better way."""
        served = [self._workers(model) for model in self._specs]
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
        cameras = [camera for camera in self._cameras.values() if camera.detect and camera.detect.model == name]
        asked = [camera.detect.classes or {} for camera in cameras if camera.detect]
        least = min((score for classes in asked for score in classes.values() or [LEAST_SCORE]), default=LEAST_SCORE)
        return Serving(
            ServingPlan(
                name=name,
                spec=self._specs[name],
                settings=self._settings.models[name],
                latency=len(cameras) == 1 and cameras[0].delivery == "newest" and len(self._specs) == 1,
                least=least,
                on_ready=self._queues.of(name).wake,
                clock=self._clock,
                prove=self._prove,
            )
        )

    def _workers(self, name: str) -> tuple[Worker, list[Worker]]:
        """Return a model's inference thread, and the one that builds and proves a better way, if there may be one."""
        serving = self._serving[name]
        side_name = f"{'build' if serving.builds else 'prove'}-{name}"
        upgrade = serving.upgrade(self._stop, self._beats.register(side_name, _LIMIT_S))
        beat = self._beats.register(f"infer-{name}", _LIMIT_S)
        if self._specs[name].scoring is None:
            loop = Inference(self._detecting(name, upgrade), clock=self._clock, beat=beat).loop
        else:
            loop = Inference(self._classifying(name, upgrade), clock=self._clock, beat=beat).loop
        inference = Worker(f"infer-{name}", loop, at_end=partial(self._at_end, name))
        if upgrade is None:
            self._beats.retire(side_name)
            return inference, []
        self._upgrades[name] = upgrade
        return inference, [Worker(side_name, upgrade.loop, at_end=partial(self._beats.retire, side_name))]

    def _at_end(self, name: str) -> None:
        self._queues.of(name).close()  # the captures must not wait for a model that is gone
        self._beats.retire(f"infer-{name}")
        self._left()

    def _detecting(self, name: str, upgrade: BackendUpgrade | None) -> InferPlan[Frame, Detections]:
        keeping = {camera for camera, settings in self._cameras.items() if settings.looks_at_objects}
        ages_ns = {
            camera: None if settings.max_age_s is None else round(settings.max_age_s * NS_PER_S)
            for camera, settings in self._cameras.items()
        }

        def told(frame: Frame, output: Detections, timing: Timing, model: ModelRef) -> None:
            if frame.info.camera in keeping:
                self._keep(frame)
            self._passed(Result(info=frame.info, output=output, timing=timing, model=model))

        return InferPlan(
            open_model=partial(self._open, name),
            frames=self._queues.frames[name],
            told=told,
            marked=self._passed,
            count=self._figures.count,
            counter="inferred",
            measured=self._figures.measured(name),
            max_age_ns=ages_ns.__getitem__,
            swapper=upgrade,
        )

    def _classifying(self, name: str, upgrade: BackendUpgrade | None) -> InferPlan[Look, Classification]:
        looks = self._queues.looks[name]

        def told(look: Look, output: Classification, timing: Timing, model: ModelRef) -> None:
            self._passed(
                Classified(info=look.info, name=look.name, track=look.track, output=output, timing=timing, model=model)
            )

        def marked(mark: Mark) -> None:
            if self._queues.is_of_objects(mark.lane):  # the camera's desk set it itself
                looks.release(mark.lane)
            else:
                self._passed(mark)

        return InferPlan(
            open_model=partial(self._open, name),
            frames=looks,
            told=told,
            marked=marked,
            count=self._figures.count,
            counter="classified",
            measured=self._figures.measured(name),
            max_age_ns=lambda _: None,  # a late answer is still true of its object
            swapper=upgrade,
        )

    def _open(self, name: str) -> Network[Any]:
        model = self._serving[name].open()
        self.opened[name] = model
        return model
