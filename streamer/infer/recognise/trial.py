"""A trial run on one real picture: what a network's numbers say for or against a reading of them."""

from __future__ import annotations

import contextlib
from importlib import resources
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import open_backend
from streamer.infer.canvas import open_canvases
from streamer.infer.heads import family_of, open_head
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.heads import Candidates
    from streamer.infer.signature import HW
    from streamer.infer.spec import InputSpec, ModelSpec

_FLOOR = 0.3  # scores that are looked at
_MOST = 50  # boxes that are looked at, the best
_OUTSIDE = 0.1  # share of the input by which a centre may lie outside it
_LARGEST = 2.0  # sides of the input that a box may reach


class Trial:
    """Runs a file once for each look that is tried; the picture shows a person."""

    def __init__(self, output_names: Sequence[str]) -> None:
        self._names = tuple(output_names)
        self._answers: dict[InputSpec, tuple[NDArray[np.float32], ...]] = {}

    def against(self, spec: ModelSpec) -> str | None:
        """Return what speaks against a spec, in a few words, or None.

        Raises:
            BackendError: the network does not run.
        """
        answers = dict(zip(self._names, self._run(spec), strict=True))
        outputs = [answers[name] for name in spec.output_names]
        if not all(np.isfinite(output).all() for output in outputs):
            return "it answers with numbers that are none"
        if any(output.ndim > 2 and len(output) == 0 for output in outputs):
            return "it answers for no picture"
        family = family_of(spec.head)
        try:
            doubt = family.against(outputs, spec) if family.against is not None else None
            return doubt or _absurd(open_head(spec)(outputs, _FLOOR, 0.5)[0], spec.input.hw)
        except (ValueError, IndexError) as exc:  # open axes turned out to be of other lengths than the family's
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            return f"it answers with {shapes} ({exc})"

    def _run(self, spec: ModelSpec) -> tuple[NDArray[np.float32], ...]:
        if spec.input not in self._answers:
            options = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
            with contextlib.closing(
                open_backend(
                    "onnxruntime", str(spec.path), input_spec=spec.input, output_names=self._names, options=options
                )
            ) as backend:
                canvases, _ = open_canvases(spec.input).fill([picture_of_bgr(trial_picture())])
                answer = backend.collect(backend.submit(canvases))
                self._answers[spec.input] = tuple(output.copy() for output in answer)
        return self._answers[spec.input]


def trial_picture() -> NDArray[np.uint8]:
    """Return the picture, (H, W, 3) BGR: a portrait of Commodore Grace Hopper, US Navy, public domain."""
    raw = resources.files("streamer.infer").joinpath("data/hopper.jpg").read_bytes()
    return np.asarray(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _absurd(found: Candidates, hw: HW) -> str | None:
    """Say that most of the boxes can't be any: far outside, or far larger than the picture."""
    boxes = found.boxes[:_MOST]
    if not len(boxes):
        return None
    sides = np.array([hw[1], hw[0]], np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides
    outside = ((centres < -_OUTSIDE) | (centres > 1 + _OUTSIDE)).any(axis=1)
    larger = ((boxes[:, 2:] - boxes[:, :2]) / sides > _LARGEST).any(axis=1)
    if 2 * np.count_nonzero(outside | larger) <= len(boxes):
        return None
    if np.count_nonzero(outside) >= np.count_nonzero(larger):
        return "most of its boxes lie outside the picture"
    return "most of its boxes are larger than the picture"
