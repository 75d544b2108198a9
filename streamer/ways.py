"""The ways in which a model of a run can be computed: the exact one, and those that are better if they prove true."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.infer.agreement import floor_for
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import ANY_CPU, choose, faster_precision
from streamer.infer.catalogue import cache_folder
from streamer.infer.comparison import Decision, Terms
from streamer.infer.model import open_warm
from streamer.infer.proof import load_proof, proof_key, save_proof
from streamer.pipeline.upgrade import Candidate, Way

from .niceness import let_decoding_go_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.infer.backends.base import Backend
    from streamer.infer.comparison import Verdict
    from streamer.infer.proof import ProofKey
    from streamer.infer.spec import ModelSpec
    from streamer.settings import ModelSettings

_log = logging.getLogger(__name__)

NMS_IOU = 0.5  # the contract
EXACT = "f32"
GOES_ON_AT = 0.8  # a running event goes on down to this share of its least score: the contract


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """How one model serves its cameras."""

    name: str  # under `models`
    spec: ModelSpec
    settings: ModelSettings
    latency: bool  # one camera whose newest frame counts: a batch as fast as possible
    least: float  # of the least scores of its cameras' classes; of no interest to a classifier
    on_ready: Callable[[], None]
    clock: Clock
    prove: bool = True  # build and prove what is better, where it is left to us; False: only use what there is

    @property
    def threshold(self) -> float:
        """The score above which answers are compared; a classifier's are, whatever they score."""
        return self.least if self.spec.scoring is None else 0.0

    @property
    def floor(self) -> float:
        """The score down to which boxes may be needed: for events that go on, and for comparing."""
        return min(GOES_ON_AT * self.least, floor_for(self.least))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What one model begins with, and what may follow."""

    spec: ModelSpec  # with as many pictures at once as all of the ways can do
    exact: Way
    begin: Way
    candidates: tuple[Candidate, ...] = ()  # empty: it stays as it begins
    first: int = 0  # of the candidates: whose turn it is
    most: int = 1  # pictures at once with which candidates are compared
    builds: bool = False  # something may have to be built
    build_first: bool = False  # before the cameras are opened
    hardware: int | None = None  # index of the GPU that computes it, or will


def ways_of(plan: ServingPlan) -> Ways:
    """Look up what this machine has for a model, and what has been proved before.

    Raises:
        BackendError: the runtime that was asked for can't be loaded, or lacks an engine that it may not build.
        ConfigError: there is no GPU of the number that was asked for.
    """
    backend = plan.settings.backend
    if choose(backend) != "tensorrt":
        return _cpu_ways(plan, backend)
    from .engine_ways import engine_ways  # noqa: PLC0415  only where there is a GPU

    try:
        return engine_ways(plan)
    except BackendError as exc:
        if backend != "auto" or plan.settings.precision not in ("auto", EXACT):
            raise
        kind = choose(ANY_CPU)
        _log.warning("model %s: %s; %s takes its place (`backend: %s` saves the attempt)", plan.name, exc, kind, kind)
        return _cpu_ways(plan, ANY_CPU)


def _cpu_ways(plan: ServingPlan, backend: str) -> Ways:
    auto = plan.settings.precision == "auto"
    exact = cpu_way(plan, backend, EXACT if auto else plan.settings.precision)
    fast = faster_precision(backend) if auto else None
    if fast is None:
        return Ways(spec=plan.spec, exact=exact, begin=exact)
    cache = cache_folder(os.environ)
    key = proof_key(plan.spec, backend=backend, precision=fast, threshold=plan.threshold, iou=NMS_IOU)
    faster = cpu_way(plan, backend, fast)
    proof = load_proof(cache, key)
    proved = proof is not None and proof.decision is Decision.USE
    candidate = Candidate(way=faster, terms=Terms(), proved=partial(_keep, plan.name, cache, key))
    begin = faster if proved else exact
    return Ways(spec=plan.spec, exact=exact, begin=begin, candidates=(candidate,) if plan.prove else ())


def cpu_way(plan: ServingPlan, backend: str, precision: str) -> Way:
    """Return the way that a runtime on the CPU computes a model; `backend` may be `auto`."""

    def opened(*, latency: bool) -> Backend:
        let_decoding_go_first()
        options = BackendOptions(precision=precision, latency=latency, threads=0, on_ready=plan.on_ready)
        return open_warm(plan.spec, backend, options)

    return Way(
        name=f"{choose(backend)} {precision}",
        open_to_compare=partial(opened, latency=True),
        open_to_serve=partial(opened, latency=plan.latency),
    )


def _keep(model: str, cache: Path, key: ProofKey, verdict: Verdict) -> None:
    try:
        save_proof(cache, key, verdict)
    except OSError as exc:
        _log.warning("the proof for %s can't be kept, the next start proves it anew: %s", model, exc)
