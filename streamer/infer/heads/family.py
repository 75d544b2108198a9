"""What a family of networks is: how it was trained to see, how it writes its boxes, and who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from streamer.infer.spec import ColorOrder, Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a family was trained to see; what is said of a model otherwise replaces it key by key."""

    color: ColorOrder
    scale: float
    fit: Fit
    pad: int = 114
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the order of the channels, after scaling
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hw: HW | None = None  # px, for a network that leaves its size open; None: 640x640


ULTRALYTICS = Look(color=ColorOrder.RGB, scale=1 / 255, fit=Fit.LETTERBOX)
STRETCHED = Look(color=ColorOrder.RGB, scale=1 / 255, fit=Fit.STRETCH, pad=0)
IMAGENET = Look(  # torchvision's mean and std, stretched
    color=ColorOrder.RGB,
    scale=1 / 255,
    fit=Fit.STRETCH,
    pad=0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


class Numbering(Enum):
    """How a network counts its classes, compared with the list of their names."""

    ZERO = "from 0"
    ONE = "from 1, 0 is the background"
    LAST = "from 0, the last is nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way in which a family could have written a network's outputs."""

    head: str
    outputs: tuple[Port, ...]  # those it needs, in the order in which the head takes them
    columns: int | None = None  # classes as the network counts them, background included; None: shapes do not say
    numbering: Numbering = Numbering.ZERO
    coco91: bool = False  # 80 COCO names then mean the 80 of COCO's 91 ids, where `columns` does not say
    sure: bool = True  # False: only for somebody who names the head, as a number of rows is not the family's usual one
    rare: bool = False  # tried only where no other reading is left
    one_picture: bool = False  # the outputs do not tell the pictures of a batch apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One head: its name, how to tell it, how to feed its networks, and how to read them."""

    name: str  # of `--head`
    needs: str  # the outputs in words, for a message: "[B, 4+C, A]"
    look: Look
    read: Callable[[Signature], Sequence[Reading]]  # every way in which it could have written the outputs
    open: Callable[[ModelSpec], Head]
    # What the raw outputs of one real picture say against it, in a few words; None: nothing does. They come in the
    # order of `Reading.outputs`, with the spec that they were asked for by.
    against: Callable[[Sequence[NDArray[np.float32]], ModelSpec], str | None] | None = None
    anchored: bool = False  # whether `anchors` may be given
    ultralytics: bool = False  # one of those whose exporters write class names into the metadata
