"""Who said what of a model, in the order in which they are trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.core.errors import BackendError, ConfigError, StreamerError
from streamer.infer.labels import load_labels
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of facts; its labels are read already."""

    source: str  # options | sidecar | catalogue | metadata | companion
    where: str  # how a message names it
    said: SpecOptions

    def fault(self, message: str) -> StreamerError:
        """Return the error for what this source has said wrongly: an argument's, or the model's own."""
        return ConfigError(message) if self.source == "options" else BackendError(message)


_NOBODY = Layer("nobody", "nobody", SpecOptions())


@dataclass(frozen=True, slots=True)
class Layers:
    """All sources, the most trusted first."""

    layers: tuple[Layer, ...]

    def first(self, key: str) -> tuple[Any, Layer]:
        """Return what the most trusted source says of a key of `SpecOptions`, and that source; None if nobody does."""
        for layer in self.layers:
            value = getattr(layer.said, key)
            if value is not None:
                return value, layer
        return None, _NOBODY

    def ids(self) -> tuple[Any, Layer]:
        """Return what is said of the classes' ids by whoever names the classes, or by a more trusted source."""
        for layer in self.layers:
            if layer.said.ids is not None:
                return layer.said.ids, layer
            if layer.said.labels is not None:
                break
        return None, _NOBODY

    def all(self, key: str) -> Iterable[tuple[Any, Layer]]:
        """Return everything that is said of a key, the most trusted first."""
        return [(v, layer) for layer in self.layers if (v := getattr(layer.said, key)) is not None]


def options_layer(options: SpecOptions) -> Layer:
    """Read the labels that options name.

    Raises:
        ConfigError: they can't be read.
    """
    labels = options.labels
    if isinstance(labels, (str, Path)):
        labels = load_labels(str(labels))
    return Layer("options", "an option", replace(options, labels=None if labels is None else tuple(labels)))
