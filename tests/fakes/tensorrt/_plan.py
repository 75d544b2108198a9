"""The bytes of an engine: what it was built from and for, and the ONNX that the fake computes."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

from ._graph import Layer, Tensor

MAGIC = b"FAKETRT\n"
_HEAD = struct.Struct("<8sI32s")  # magic, bytes of the JSON, sha256 of all that follows


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An engine as it lies on disk."""

    version: str
    device: str
    compute_capability: tuple[int, int]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    data_dependent: tuple[str, ...]  # outputs
    profiles: tuple[dict[str, tuple[tuple[int, ...], ...]], ...]  # input -> min, opt, max
    layers: tuple[Layer, ...]
    verbosity: str  # a member of ProfilingVerbosity
    name: str
    onnx: bytes

    @property
    def precision(self) -> str:
        """What it computes in: int8, f16, bf16 or f32."""
        shown = {t.dtype for layer in self.layers for t in (*layer.inputs, *layer.outputs)}
        shown |= {layer.weights for layer in self.layers if layer.weights}
        for dtype, precision in (("INT8", "int8"), ("HALF", "f16"), ("BF16", "bf16")):
            if dtype in shown:
                return precision
        return "f32"

    def encode(self) -> bytes:
        """Return the bytes."""
        head = asdict(self)
        del head["onnx"]
        text = json.dumps(head, sort_keys=True).encode()
        digest = hashlib.sha256(text + self.onnx).digest()
        return _HEAD.pack(MAGIC, len(text), digest) + text + self.onnx


class BadPlanError(Exception):
    """These bytes are no plan; the message is what TensorRT logs."""


def decode(data: bytes) -> Plan:
    """Return the plan in these bytes.

    Raises:
        BadPlanError: they are none, or not all of one, or were changed.
    """
    if len(data) < _HEAD.size or data[:8] != MAGIC:
        raise BadPlanError("Serialization assertion magicTag == kPLAN_MAGIC_TAG failed. Magic tag does not match")
    _magic, length, digest = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if hashlib.sha256(body).digest() != digest:
        raise BadPlanError("Serialization assertion checksum failed. The plan is damaged or not complete")
    head: dict[str, Any] = json.loads(body[:length])
    head["inputs"] = tuple(_tensor(t) for t in head["inputs"])
    head["outputs"] = tuple(_tensor(t) for t in head["outputs"])
    head["layers"] = tuple(
        Layer(
            **{
                **layer,
                "inputs": tuple(map(_tensor, layer["inputs"])),
                "outputs": tuple(map(_tensor, layer["outputs"])),
            }
        )
        for layer in head["layers"]
    )
    head["profiles"] = tuple({k: tuple(tuple(s) for s in v) for k, v in p.items()} for p in head["profiles"])
    head["data_dependent"] = tuple(head["data_dependent"])
    head["compute_capability"] = tuple(head["compute_capability"])
    return Plan(**head, onnx=body[length:])


def _tensor(said: dict[str, Any]) -> Tensor:
    shape = said["shape"]
    return Tensor(name=said["name"], dtype=said["dtype"], shape=None if shape is None else tuple(shape))
