"""A network in 8 bits by explicit Q/DQ, its scales measured on the user's own pictures; what is between in f16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from streamer.infer.backends.batch import Normaliser, extra_values

from .half import to_f16
from .plain import HALF_8BIT_OPSET, opset_of, raised
from .tail import name_nodes, tail_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

_LAYERS = ["Conv", "Gemm", "MatMul"]
# As TensorRT takes it: symmetric, the weights a scale a channel, the bias as it is (it refuses 32-bit ones), and what
# a layer answers left alone: an activation comes first, and the next layer's input is what is brought to 8 bits.
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": _LAYERS,
}
Model = Any  # onnx's ModelProto has no stubs


def to_int8(
    model: Model,
    spec: InputSpec,
    canvases: Iterable[NDArray[np.uint8]],
    *,
    folder: Path,
    measured: Callable[[int], None],
) -> Model:
    """Return the network with its large layers in 8 bits, and what `half` does of the rest in f16.

    Only from opset 19 on can Q/DQ stand in a network in f16: where an older one can't be raised to it, the rest stays
    in f32, and a warning says so.

    Args:
        model: as it is.
        spec: of its input.
        canvases: (H, W, 3) each, as the network sees them.
        folder: for files in between.
        measured: told how many canvases have been measured.

    Raises:
        ValueError: there is no canvas.
    """
    plain, clean, made = folder / "plain.onnx", folder / "clean.onnx", folder / "quantised.onnx"
    model = raised(model)
    plain.write_bytes(model.SerializeToString())
    quant_pre_process(str(plain), str(clean), skip_symbolic_shape=True)  # folds what can be, and says each shape
    prepared = onnx.load(str(clean))
    name_nodes(prepared.graph)
    clean.write_bytes(prepared.SerializeToString())
    quantize_static(
        str(clean),
        str(made),
        _Reader(spec, canvases, measured),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_LAYERS,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(_left_alone(prepared.graph)),
        calibrate_method=CalibrationMethod.MinMax,
        extra_options=_OPTIONS,
    )
    quantised = onnx.load(str(made))
    return to_f16(quantised, spec) if opset_of(quantised) >= HALF_8BIT_OPSET else quantised


def _left_alone(graph: Any) -> set[str]:  # noqa: ANN401  a GraphProto
    """Return the names of the nodes that stay as they are.

    The tail and the last layers, whose numbers are the answer; the first one, which sees the pixels; products of two
    activations; and layers in groups: they gain little, and a scale for all channels is too coarse for them. With
    those in 8 bits not one of YOLOX-nano's boxes was right any more, without them 96 % were.
    """
    tail = tail_of(graph)
    weights = {tensor.name for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in _LAYERS]
    products = {node.name for node in layers if node.input[1] not in weights}
    grouped = {node.name for node in layers if any(a.name == "group" and a.i > 1 for a in node.attribute)}
    return {*tail.nodes, *tail.last_layers, *products, *grouped, *(node.name for node in layers[:1])}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # it has no stubs
    """Gives the quantiser one canvas after another, as the network is fed."""

    def __init__(self, spec: InputSpec, canvases: Iterable[NDArray[np.uint8]], measured: Callable[[int], None]) -> None:
        self._feeds = self._read(spec, canvases, measured)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next inputs; None: that was all."""
        return next(self._feeds, None)

    @staticmethod
    def _read(
        spec: InputSpec, canvases: Iterable[NDArray[np.uint8]], measured: Callable[[int], None]
    ) -> Iterator[dict[str, NDArray[np.generic]]]:
        normalise = Normaliser(spec)
        pictures = spec.max_batch if spec.fixed_batch else 1
        for number, canvas in enumerate(canvases, start=1):
            batch = canvas[None].repeat(pictures, axis=0)
            yield {spec.name: normalise(batch), **extra_values(spec, pictures)}
            measured(number)
