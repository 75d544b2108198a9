"""One model in service: opened in the way it begins with, and moved to a better one when that is proved."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamer.core.errors import BackendError
from streamer.infer.answers import answers_of
from streamer.infer.backends.base import IN_FLIGHT, STREAMS
from streamer.infer.classifier import Classifier
from streamer.infer.gate import PrecisionGate
from streamer.infer.heads import open_head
from streamer.infer.model import Model
from streamer.pipeline.upgrade import BackendUpgrade, UpgradePlan

from .ways import GOES_ON_AT, NMS_IOU, ways_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streamer.infer.backends.base import Backend
    from streamer.pipeline.upgrade import Way

    from .ways import ServingPlan

_log = logging.getLogger(__name__)

LEAST_SCORE = 0.5  # of every class, where none is asked for: the contract


class Serving:
    """Opens a model for its inference thread, and what prepares and proves a better way beside it."""

    def __init__(self, plan: ServingPlan) -> None:
        """Look up what there is and what has been proved before.

        Raises:
            BackendError: the runtime can't be loaded.
            ConfigError: the GPU that was asked for is not there.
        """
        self._plan = plan
        self._ways = ways_of(plan)
        self._upgrade: BackendUpgrade | None = None
        self._gate: PrecisionGate | None = None
        if self._ways.candidates:
            fed = self._ways.spec.input
            self._gate = PrecisionGate(
                answers_of(plan.spec, threshold=plan.threshold, iou=NMS_IOU),
                clock=plan.clock,
                pictures=fed.max_batch if fed.fixed_batch else 1,
                most=self._ways.most,
                looks=plan.spec.scoring is not None,
            )

    @property
    def hardware(self) -> int | None:
        """Index of the GPU that computes the model, or will; None: the CPU does."""
        return self._ways.hardware

    @property
    def builds(self) -> bool:
        """Whether something may be built beside the run, or before it."""
        return self._ways.builds

    @property
    def build_first(self) -> bool:
        """Whether that is to be done before the cameras are opened."""
        return self._ways.build_first

    def upgrade(self, stop: threading.Event, beat: Callable[[], None]) -> BackendUpgrade | None:
        """Return what prepares and proves better ways, or None where there are none. Called before `open`."""
        if self._gate is None:
            return None
        ways = self._ways
        plan = UpgradePlan(
            name=self._plan.name, gate=self._gate, exact=ways.exact, candidates=ways.candidates, first=ways.first
        )
        self._upgrade = BackendUpgrade(plan, clock=self._plan.clock, stop=stop, beat=beat)
        return self._upgrade

    def open(self) -> Model | Classifier:
        """Open the model: a detector, or a classifier, as its spec says. Inference thread.

        Raises:
            BackendError: the runtime can't run this model here.
        """
        plan = self._plan
        way, backend = self._begun()
        model = self._network(backend)
        if self._gate is not None:
            model.sample = self._gate.offer
        ref = model.ref
        _log.info("model %s: %s on %s %s", plan.name, ref.name, ref.backend, ref.precision)
        if self._upgrade is not None:
            self._upgrade.began(way.name)
        return model

    def _network(self, backend: Backend) -> Model | Classifier:
        plan, spec = self._plan, self._ways.spec
        # A frame that waits for its turn only grows older where the newest one counts.
        depth = STREAMS if plan.latency else IN_FLIGHT
        if spec.scoring is not None:
            return Classifier(spec, backend, spec.scoring, depth=depth)
        floor = GOES_ON_AT * plan.least if self._gate is None else plan.floor
        return Model(spec, backend, open_head(spec), floor=floor, iou=NMS_IOU, depth=depth)

    def _begun(self) -> tuple[Way, Backend]:
        """Open what the model begins with; where that fails and the exact way is another one, that one serves."""
        ways = self._ways
        try:
            return ways.begin, ways.begin.open_to_serve()
        except BackendError as exc:
            if ways.begin is ways.exact or self._upgrade is None:
                raise
            _log.warning("model %s: %s; it begins with %s", self._plan.name, exc, ways.exact.name)
            return ways.exact, ways.exact.open_to_serve()
