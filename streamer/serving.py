"""One model in service: opened in the right precision, and moved to a faster one when that is proved."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.infer.agreement import floor_for
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import faster_precision
from streamer.infer.catalogue import cache_folder
from streamer.infer.gate import Decision, PrecisionGate
from streamer.infer.heads import open_head
from streamer.infer.model import open_model, open_warm
from streamer.infer.proof import load_proof, proof_key, save_proof
from streamer.pipeline.upgrade import PrecisionUpgrade, UpgradePlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.infer.backends.base import Backend
    from streamer.infer.gate import Verdict
    from streamer.infer.model import Model
    from streamer.infer.spec import ModelSpec
    from streamer.settings import ModelSettings

_log = logging.getLogger(__name__)

LEAST_SCORE = 0.5  # of every class, where none is asked for: the contract
_GOES_ON_AT = 0.8  # a running event goes on down to this share of its least score: the contract
_NMS_IOU = 0.5
_EXACT = "f32"
_NICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """How one model serves its cameras."""

    name: str  # under `models`
    spec: ModelSpec
    settings: ModelSettings
    latency: bool  # one camera whose newest frame counts: a batch as fast as possible
    least: float  # of the least scores of its cameras' classes
    on_ready: Callable[[], None]
    clock: Clock
    prove: bool = True  # a faster precision, where it is left to us; False: only use what has been proved before


class Serving:
    """Opens a model for its inference thread, and what proves a faster precision beside it."""

    def __init__(self, plan: ServingPlan) -> None:
        """Look up what has been proved before.

        Raises:
            BackendError: the runtime can't be loaded.
        """
        self._plan = plan
        auto = plan.settings.precision == "auto"
        self._fast = faster_precision(plan.settings.backend) if auto else None
        self._precision = _EXACT if auto else plan.settings.precision
        self._gate: PrecisionGate | None = None
        if self._fast is not None:
            if plan.prove:
                head = open_head(plan.spec)
                self._gate = PrecisionGate(head=head, threshold=plan.least, iou=_NMS_IOU, clock=plan.clock)
            self._cache = cache_folder(os.environ)
            self._key = proof_key(
                plan.spec, backend=plan.settings.backend, precision=self._fast, threshold=plan.least, iou=_NMS_IOU
            )
            proof = load_proof(self._cache, self._key)
            if proof is not None and proof.decision is Decision.USE:
                self._precision = self._fast

    def open(self) -> Model:
        """Open the model. Inference thread.

        Raises:
            BackendError: the runtime can't run this model here.
        """
        let_decoding_go_first()
        plan = self._plan
        floor = _GOES_ON_AT * plan.least
        model = open_model(
            plan.spec,
            backend=plan.settings.backend,
            precision=self._precision,
            latency=plan.latency,
            floor=floor if self._gate is None else min(floor, floor_for(plan.least)),
            iou=_NMS_IOU,
            on_ready=plan.on_ready,
        )
        if self._gate is not None:
            model.sample = self._gate.offer
        ref = model.ref
        _log.info("model %s: %s on %s %s", plan.name, ref.name, ref.backend, ref.precision)
        return model

    def upgrade(self, stop: threading.Event, beat: Callable[[], None]) -> PrecisionUpgrade | None:
        """Return what proves the faster precision, or None where there is none or the user has chosen one."""
        if self._gate is None or self._fast is None:
            return None
        plan = UpgradePlan(
            name=self._plan.name,
            gate=self._gate,
            exact=_EXACT,
            fast=self._fast,
            open_to_compare=lambda precision: self._backend(precision, latency=True),
            open_to_serve=lambda precision: self._backend(precision, latency=self._plan.latency),
            proved=self._save,
        )
        return PrecisionUpgrade(plan, serving=self._precision, clock=self._plan.clock, stop=stop, beat=beat)

    def _backend(self, precision: str, *, latency: bool) -> Backend:
        let_decoding_go_first()
        plan = self._plan
        options = BackendOptions(precision=precision, latency=latency, threads=0, on_ready=plan.on_ready)
        return open_warm(plan.spec, plan.settings.backend, options)

    def _save(self, verdict: Verdict) -> None:
        try:
            save_proof(self._cache, self._key, verdict)
        except OSError as exc:
            _log.warning("the proof for %s can't be kept, the next start proves it anew: %s", self._plan.name, exc)


def let_decoding_go_first() -> None:
    """Let decoding go first: a frame not decoded in time is lost, one not inferred is replaced by a newer one.

    The runtime's own threads inherit the niceness of the thread that starts them; only on Linux is it a thread's and
    not the process's.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A process that was started nicer than this stays so: going back takes a privilege.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))
