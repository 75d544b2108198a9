"""From a model's name or path to everything that must be known to use it rightly."""

from streamer.infer.spec import SpecOptions

from .load import load_spec

__all__ = ["SpecOptions", "load_spec"]
