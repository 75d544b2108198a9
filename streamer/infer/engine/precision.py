"""The precision is put into the ONNX file: what TensorRT then builds computes in what stands there.

One path for TensorRT 10 and 11: the network is strongly typed, and no flag asks for a precision.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import shutil
import warnings
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

_log = logging.getLogger(__name__)

REVISION = 2  # of what is done here: another one makes other engines
Model = Any  # onnx's ModelProto has no stubs


def converter(precision: str) -> str | None:
    """Return what turns a model's file into the one that TensorRT reads; None: it reads the file itself."""
    if precision == "f32":
        return None
    import onnxruntime  # noqa: PLC0415  only where an engine is built or looked for

    return f"onnxruntime {onnxruntime.__version__}, revision {REVISION}"


def convert(
    path: Path,
    precision: str,
    *,
    spec: InputSpec,
    calibration: Iterable[NDArray[np.uint8]] | None,
    folder: Path,
    measured: Callable[[int], None] = lambda _frames: None,
) -> Path:
    """Return the file that TensorRT reads.

    f32 is the model itself, its open sizes decided. In f16 the picture goes in as f16, as the kernel writes it: the
    same numbers as after a cast, at half the memory traffic. Other inputs and all outputs keep their types. In int8 the
    large layers take 8 bits, by scales measured on the calibration's pictures; what is between them is as in f16.

    Args:
        path: the model.
        precision: f32 | f16 | int8.
        spec: of its input.
        calibration: canvases (H, W, 3) as the network sees them; int8 only.
        folder: where a new file goes.
        measured: told how many pictures have been measured.

    Raises:
        BackendError: the model can't be brought to that precision, or what that takes is not installed.
        OSError: the folder can't be written.
    """
    target = folder / f"{precision}.onnx"
    model = load_graph(path)
    fixed = fix_axes(model, spec)
    from .plain import check_eight_bits, has_eight_bits, plain, raised  # noqa: PLC0415  it imports onnx

    check_eight_bits(model)
    if precision == "f32" and not fixed:
        return path
    with _said(path, precision, folder):
        if precision == "f32":
            made = model
        elif precision == "f16":
            from .half import to_f16  # noqa: PLC0415  it imports onnxruntime.transformers

            model = plain(model)
            made = to_f16(raised(model) if has_eight_bits(model) else model, spec)
        else:
            model = plain(model)
            from .calibrate import to_int8  # noqa: PLC0415  it imports onnxruntime.quantization

            made = to_int8(model, spec, () if calibration is None else calibration, folder=folder, measured=measured)
        check_eight_bits(made)
        _save(made, target)
        _check(made, model, target)
    return target


def load_graph(path: Path, *, weights: bool = True) -> Model:
    """Read an ONNX file.

    Args:
        path: the file.
        weights: whether weights that lie in files beside it are read too.

    Raises:
        BackendError: `onnx` is not installed, or the file can't be read.
    """
    try:
        import onnx  # noqa: PLC0415  only where an engine is built
    except ImportError as exc:
        raise BackendError(
            'TensorRT: to build an engine the package onnx is missing; pip install "streamer[tensorrt]" brings it'
        ) from exc
    try:
        return onnx.load(str(path), load_external_data=weights)
    except Exception as exc:
        raise BackendError(f"{path}: can't be read as ONNX ({_first_line(exc)})") from exc


def weight_files(path: Path) -> list[str]:
    """Return the names of the files beside a model that hold weights of it; nearly all models have none.

    Raises:
        BackendError: it can't be read, or `onnx`, which is wanted only where there are such files, is not installed.
        OSError: it can't be opened.
    """
    if not path.stat().st_size:  # there is nothing to map; what is wrong with it is said by who reads it
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"location") < 0:  # the key under which ONNX names them: where it is not, nothing is parsed
            return []
    tensors = _tensors(load_graph(path, weights=False))
    return sorted({e.value for tensor in tensors for e in tensor.external_data if e.key == "location"})


def _tensors(model: Model) -> Iterator[Any]:
    """Yield all weights of a model, those in bodies (If, Loop) and in functions of its own included."""
    yield from model.graph.initializer
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        for attribute in waiting.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from body.initializer
                waiting.extend(body.node)


def fix_axes(model: Model, spec: InputSpec) -> bool:
    """Write the sizes that a network is used with into the inputs that leave them open: TensorRT tunes for them.

    The batch stays open where it is used so. Returns whether anything was open.
    """
    picture = (*spec.hw, 3) if spec.layout == "nhwc" else (3, *spec.hw)
    batch = None if spec.max_batch > 1 and not spec.fixed_batch else spec.max_batch
    wanted: dict[str, tuple[int | None, ...]] = {extra.name: (batch, *extra.axes) for extra in spec.extras}
    wanted[spec.name] = (batch, *picture) if spec.batched else picture
    fixed = False
    for port in model.graph.input:
        for axis, length in zip(port.type.tensor_type.shape.dim, wanted.get(port.name, ()), strict=False):
            if length is not None and axis.dim_value <= 0:
                axis.dim_value = length  # takes the place of a name
                fixed = True
    return fixed


def _save(model: Model, target: Path) -> None:
    with target.open("wb") as file:
        file.write(model.SerializeToString())


def _check(made: Model, model: Model, target: Path) -> None:
    """Let ONNX and ONNX Runtime read what was made: a wrong type in it would be TensorRT's riddle otherwise."""
    import onnxruntime  # noqa: PLC0415  only where an engine is built

    if _understood(model):
        _look_strictly(made)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    # It is only to be read: some of what ONNX Runtime makes of a transformer in f16 ends the process.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    onnxruntime.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])


def _understood(model: Model) -> bool:
    """Whether ONNX's own checks understand all of a model; operators of a vendor's are beyond them."""
    try:
        _look_strictly(model)
    except Exception as exc:  # noqa: BLE001  their errors share no other base class
        _log.debug("ONNX's own checks do not understand the model: %s", _first_line(exc))
        return False
    return True


def _look_strictly(model: Model) -> None:
    import onnx  # noqa: PLC0415  only where an engine is built

    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


@contextlib.contextmanager
def _said(path: Path, precision: str, folder: Path) -> Iterator[None]:
    """Turn what the converters raise into a sentence, and what they print into log lines.

    What they write in native code they don't look after: on a full disk it is cut off, and they stumble over it later.
    """
    with warnings.catch_warnings(record=True) as printed:
        warnings.simplefilter("always")
        try:
            yield
        except (BackendError, OSError):
            raise
        except Exception as exc:  # the converters raise anything
            if shutil.disk_usage(folder).free < path.stat().st_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from exc
            raise BackendError(
                f"{path.name}: can't be brought to {precision} ({_first_line(exc)}); precision f32 needs no change"
            ) from exc
    for line in dict.fromkeys(_first_line(one.message) for one in printed):
        _log.debug("%s", line)


def _first_line(said: object) -> str:
    return (str(said).strip().partition("\n")[0] or type(said).__name__)[:300]
