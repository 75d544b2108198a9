"""How a build goes on, and how it is ended before its end. Passive data."""

from __future__ import annotations

from dataclasses import dataclass

# In this order. `wait`: another process builds the same engine; `measure`: calibration; `inspect`: what was built.
PHASES = ("wait", "start", "convert", "measure", "read", "build", "inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a build is doing."""

    phase: str  # one of `PHASES`
    share: float | None = None  # 0..1 of the phase; None: it can't be told
    detail: str = ""  # in TensorRT's own words


class BuildStopped(Exception):  # noqa: N818  an end, not an error
    """Whoever asked for an engine wants it no more; nothing is left of it."""
