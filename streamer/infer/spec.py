"""Everything that must be known about a model to use it rightly. Passive data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from streamer.core.names import topic_level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Task(str, Enum):
    """What a model answers: where and what, or what overall."""

    DETECT = "detect"
    CLASSIFY = "classify"


class Fit(str, Enum):
    """How a picture of any shape is brought to the network's shape."""

    LETTERBOX = "letterbox"  # keep the aspect, centred, padded
    LETTERBOX_TOPLEFT = "letterbox-topleft"  # keep the aspect, top left, padded
    STRETCH = "stretch"
    CROP = "crop"  # keep the aspect, short side fits, centre is kept


class Activation(str, Enum):
    """What turns a classifier's numbers into scores of 0 to 1."""

    SOFTMAX = "softmax"  # one of the classes
    SIGMOID = "sigmoid"  # each class for itself
    NONE = "none"  # they are scores: the network ends with one of the two


class ColorOrder(str, Enum):
    """Channel order of the network's input."""

    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecOptions:
    """What somebody says of a model beyond its file: options, a sidecar, the catalogue or metadata. None: not said."""

    task: str | None = None
    head: str | None = None
    labels: str | Path | Sequence[str] | None = None  # the names, or `coco80`, or a file with one a line
    aliases: Mapping[str, str] | None = None  # class -> its name in topics
    size: int | tuple[int, int] | None = None  # px; two numbers are height, width
    color: str | None = None
    scale: float | None = None
    mean: float | tuple[float, float, float] | None = None
    std: float | tuple[float, float, float] | None = None
    fit: str | None = None
    pad: int | None = None
    anchors: Sequence[tuple[float, float]] | None = None  # width, height, px of the input; finest level first
    ids: str | int | Sequence[int] | None = None  # the network's own ids: `coco91`, that of the first class, or each
    look: str | None = None  # how pictures are prepared, in one word: `recognise/looks.py`
    resize: int | None = None  # px, the shorter side before the centre is cut out
    activation: str | None = None
    threshold: float | Mapping[str, float] | None = None  # for each class that is judged for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraInput:
    """An input beside the picture, the same for every one: two numbers, (B, 2), or a mask of one number, (B, h, w)."""

    name: str
    dtype: str  # float32 | int32 | int64
    row: tuple[float, ...]  # two numbers, or the one that a mask is full of
    axes: tuple[int, ...] = (2,)  # lengths of the axes after the batch


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """From 8-bit pixels to the network's input: value = (pixel * scale - mean) / std, per channel in input order."""

    name: str
    hw: tuple[int, int]  # px
    color: ColorOrder
    scale: float  # 1/255 for 0..1, 1.0 for 0..255
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Fit
    pad: int  # 0..255, all channels
    layout: str  # nchw | nhwc
    dtype: str  # float32 | float16 | uint8
    max_batch: int  # 1, or more when the batch axis is dynamic
    batched: bool = True  # False: one picture without a batch axis
    fixed_batch: bool = False  # True: it always computes `max_batch` pictures, whatever is wanted
    extras: tuple[ExtraInput, ...] = ()
    resize: int | None = None  # px: crop: the shorter side before the centre is cut out, stretch: each side
    area: bool = False  # True: shrunk by averages, as classifiers are trained; False: by samples, as detectors are


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How a classifier's numbers are read."""

    activation: Activation
    thresholds: tuple[float, ...]  # of each label: the least score with which it is there; empty: one of them is it
    reason: str  # why this activation

    @property
    def multi_label(self) -> bool:
        """Whether each class is judged for itself."""
        return bool(self.thresholds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model file and how to use it, with the source of each decision."""

    name: str
    path: Path
    digest: str  # sha256:<hex>
    task: Task
    head: str  # file name in `heads/`, or `classifier`
    labels: tuple[str, ...]
    input: InputSpec
    output_names: tuple[str, ...]
    decided_by: str  # options | sidecar | catalogue | metadata | companion | shapes | probe: what chose the head
    columns: int | None = None  # classes as the network counts them, background included; None: as many as labels
    ids: tuple[int, ...] | None = None  # the network's own id of each label; None: 0, 1, 2 ...
    anchors: tuple[tuple[float, float], ...] | None = None  # width, height, px of the input; None: the family's
    # Of outputs in another shape than their head takes: for each axis it takes, the output's own; None: a new one of 1.
    axes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # class as `labels` spell it -> its name in topics
    scoring: Scoring | None = None  # of a classifier; None: a detector

    @property
    def classes(self) -> int:
        """How many classes the network counts."""
        return len(self.labels) if self.columns is None else self.columns

    @property
    def topic_levels(self) -> tuple[str, ...]:
        """How each class stands in a topic, in the order of the class ids."""
        return tuple(topic_level(self.aliases.get(label, label)) for label in self.labels)
