"""Output heads: one file for each family of networks, chosen by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .base import Candidates, Head
from .end2end import End2EndHead
from .v5 import V5Head
from .v8 import V8Head
from .yolox import YoloxHead

if TYPE_CHECKING:
    from streamer.infer.spec import ModelSpec

HEADS = ("v8", "v5", "end2end", "yolox", "yolox-decoded")

__all__ = ["HEADS", "Candidates", "Head", "open_head"]


def open_head(spec: ModelSpec) -> Head:
    """Return the head that a spec names.

    Raises:
        ConfigError: there is no such head.
    """
    match spec.head:
        case "v8":
            return V8Head(len(spec.labels))
        case "v5" | "yolox-decoded":  # one layout; the two differ in what the network wants to see
            return V5Head()
        case "end2end":
            return End2EndHead(len(spec.labels))
        case "yolox":
            return YoloxHead(spec.input.hw)
        case _:
            raise ConfigError(f"head: {spec.head!r} is not known; allowed are {', '.join(HEADS)}")
