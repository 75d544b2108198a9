"""A classifier in use: pictures in, scores of classes out. Knows no camera and no thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import ConfigError
from streamer.core.results import Classification

from .backends.base import IN_FLIGHT, STREAMS, BackendOptions
from .heads.logits import sigmoid
from .network import ModelTicket, Network, open_warm
from .spec import Activation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .backends.base import Backend
    from .spec import ModelSpec, Scoring


class Classifier(Network[Classification]):
    """One network, called by one thread; at most `IN_FLIGHT` batches at once."""

    def __init__(self, spec: ModelSpec, backend: Backend, scoring: Scoring, *, depth: int = IN_FLIGHT) -> None:
        super().__init__(spec, backend, depth=depth)
        self._scores = ScoreReader(scoring, names=len(spec.labels), columns=spec.classes, ids=spec.ids)

    def collect(self, ticket: ModelTicket) -> list[Classification]:
        """Wait for a batch; return what each picture shows: every class, best first.

        Each ticket is collected once, in the order of submission.

        Raises:
            BackendError: the runtime failed.
        """
        (answer,) = self.outputs(ticket)
        scores = self._scores(answer.reshape(-1, self.spec.classes)[: len(ticket.placements)])
        found = [_best_first(row) for row in scores]
        self._sampled(ticket, found)
        return found


class ScoreReader:
    """From a network's numbers, (B, columns), to a score for each name, (B, names)."""

    def __init__(self, scoring: Scoring, *, names: int, columns: int, ids: tuple[int, ...] | None) -> None:
        self._activation = scoring.activation
        self._columns = None if ids is None else list(ids)
        self._no_and_yes = columns == 1 and names == 2  # one number that speaks for the second of two

    def __call__(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores of 0 to 1; NaN stays NaN."""
        match self._activation:
            case Activation.SOFTMAX:
                scores = softmax(numbers)
            case Activation.SIGMOID:
                scores = sigmoid(numbers)
            case Activation.NONE:
                scores = np.clip(numbers, np.float32(0), np.float32(1))  # rounding may have led a little beyond
        if self._columns is not None:
            scores = scores[:, self._columns]
        return np.hstack([np.float32(1) - scores, scores]) if self._no_and_yes else scores


def softmax(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return exp(x) over its sum, along the last axis."""
    raised = np.exp(numbers - numbers.max(axis=-1, keepdims=True))
    share: NDArray[np.float32] = raised / raised.sum(axis=-1, keepdims=True)
    return share


def _best_first(scores: NDArray[np.float32]) -> Classification:
    """Order the classes of one picture; a number that is none has no class, equal scores keep the classes' order."""
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    return Classification(class_ids=order.astype(np.int32), scores=scores[order])


def open_classifier(
    spec: ModelSpec, *, backend: str, precision: str, latency: bool, on_ready: Callable[[], None], threads: int = 0
) -> Classifier:
    """Load a classifier and answer one grey picture, so that the first real one takes no longer than the others.

    Args:
        spec: the model file and how it is used.
        backend: auto | openvino | onnxruntime | fake.
        precision: auto | f32 | bf16; `auto` is f32.
        latency: one batch as fast as possible, or the most batches a second.
        on_ready: called from any thread whenever a ticket has become ready.
        threads: CPU threads, 0 = all.

    Raises:
        BackendError: the runtime can't run this model here.
        ConfigError: the spec is not of a classifier.
    """
    if spec.scoring is None:
        raise ConfigError(f"model {spec.name}: is no classifier")
    options = BackendOptions(
        precision="f32" if precision == "auto" else precision, latency=latency, threads=threads, on_ready=on_ready
    )
    depth = STREAMS if latency else IN_FLIGHT
    return Classifier(spec, open_warm(spec, backend, options), spec.scoring, depth=depth)
