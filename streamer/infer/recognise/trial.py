"""A trial run on one real picture: what a network's numbers say for or against a reading of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import open_backend
from streamer.infer.canvas import open_canvases
from streamer.infer.heads import family_of, open_head
from streamer.infer.heads.shaped import shaped
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.infer.heads import Candidates
    from streamer.infer.signature import HW
    from streamer.infer.spec import InputSpec, ModelSpec
    from streamer.pixels.fit import Placement

NO_NUMBERS = "it answers with numbers that are none"

_FLOOR = 0.3  # scores that are looked at
_MOST = 50  # boxes that are looked at, the best
_OUTSIDE = 0.1  # share of the input by which a centre may lie outside it
_LARGEST = 2.0  # sides of the input that a box may reach
_SMALLEST = 2.0  # px
_CERTAIN, _CROWD = 0.9, 50  # so many such objects are in no portrait
# The portrait is put where neither an exchange of x and y nor a box read otherwise than it was written finds it: away
# from the diagonal, and with less height than lies above it. In sides of the portrait: the picture, its place there.
_PICTURE_HW, _PORTRAIT_YX = (2.3, 3.0), (1.2, 0.25)
_GREY = 114
_ON_PORTRAIT = 0.5  # share of a box


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    outputs: Mapping[str, NDArray[np.float32]]
    placement: Placement  # of the picture on the input


class Trial:
    """Runs a file once for each look that is tried; the picture shows a person at its bottom left, and nothing else."""

    def __init__(self, output_names: Sequence[str]) -> None:
        self._names = tuple(output_names)
        self._answers: dict[InputSpec, _Answer] = {}

    def against(self, spec: ModelSpec) -> str | None:
        """Return what speaks against a spec, in a few words, or None.

        Raises:
            BackendError: the network does not run.
        """
        answers = self._run(spec).outputs
        outputs = [answers[name] for name in spec.output_names]
        if not all(np.isfinite(output).all() for output in outputs):
            return NO_NUMBERS
        if any(output.ndim > 2 and len(output) == 0 for output in outputs):
            return "it answers for no picture"
        family = family_of(spec.head)
        try:
            doubt = family.against(shaped(outputs, spec), spec) if family.against is not None else None
            return doubt or self._against_boxes(open_head(spec)(outputs, _FLOOR, 0.5)[0], spec)
        except (ValueError, IndexError) as exc:  # open axes turned out to be of other lengths than the family's
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            return f"it answers with {shapes} ({exc})"

    def person_as(self, spec: ModelSpec) -> int | None:
        """Return the class that a spec, which nothing speaks against, sees the person as; None: it sees nothing.

        Raises:
            BackendError: the network does not run.
        """
        outputs = self._run(spec).outputs
        found = open_head(spec)([outputs[name] for name in spec.output_names], _FLOOR, 0.5)[0]
        return int(found.class_ids[0]) if len(found) else None

    def _against_boxes(self, found: Candidates, spec: ModelSpec) -> str | None:
        doubt = _absurd(found, spec.input.hw)
        if doubt is None and _elsewhere(found, self._run(spec).placement) and not self._imagines(spec, len(found)):
            return "its boxes lie where nothing is"
        return doubt

    def _imagines(self, spec: ModelSpec, seen: int) -> bool:
        """Whether it sees hardly less in an empty picture: of what is not trained yet, places mean nothing."""
        outputs = self._show(spec, np.full_like(placed_portrait()[0], _GREY)).outputs
        return 2 * len(open_head(spec)([outputs[name] for name in spec.output_names], _FLOOR, 0.5)[0]) >= seen

    def _run(self, spec: ModelSpec) -> _Answer:
        if spec.input not in self._answers:
            self._answers[spec.input] = self._show(spec, placed_portrait()[0])
        return self._answers[spec.input]

    def _show(self, spec: ModelSpec, bgr: NDArray[np.uint8]) -> _Answer:
        options = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
        with contextlib.closing(
            open_backend(
                "onnxruntime", str(spec.path), input_spec=spec.input, output_names=self._names, options=options
            )
        ) as backend:
            canvases, placements = open_canvases(spec.input).fill([picture_of_bgr(bgr)])
            answer = backend.collect(backend.submit(canvases))
            outputs = {name: output.copy() for name, output in zip(self._names, answer, strict=True)}
            return _Answer(outputs, placements[0])


def trial_picture() -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3) BGR: a portrait of Commodore Grace Hopper, US Navy, public domain."""
    raw = resources.files("streamer.infer").joinpath("data/hopper.jpg").read_bytes()
    return np.asarray(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def placed_portrait() -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """Return what networks are tried on, the portrait off the centre of a grey picture, and its x1 y1 x2 y2, px."""
    portrait = trial_picture()
    height, width = portrait.shape[:2]
    picture = np.full((int(_PICTURE_HW[0] * height), int(_PICTURE_HW[1] * width), 3), _GREY, np.uint8)
    top, left = int(_PORTRAIT_YX[0] * height), int(_PORTRAIT_YX[1] * width)
    picture[top : top + height, left : left + width] = portrait
    return picture, (left, top, left + width, top + height)


def _elsewhere(found: Candidates, placement: Placement) -> bool:
    """Whether the best box, or most of them, lie where nothing is; a network that sees nothing may know no people."""
    if not len(found):
        return False
    boxes = placement.to_frame(found.boxes[:_MOST])
    x1, y1, x2, y2 = placed_portrait()[1]
    common = np.clip(boxes, np.array([x1, y1, x1, y1]), np.array([x2, y2, x2, y2]))
    areas, shared = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, common))
    away = shared <= _ON_PORTRAIT * areas  # nothing is left of a box outside the picture
    return bool(away[0]) or 2 * np.count_nonzero(away) > len(boxes)


def _absurd(found: Candidates, hw: HW) -> str | None:
    """Say that most of the boxes can't be any: far outside, far larger than the picture, tiny, or far too many."""
    if np.count_nonzero(found.scores > _CERTAIN) > _CROWD:
        return "it is certain of far too many objects"
    boxes = found.boxes[:_MOST]
    if not len(boxes):
        return None
    sides = np.array([hw[1], hw[0]], np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides
    outside = ((centres < -_OUTSIDE) | (centres > 1 + _OUTSIDE)).any(axis=1)
    larger = ((boxes[:, 2:] - boxes[:, :2]) / sides > _LARGEST).any(axis=1)
    if 2 * np.count_nonzero((boxes[:, 2:] - boxes[:, :2] < _SMALLEST).all(axis=1)) > len(boxes):
        return "most of its boxes are smaller than 2 px"
    if 2 * np.count_nonzero(outside | larger) <= len(boxes):
        return None
    if np.count_nonzero(outside) >= np.count_nonzero(larger):
        return "most of its boxes lie outside the picture"
    return "most of its boxes are larger than the picture"
