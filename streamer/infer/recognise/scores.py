"""Whether a classifier's numbers are scores already, and if not, what makes them so."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import BackendError
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import open_backend
from streamer.infer.canvas import open_canvases
from streamer.infer.spec import Activation
from streamer.pixels.convert import picture_of_bgr

from .trial import trial_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.infer.signature import Port
    from streamer.infer.spec import InputSpec

    from .graph import Made
    from .layers import Layers
    from .onnx_file import OnnxFacts

_SOFTMAX = {"Softmax", "QLinearSoftmax"}
_SIGMOID = {"Sigmoid", "QLinearSigmoid", "HardSigmoid"}
# After these a number can be any: it is no score yet. Softmax of logarithms of probabilities gives them back.
_LOGITS = {
    "Gemm", "MatMul", "Conv", "BatchNormalization", "LogSoftmax", "FusedGemm", "FusedMatMul", "FusedConv",
    "MatMulInteger", "ConvInteger", "QGemm", "QLinearMatMul", "QLinearConv",
}  # fmt: skip
# So it is after these, unless probabilities are what they sum up: several networks' mean.
_SUMS = {
    "Add", "Sum", "Mean", "ReduceMean", "AveragePool", "GlobalAveragePool", "QLinearAdd", "QLinearAveragePool",
    "QLinearGlobalAveragePool",
}  # fmt: skip
_SUM_ERROR = 1e-3
_HALF_SUM_ERROR = 1e-2  # a thousand scores of half precision


@dataclass(frozen=True, slots=True)
class Scores:
    """What was found out about an output's numbers."""

    columns: int
    activation: Activation  # what is to be applied
    each: bool | None  # True: each class is judged for itself; None: that can't be told
    reason: str  # why this activation, in words


def read_scores(
    facts: OnnxFacts, layers: Layers, output: Port, *, made: Made, columns: int | None, seen: InputSpec
) -> Scores:
    """Tell logits from probabilities, as somebody says, by the graph's last operation, or by a trial on two pictures.

    Raises:
        StreamerError: it can't be told, or what was said contradicts the graph.
    """
    said, layer = layers.first("activation")
    allowed = [member.value for member in Activation]
    if said is not None and said not in allowed:
        raise layer.fault(f"{layer.where}: activation: {said!r} is not known; allowed are {', '.join(allowed)}")
    applied, last = _kind(made.operation), made.operation
    if columns is None or applied is None:
        answers = _answers(facts, output, seen)
        columns = answers.shape[1]
        if applied is None:
            applied = _kind_of(answers, half=output.dtype == "float16")
            last = f"values on two pictures, after {last or 'an operation that is not known'}"
            if applied is None and made.operation in _SUMS:
                applied = Activation.NONE
    if said is not None:
        if applied is Activation.NONE and said == "none":
            raise layer.fault(
                f"{facts.path}: {layer.where} says activation none, but its numbers are no scores yet ({last}); "
                "allowed are softmax, sigmoid"
            )
        if applied in (Activation.SOFTMAX, Activation.SIGMOID) and said != "none":
            raise layer.fault(
                f"{facts.path}: {layer.where} says activation {said}, but {applied.value} is inside already ({last}); "
                "write none, or leave it out"
            )
        each = said == "sigmoid" if said != "none" else None if applied is None else applied is Activation.SIGMOID
        return Scores(columns, Activation(said), each, f"so says {layer.where}")
    return _decided(facts, output, applied=applied, columns=columns, last=str(last))


def _decided(facts: OnnxFacts, output: Port, *, applied: Activation | None, columns: int, last: str) -> Scores:
    if applied is None:
        raise BackendError(
            f"{facts.path}: it can't be told whether its output {output} holds probabilities ({last}); "
            "choose with --activation softmax, sigmoid (to be applied) or none (they are inside), or write "
            f"`activation:` in a sidecar {facts.path.with_suffix('.yaml').name}"
        )
    if applied is Activation.NONE:
        wanted = Activation.SIGMOID if columns == 1 else Activation.SOFTMAX
        return Scores(columns, wanted, wanted is Activation.SIGMOID, f"its numbers are logits: {last}")
    return Scores(columns, Activation.NONE, applied is Activation.SIGMOID, f"inside already: {last}")


def _kind(operation: str | None) -> Activation | None:
    """Return what the network applies itself, NONE for logits; None: the operation does not tell."""
    if operation in _SOFTMAX:
        return Activation.SOFTMAX
    if operation in _SIGMOID:
        return Activation.SIGMOID
    return Activation.NONE if operation in _LOGITS else None


def _kind_of(answers: NDArray[np.float32], *, half: bool) -> Activation | None:
    """Tell by values, (2, C): outside 0 to 1 are logits, summing up to 1 each time is a softmax, and else who knows."""
    if not np.isfinite(answers).all():
        return None
    if answers.min() < 0 or answers.max() > 1 + _SUM_ERROR:
        return Activation.NONE
    error = _HALF_SUM_ERROR if half else _SUM_ERROR
    sums_up = answers.shape[1] > 1 and np.abs(answers.sum(axis=1) - 1).max() <= error
    return Activation.SOFTMAX if sums_up else None


def _answers(facts: OnnxFacts, output: Port, seen: InputSpec) -> NDArray[np.float32]:
    """Show it a portrait, and its negative upside down; return (2, C).

    Raises:
        BackendError: it does not run, or answers something else.
    """
    portrait = trial_picture()
    options = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
    rows = []
    with contextlib.closing(
        open_backend("onnxruntime", str(facts.path), input_spec=seen, output_names=(output.name,), options=options)
    ) as backend:
        for bgr in (portrait, np.ascontiguousarray(255 - portrait[::-1])):
            canvases, _ = open_canvases(seen).fill([picture_of_bgr(bgr)])
            (answer,) = backend.collect(backend.submit(canvases))
            pictures = len(canvases) if seen.batched else 1
            if answer.size == 0 or answer.size % pictures or (answer.ndim > 1 and len(answer) != pictures):
                raise BackendError(
                    f"{facts.path}: its output {output} answers {list(answer.shape)} for {pictures} picture"
                    f"{'s' * (pictures != 1)}, not a row of scores for each; is it a detector?"
                )
            rows.append(answer.reshape(pictures, -1)[0].copy())
    return np.stack(rows)
