"""The network, and the parser that fills it from an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from ._base import Handle
from ._device import misused
from ._dims import Dims
from ._enums import DataType, NetworkDefinitionCreationFlag, OnnxParserFlag
from ._faults import faults
from ._graph import Refusal, data_dependent, inputs_of, layers_of, outputs_of, refusals, strict
from ._interfaces import ILogger, error, register

if TYPE_CHECKING:
    from ._builder import Builder
    from ._graph import Layer, Tensor


class ITensor(Handle):
    __slots__ = ("_is_input", "_tensor")

    def __init__(self, tensor: Tensor, *, is_input: bool) -> None:
        self._tensor = tensor
        self._is_input = is_input

    @property
    def name(self) -> str:
        return self._tensor.name

    @property
    def dtype(self) -> DataType:
        return DataType[self._tensor.dtype]

    @property
    def shape(self) -> Dims:
        return Dims(self._tensor.shape or ())

    @property
    def is_network_input(self) -> bool:
        return self._is_input

    @property
    def is_network_output(self) -> bool:
        return not self._is_input


class INetworkDefinition(Handle):
    __slots__ = ("_builder", "_dependent", "_flags", "_inputs", "_layers", "_onnx", "_outputs", "name")

    def __init__(self, builder: Builder, flags: int) -> None:
        self._builder = builder
        self._flags = flags
        self.name = "Unnamed Network 0"
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._layers: list[Layer] = []
        self._dependent: tuple[str, ...] = ()
        self._onnx = b""

    @property
    def builder(self) -> Builder:
        return self._builder

    @property
    def flags(self) -> int:
        return self._flags

    def get_flag(self, flag: NetworkDefinitionCreationFlag) -> bool:
        return bool(self._flags >> int(flag) & 1)

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return False

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def get_input(self, index: int) -> ITensor:
        return ITensor(self._inputs[index], is_input=True)

    def get_output(self, index: int) -> ITensor:
        return ITensor(self._outputs[index], is_input=False)

    def _fill(self, model: onnx.ModelProto) -> None:
        self._inputs, self._outputs = inputs_of(model.graph), outputs_of(model.graph)
        self._layers = layers_of(model)
        self._dependent = tuple(sorted(data_dependent(model.graph)))
        self._onnx = model.SerializeToString()


class ParserError(Handle):
    """One reason why a model was not taken. What looks like fields are methods, as in the bindings."""

    __slots__ = ("_refusal",)

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def desc(self) -> str:
        return self._refusal.reason

    def node(self) -> int:
        return self._refusal.node

    def node_name(self) -> str:
        return self._refusal.name

    def node_operator(self) -> str:
        return self._refusal.operator

    def file(self) -> str:
        return "ModelImporter.cpp"

    def func(self) -> str:
        return "parseNode"

    def line(self) -> int:
        return 0

    def __str__(self) -> str:
        said = self._refusal
        return (
            f"In node {said.node} with name: {said.name} and operator: {said.operator} (parseNode): "
            f"{said.code}: Assertion failed: {said.reason}"
        )


class OnnxParser(Handle):
    __slots__ = ("_errors", "_flags", "_logger", "_network")

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        if not isinstance(network, INetworkDefinition):
            raise TypeError("__init__(): incompatible constructor arguments: network must be an INetworkDefinition")
        self._network = network
        self._logger = register(logger)
        self._errors: list[ParserError] = []
        self._flags = 1 << int(OnnxParserFlag.NATIVE_INSTANCENORM)

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors.clear()

    @property
    def flags(self) -> int:
        return self._flags

    def set_flag(self, flag: OnnxParserFlag) -> None:
        self._flags |= 1 << int(flag)

    def get_flag(self, flag: OnnxParserFlag) -> bool:
        return bool(self._flags >> int(flag) & 1)

    def clear_flag(self, flag: OnnxParserFlag) -> None:
        self._flags &= ~(1 << int(flag))

    def supports_operator(self, op_name: str) -> bool:
        return op_name not in faults().unsupported_ops and onnx.defs.has(op_name)

    def parse_from_file(self, model: str) -> bool:
        if not isinstance(model, str):
            raise TypeError("parse_from_file(): incompatible function arguments: model must be a str")
        if not Path(model).is_file():
            return self._refuse(_general(f"Failed to open file: {model}", "MODEL_DESERIALIZE_FAILED"))
        try:
            loaded = onnx.load(model)  # and the files that its weights lie in
        except Exception as exc:  # noqa: BLE001  whatever protobuf says of bytes that are no model
            return self._refuse(_general(f"Failed to parse ONNX model: {exc}", "MODEL_DESERIALIZE_FAILED"))
        return self._take(loaded)

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            loaded = onnx.load_from_string(model)
            if path is not None:
                onnx.load_external_data_for_model(loaded, str(Path(path).parent))
        except Exception as exc:  # noqa: BLE001  as above
            return self._refuse(_general(f"Failed to parse ONNX model: {exc}", "MODEL_DESERIALIZE_FAILED"))
        return self._take(loaded)

    def _take(self, model: onnx.ModelProto) -> bool:
        if self._network.num_inputs:
            misused("this network was parsed into already")
        try:
            inferred = strict(model)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as exc:
            return self._refuse(_general(str(exc), "INVALID_GRAPH"))
        refused = list(refusals(inferred.graph, also=faults().unsupported_ops))
        if refused:
            return self._refuse(*refused)
        self._network._fill(inferred)
        return True

    def _refuse(self, *why: Refusal) -> bool:
        for refusal in why:
            self._errors.append(ParserError(refusal))
            error(self._logger, str(self._errors[-1]))
        return False


def _general(reason: str, code: str) -> Refusal:
    return Refusal(node=-1, name="", operator="", code=code, reason=reason)
