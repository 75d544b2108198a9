"""What an ONNX file says of itself: inputs, outputs, metadata, checksum."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.backends.onnxruntime import send_nothing
from streamer.infer.signature import Port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}
# ONNX Runtime has said these things in a different way in nearly each release.
_WEIGHTS_ELSEWHERE = ("xternal data", "external_data", "xternal tensor", "get_file_length", "cannot get file size")
_TOO_NEW = ("Unsupported model IR version", "till opset", "under development and support for this is limited")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """A file, and what stands in it."""

    path: Path
    sha256: str  # 64 hex digits
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]


def read_facts(path: Path, *, expected: str | None = None, advice: str = "") -> OnnxFacts:
    """Read an ONNX file without preparing it to run.

    Args:
        path: the file.
        expected: the sha256 that it must have, 64 hex digits; compared before a runtime sees the file.
        advice: what to do where it has another.

    Raises:
        ConfigError: there is no such file.
        BackendError: it is no ONNX file that can be used; the message says what it is instead.
    """
    sha256 = _digest(path)
    if expected not in (None, sha256):
        raise BackendError(f"{path}: its sha256 is {sha256}, it should be {expected}; {advice}")
    send_nothing()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; its own lines on stderr would stand twice
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its errors share no other base class
        raise BackendError(f"{path}: {_reason(str(exc))}") from exc
    empty = [_port(port) for port in session.get_inputs() if 0 in port.shape]
    outputs = tuple(_port(port) for port in session.get_outputs() if 0 not in port.shape)
    if empty or not outputs:
        what = f"its input {empty[0].name} is" if empty else "all of its outputs are"
        raise BackendError(f"{path}: {what} empty (an axis of length 0); export it anew")
    return OnnxFacts(
        path=path,
        sha256=sha256,
        inputs=tuple(_port(i) for i in session.get_inputs()),
        outputs=outputs,
        metadata=dict(session.get_modelmeta().custom_metadata_map),
    )


def _digest(path: Path) -> str:
    """Return the sha256 of a file that may be a model, having looked at its first bytes."""
    if os.path.isdir(path):  # noqa: PTH112  pathlib's raises where a folder may not be entered, or a name is too long
        raise ConfigError(f"model: {path} is a folder; allowed is an .onnx or .yaml file")
    sha256 = hashlib.sha256()
    try:
        with path.open("rb") as file:
            _refuse_impostors(path, file.read(512))
            file.seek(0)
            while block := file.read(1 << 20):
                sha256.update(block)
    except FileNotFoundError as exc:
        raise ConfigError(f"model: there is no file {path}") from exc
    except OSError as exc:
        raise ConfigError(f"model: {path} can't be read ({exc.strerror})") from exc
    return sha256.hexdigest()


def _refuse_impostors(path: Path, start: bytes) -> None:
    text = start.lstrip().lower()
    if not start:
        raise BackendError(f"{path}: is empty; download it anew")
    if text.startswith(b"version https://git-lfs"):
        raise BackendError(
            f"{path}: is a git-lfs pointer, not the model; run `git lfs pull`, or download the file itself"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BackendError(f"{path}: is a web page, not a model; the download has failed")
    if start.startswith(b"PK\x03\x04"):
        raise BackendError(f"{path}: is an archive (a PyTorch file?), not ONNX; export the model to ONNX")


def _reason(said: str) -> str:
    """Turn a runtime's message into a sentence for the model's owner."""
    if "TRT" in said or "com.nvidia" in said.lower():
        return "holds operators that only TensorRT can run; export it without the TensorRT NMS plug-in"
    if "rotobuf parsing failed" in said or "No graph was found" in said:
        return "is no ONNX file, or its download was cut off; compare its size and checksum"
    if any(sign in said for sign in _WEIGHTS_ELSEWHERE):
        return f"the file that holds its weights is missing beside it or cut off ({_plain(said)})"
    if any(sign in said for sign in _TOO_NEW):
        return "was made for a newer ONNX than ONNX Runtime reads here; export it with a lower opset"
    return f"can't be read by ONNX Runtime: {_plain(said)}"


def _plain(said: str) -> str:
    """Return the last part of ONNX Runtime's `[ONNXRuntimeError] : 1 : FAIL : ...` on one line, bounded."""
    return " ".join(said.rsplit(" : ", 1)[-1].split())[:300]


def _port(given: Any) -> Port:  # noqa: ANN401  the runtime's NodeArg has no stubs
    shape = tuple(n if isinstance(n, int) and n > 0 else None for n in given.shape)
    return Port(given.name, shape, _TYPES.get(given.type, given.type))
