"""What inference and tracking say about a frame. Passive, checked values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .frame import FrameInfo

Box = tuple[float, float, float, float]  # x1 y1 x2 y2, px of the original frame


class Detection(NamedTuple):
    """One row of `Detections`, in plain numbers."""

    box: Box
    score: float
    class_id: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """Boxes, scores and classes of one frame, best first.

    Raises:
        ValueError: shapes or dtypes are not the documented ones.
    """

    boxes: NDArray[np.float32]  # (N, 4) x1 y1 x2 y2, px of the original frame, clipped to it
    scores: NDArray[np.float32]  # (N,) 0..1, descending
    class_ids: NDArray[np.int32]  # (N,)

    def __post_init__(self) -> None:
        n = len(self.scores)
        actual = [(a.shape, a.dtype) for a in (self.boxes, self.scores, self.class_ids)]
        expected = [((n, 4), np.dtype(np.float32)), ((n,), np.dtype(np.float32)), ((n,), np.dtype(np.int32))]
        if actual != expected:
            raise ValueError(f"boxes, scores, class_ids: expected {expected}, got {actual}")

    @classmethod
    def empty(cls) -> Detections:
        """Return the only spelling of "nothing"."""
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int32),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Detections:
        """Return the chosen rows as new `Detections`."""
        return Detections(boxes=self.boxes[index], scores=self.scores[index], class_ids=self.class_ids[index])

    def __iter__(self) -> Iterator[Detection]:
        for box, score, class_id in zip(
            self.boxes.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True
        ):
            yield Detection((box[0], box[1], box[2], box[3]), score, class_id)


class ClassScore(NamedTuple):
    """One row of a `Classification`, in plain numbers."""

    class_id: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classification:
    """What a picture shows overall: classes and their scores, best first.

    Raises:
        ValueError: shapes or dtypes are not the documented ones, or the scores do not descend.
    """

    class_ids: NDArray[np.int32]  # (K,)
    scores: NDArray[np.float32]  # (K,) 0..1, descending

    def __post_init__(self) -> None:
        k = len(self.scores)
        actual = [(a.shape, a.dtype) for a in (self.class_ids, self.scores)]
        expected = [((k,), np.dtype(np.int32)), ((k,), np.dtype(np.float32))]
        if actual != expected:
            raise ValueError(f"class_ids, scores: expected {expected}, got {actual}")
        if not (self.scores[:-1] >= self.scores[1:]).all():  # NaN is in no order either
            raise ValueError("scores: expected them to descend")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[np.bool_] | slice) -> Classification:
        """Return the chosen rows as a new `Classification`."""
        return Classification(class_ids=self.class_ids[index], scores=self.scores[index])

    def __iter__(self) -> Iterator[ClassScore]:
        for class_id, score in zip(self.class_ids.tolist(), self.scores.tolist(), strict=True):
            yield ClassScore(class_id, score)


class Velocity(NamedTuple):
    """How a box's centre moves in the picture, and how well that is known."""

    x: float  # px/s, to the right
    y: float  # px/s, downwards
    deviation: float  # px/s: standard deviation of either


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One object followed over time. A sighting is a detection matched to it."""

    id: int  # unique within a camera and a run, from 1
    class_id: int
    box: Box  # px, at the last sighting
    score: float  # of the last sighting
    first_ns: int  # capture time of the first sighting, monotonic
    last_ns: int  # capture time of the last sighting, monotonic
    hits: int  # sightings so far
    velocity: Velocity | None = None  # at the last sighting; None: nothing tells it yet
    stationary: bool = False  # it has rested in one place for 10 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a frame passed the stations of the pipeline, monotonic ns."""

    captured_ns: int
    taken_ns: int
    inferred_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model, in which form, gave a result."""

    name: str
    digest: str  # sha256:<64 hex digits> of the model file
    backend: str  # tensorrt | openvino | onnxruntime | fake
    precision: str  # f32 | bf16 | f16 | int8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What a model said of one frame."""

    info: FrameInfo
    output: Detections
    timing: Timing
    model: ModelRef
