"""How TensorRT's bindings behave where they need no library behind them: asked of the real ones and of the fake."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES = ("FLOAT", "HALF", "BF16", "INT8", "INT32", "INT64", "BOOL", "UINT8", "FP8", "INT4")
_MADE_BY_OTHERS = ("IOptimizationProfile", "IBuilderConfig", "INetworkDefinition", "ICudaEngine", "IExecutionContext")


def behaviour(trt: Any) -> dict[str, str]:  # noqa: ANN401  either module
    """Return question -> answer."""
    float_, flag, severity = trt.DataType.FLOAT, trt.BuilderFlag.TF32, trt.ILogger.Severity
    dims = trt.Dims((1, 3, 5))
    asked: dict[str, Callable[[], Any]] = {
        "a type is a number": lambda: float_ == 0,
        "a type is another's number": lambda: trt.DataType.HALF == trt.BuilderFlag.TF32,
        "a type is itself": lambda: float_ == trt.DataType.FLOAT,
        "a type can be a key": lambda: {float_: 1}[trt.DataType.FLOAT],
        "a type is called": lambda: (str(float_), float_.name),
        "a flag as a number": lambda: 1 << int(flag),
        "severities in order": lambda: [int(getattr(severity, n)) for n in ("INTERNAL_ERROR", "ERROR", "WARNING")],
        "members by name": lambda: "TF32" in trt.BuilderFlag.__members__,
        "a shape as a tuple": lambda: (tuple(dims), len(dims), dims[1], dims[1:]),
        "a shape's end": lambda: dims[3],
        "a shape against a shape": lambda: dims == trt.Dims((1, 3, 5)),
        "a shape against a tuple": lambda: (dims == (1, 3, 5), dims == [1, 3, 5], dims == (1, 3)),
        "a shape too long": lambda: trt.Dims((1,) * 9),
        "a shape at its longest": lambda: (trt.Dims.MAX_DIMS, len(trt.Dims((1,) * 8))),
        "elements of a shape": lambda: trt.volume((2, 3, 4)),
        "a builder without a logger": lambda: trt.Builder("logger"),
        "a runtime without a logger": lambda: trt.Runtime(None),
        "a parser without a network": lambda: trt.OnnxParser("network", trt.Logger()),
        "a logger's least severity": lambda: trt.Logger(severity.ERROR).min_severity == severity.ERROR,
    }
    for name in _TYPES:
        asked[f"numpy's {name}"] = partial(_numpy, trt, name)
    for name in ("ILogger", "IProgressMonitor", "IOutputAllocator"):
        asked[f"{name} without its __init__"] = _forgetful(getattr(trt, name))
        asked[f"{name} with its __init__"] = partial(_is_made, _mindful(getattr(trt, name)))
    for name in _MADE_BY_OTHERS:
        asked[f"{name} by itself"] = getattr(trt, name)
    return {question: _answer(ask) for question, ask in asked.items()}


def _answer(ask: Callable[[], Any]) -> str:
    try:
        return repr(ask())
    except Exception as exc:  # noqa: BLE001  which one it is, is the answer
        return type(exc).__name__


def _numpy(trt: Any, name: str) -> str:  # noqa: ANN401  either module
    return str(trt.nptype(getattr(trt.DataType, name)).__name__)


def _is_made(kind: type) -> bool:
    return isinstance(kind(), kind)


def _forgetful(base: Any) -> type:  # noqa: ANN401  a class of either module
    class Forgetful(base):  # type: ignore[misc]  # known only when it runs
        def __init__(self) -> None:
            pass

    return Forgetful


def _mindful(base: Any) -> type:  # noqa: ANN401  a class of either module
    class Mindful(base):  # type: ignore[misc]  # known only when it runs
        def __init__(self) -> None:
            base.__init__(self)

    return Mindful
