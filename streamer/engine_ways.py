"""The ways in which TensorRT computes a model of a run: engines that are there, or that the run builds beside itself.

The exact way is ONNX Runtime in f32: every machine has it, and it is what engines are compared with.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.answers import read_as
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.tensorrt import open_engine
from streamer.infer.catalogue import cache_folder
from streamer.infer.comparison import Decision
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.progress import BuildStopped
from streamer.infer.engine.prove import CAMERAS, decision_of, proof_of, terms_of, wrong_precision
from streamer.infer.engine.recipe import EngineRecipe
from streamer.infer.network import warmed
from streamer.infer.picking import pick_of
from streamer.pipeline.upgrade import Candidate, Way

from .niceness import let_decoding_go_first
from .ways import EXACT, NMS_IOU, ServingPlan, Ways, cpu_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.infer.backends.base import Backend
    from streamer.infer.comparison import Verdict
    from streamer.infer.engine.progress import Progress
    from streamer.infer.engine.stored import StoredEngine

_log = logging.getLogger(__name__)

REFERENCE = "onnxruntime"
_POLL_S = 0.5
# Held for the minutes of a build: two at once would measure each other, and take the memory of two.
_one_build = threading.Lock()
_PHASES = {
    "wait": "waits for another process that builds it",
    "start": "starts TensorRT",
    "convert": "converts the model",
    "measure": "measures what values it has",
    "read": "reads the model",
    "build": "tries which kernels are the fastest",
    "inspect": "looks at what was built",
}
# What was asked for, and what is tried when that is refused: each is safer than the one before.
_IN_TURN = {"auto": ("f16", "f32"), "f32": ("f32",), "f16": ("f16", "f32"), "int8": ("int8", "f16", "f32")}


def engine_ways(plan: ServingPlan) -> Ways:
    """Return the ways of TensorRT: engines that are there and proved, and those that would have to be built.

    Raises:
        BackendError: TensorRT or the GPU can't be used, or an engine is missing that the run may not build.
        ConfigError: there is no GPU of that number.
    """
    policy = build_policy(plan)
    builds = plan.prove and policy != "never"
    shelf = Shelf(plan, builds=builds)
    plan = shelf.plan
    exact = cpu_way(plan, REFERENCE, EXACT)
    precisions = _to_try(plan, shelf, builds=builds)
    ways = {precision: shelf.way(precision) for precision in precisions}
    decided = {precision: shelf.decided(precision) for precision in precisions}
    first = next((i for i, p in enumerate(precisions) if decided[p] is not Decision.REFUSE), 0)
    ready = [precision for precision in precisions if _begins(plan, shelf, precision, decided[precision])]
    return Ways(
        spec=plan.spec,
        exact=exact,
        begin=ways[ready[0]] if ready else exact,
        candidates=tuple(shelf.candidate(p, ways[p], builds=builds) for p in precisions) if plan.prove else (),
        first=first,
        most=plan.spec.input.max_batch,
        builds=builds,
        build_first=builds and policy == "before" and shelf.find(precisions[first]) is None,
        hardware=plan.settings.device,
    )


def _begins(plan: ServingPlan, shelf: Shelf, precision: str, decided: Decision) -> bool:
    """Whether the model may begin with an engine that is there.

    A run needs a proof. What only measures takes what `models build` has kept, and by name what was refused, too: else
    its figures would be another runtime's.
    """
    if decided is Decision.USE or plan.prove:
        return decided is Decision.USE
    return shelf.find(precision) is not None and (decided is not Decision.REFUSE or plan.settings.precision != "auto")


def _to_try(plan: ServingPlan, shelf: Shelf, *, builds: bool) -> list[str]:
    """Return the precisions that may be tried, the best first.

    Raises:
        BackendError: there is none, or one that a run can't build.
    """
    wanted = _IN_TURN[plan.settings.precision]
    if wanted[0] == "int8" and shelf.find("int8") is None:
        raise BackendError(
            f"model {plan.spec.name}: precision int8 needs an engine that is calibrated on your own pictures;"
            f" `streamer models build {plan.settings.model} --precision int8 --frames DIR` builds one"
        )
    found = [precision for precision in wanted if builds or shelf.find(precision) is not None]
    if not found:
        raise BackendError(
            f"no engine of {plan.spec.name} for this GPU and TensorRT is built;"
            f" `streamer models build {plan.settings.model}` builds one"
        )
    return found


def build_policy(plan: ServingPlan) -> str:
    """Return when an engine that is missing is built: background | before | never.

    Where the GPU shares the machine's memory, a build beside the run could leave neither of them enough.
    """
    from streamer.cuda.gpu import look_for_gpus  # noqa: PLC0415  only where there is a GPU

    if plan.settings.build is not None:
        return plan.settings.build
    gpus = {gpu.index: gpu for gpu in look_for_gpus()}
    gpu = gpus.get(plan.settings.device)
    return "before" if gpu is not None and gpu.integrated else "background"


class Shelf:
    """The engines of one model for one GPU: found, built, opened, and what has been shown of them."""

    def __init__(self, plan: ServingPlan, *, builds: bool) -> None:
        """Look what the machine is, and for how many pictures at once its engines are.

        Raises:
            BackendError: TensorRT or the GPU can't be used.
            ConfigError: there is no GPU of that number.
        """
        self._platform = this_platform(plan.settings.device)
        self._cache = EngineCache(cache_folder(os.environ) / "tensorrt")
        if plan.latency:  # one camera, whose newest frame counts: never are there two
            plan = _with_batch(plan, 1)
        if not builds:  # then what there is must do, all of it
            found = [self._cache.find_any(plan.spec, p, self._platform) for p in _IN_TURN[plan.settings.precision]]
            plan = _with_batch(plan, min((engine.key.max_batch for engine in found if engine is not None), default=64))
        self._plan = plan

    @property
    def plan(self) -> ServingPlan:
        """The plan, with as many pictures at once as the engines can do."""
        return self._plan

    def find(self, precision: str) -> StoredEngine | None:
        """Return an engine that computes as many pictures at once as the model is given."""
        spec = self._plan.spec
        return self._cache.find_model(
            spec.digest,
            spec.path,
            precision=precision,
            platform=self._platform,
            max_batch=spec.input.max_batch,
            fed=spec.input,
        )

    def decided(self, precision: str) -> Decision:
        """Return what has been proved of an engine before."""
        found, plan = self.find(precision), self._plan
        if found is None:
            return Decision.UNDECIDED
        return decision_of(found.facts.get("proof"), head=read_as(plan.spec), threshold=plan.threshold, iou=NMS_IOU)

    def way(self, precision: str) -> Way:
        """Return the way that an engine of this precision computes the model."""
        return Way(
            name=f"tensorrt {precision}",
            open_to_compare=partial(self._open, precision, latency=True),
            open_to_serve=partial(self._open, precision, latency=self._plan.latency),
        )

    def candidate(self, precision: str, way: Way, *, builds: bool) -> Candidate:
        """Return the way with what prepares it and what it is held to."""
        prepare = partial(self._prepare, precision) if builds else partial(self._look, precision)
        return Candidate(way=way, terms=terms_of(precision), prepare=prepare, proved=partial(self._note, precision))

    def _look(self, precision: str, _stopping: Callable[[], bool], _tell: Callable[[str], None]) -> None:
        self._loads(precision)

    def _prepare(self, precision: str, stopping: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """Build the engine, unless one is there that TensorRT takes."""
        if self.find(precision) is not None and self._loads(precision):
            return
        name, plan = f"tensorrt {precision}", self._plan
        while not _one_build.acquire(timeout=_POLL_S):
            tell("waits for another model's engine")
            if stopping():
                raise BackendError(f"{name}: building was stopped")
        _log.info("model %s: builds %s for this GPU, which takes minutes", plan.name, name)
        try:
            engine = build_engine(
                plan.spec,
                self._recipe(precision),
                cache=self._cache,
                calibration=None,
                progress=_Teller(f"model {plan.name}: {name}", tell),
                stopping=stopping,
            )
        except BuildStopped:
            raise BackendError(f"{name}: building was stopped") from None
        except ConfigError as exc:  # of the model or the machine, not of the configuration that has been checked
            raise BackendError(str(exc)) from exc
        finally:
            _one_build.release()
        _log.info("model %s: %s is built (%s); it serves once it has given the same answers on the cameras' frames",
                  plan.name, name, engine.plan_path)  # fmt: skip

    def _loads(self, precision: str) -> bool:
        """Whether the engine can be used; False: it was set aside, and another has to be built.

        Raises:
            BackendError: it is in order, and can't be used all the same, as for want of memory.
        """
        try:
            self._open(precision, latency=True).close()
        except BackendError:
            if self.find(precision) is not None:
                raise
            return False
        return True

    def _open(self, precision: str, *, latency: bool) -> Backend:
        let_decoding_go_first()
        plan, engine = self._plan, self.find(precision)
        if engine is None:
            raise BackendError(f"no engine of {plan.spec.name} in {precision} for this GPU and TensorRT is built")
        shown = engine.facts.get("precisions")
        if isinstance(shown, dict) and (wrong := wrong_precision(shown, precision)):
            raise BackendError(f"engine {engine.plan_path}: {wrong}")
        options = BackendOptions(
            precision=precision,
            latency=latency,
            threads=0,
            on_ready=plan.on_ready,
            device=plan.settings.device,
            pick=pick_of(plan.spec, plan.floor),
        )
        return warmed(plan.spec, open_engine(engine, plan.spec.input, plan.spec.output_names, options))

    def _note(self, precision: str, verdict: Verdict) -> None:
        plan, engine = self._plan, self.find(precision)
        if engine is None:
            return  # cleared away meanwhile: what is built next is proved anew
        proof = proof_of(verdict, source=CAMERAS, head=read_as(plan.spec), threshold=plan.threshold, iou=NMS_IOU)
        try:
            self._cache.note_proof(engine.key, proof)
        except BackendError as exc:
            _log.warning("the proof for %s can't be kept, the next start proves it anew: %s", plan.name, exc)

    def _recipe(self, precision: str) -> EngineRecipe:
        return EngineRecipe(
            precision=precision, max_batch=self._plan.spec.input.max_batch, device=self._plan.settings.device
        )


def _with_batch(plan: ServingPlan, most: int) -> ServingPlan:
    """Return a plan whose model computes no more pictures at once, where its file leaves that open."""
    fed = plan.spec.input
    if fed.fixed_batch or fed.max_batch <= most:
        return plan
    return replace(plan, spec=replace(plan.spec, input=replace(fed, max_batch=most)))


class _Teller:
    """Shows how far a build is, and logs each phase of it once."""

    def __init__(self, what: str, tell: Callable[[str], None]) -> None:
        self._what = what
        self._tell = tell
        self._phase = ""

    def __call__(self, done: Progress) -> None:
        self._tell(done.phase if done.share is None else f"{done.phase} {done.share:.0%}")
        if done.phase != self._phase:
            self._phase = done.phase
            _log.info("%s: %s", self._what, _PHASES.get(done.phase, done.phase))
