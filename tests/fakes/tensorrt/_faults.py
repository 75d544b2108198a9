"""What a test may have go wrong, in this process or, through the environment, in a child."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "FAKE_TENSORRT"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The version that the fake shows, and its faults. The default is a TensorRT that works."""

    version: str = "11.4.0.106"  # `tensorrt.__version__` too
    build_fails: str | None = None  # build_serialized_network returns None; this is the reason, in the logger only
    build_crashes: bool = False  # the process dies of SIGSEGV in the middle of a build
    build_needs_bytes: int = 0  # GPU memory that a build takes; short of it: None, and the reason in the logger
    steps_port: int | None = None  # before each step of a build one is asked here: see tests/fakes/tensorrt/_steps.py
    unsupported_ops: tuple[str, ...] = ()  # the parser refuses these
    forget_precision: bool = False  # the engine computes in f32 whatever was asked for, and the inspector shows it
    noise: tuple[tuple[str, float], ...] = ()  # ("f16", 0.3): outputs of such engines are off by 0.3 of their spread
    engine_bytes: int | None = None  # GPU memory that a loaded engine takes; None: as many as its ONNX has
    context_bytes: int = 1 << 20  # GPU memory that an execution context takes for its activations
    persistent_bytes: int = 0  # and what it takes for itself, whoever manages those
    execute_fails: str | None = None  # execute_async_v3 returns False; this is the reason, in the logger only
    not_capturable: bool = False  # execute_async_v3 fails while its stream is being captured

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".", 1)[0])

    def environ(self) -> dict[str, str]:
        """Return the variable that gives a child process these faults."""
        return {VARIABLE: json.dumps(asdict(self))}

    def noise_of(self, precision: str) -> float:
        """Return how far the outputs of an engine of this precision are off, in parts of their spread."""
        return dict(self.noise).get(precision, 0.0)


def _from_environ() -> Faults:
    said = json.loads(os.environ.get(VARIABLE, "{}"))
    said["unsupported_ops"] = tuple(said.get("unsupported_ops", ()))
    said["noise"] = tuple((name, part) for name, part in said.get("noise", ()))
    return Faults(**said)


_now = _from_environ()


def faults() -> Faults:
    """Return what is set now."""
    return _now


def set_faults(new: Faults) -> None:
    """Set version and faults for this process, from now on."""
    global _now  # noqa: PLW0603  one fake library a process, as one libnvinfer
    _now = new
