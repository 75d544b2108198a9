"""How classifiers were trained to see, in one word each: nothing in a file tells them apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from .layers import Layer

# The first three are named as in Keras' `preprocess_input`; mean and std in the order of the channels.
LOOKS: dict[str, SpecOptions] = {
    "torch": SpecOptions(  # torchvision, timm, MXNet, PaddleClas
        color="rgb", scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), fit="crop"
    ),
    "tf": SpecOptions(color="rgb", scale=2 / 255, mean=1.0, std=1.0, fit="stretch"),  # -1..1
    "caffe": SpecOptions(color="bgr", scale=1.0, mean=(103.939, 116.779, 123.68), std=1.0, fit="crop"),
    "ultralytics": SpecOptions(color="rgb", scale=1 / 255, mean=0.0, std=1.0, fit="crop"),
}
IN_WORDS = {
    "torch": "RGB, ImageNet's mean and std",
    "tf": "RGB, -1 to 1, stretched",
    "caffe": "BGR, less its mean",
    "ultralytics": "RGB, 0 to 1",
}


def spelled_out(layer: Layer) -> Layer:
    """Put what a named look means in its place; a key that stands beside it replaces its part.

    Raises:
        StreamerError: there is no such look.
    """
    said = layer.said
    if said.look is None:
        return layer
    if said.look not in LOOKS:
        allowed = ", ".join(LOOKS)
        raise ConfigError(f"{layer.where}: look: {said.look!r} is not known; allowed are {allowed}")
    look = LOOKS[said.look]
    keys = {key: getattr(look, key) for key in ("color", "scale", "mean", "std", "fit") if getattr(said, key) is None}
    return replace(layer, said=replace(said, **keys))
