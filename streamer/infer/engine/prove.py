"""Promise 5 for engines: one is used only once it has given the answers of ONNX Runtime, and what that has shown.

Two things speak against an engine: that it answers otherwise, and that it computes in another precision than was asked
for. The verdict stands in the engine's facts, with the pictures that it rests on:

- `cameras`: canvases of the very cameras, gathered by a run. It is what a run goes by, and asks for again each hour.
- `frames`: a folder or a clip that the user gave to `models build`. A run begins with such an engine at once.
- `trial`: the portrait that ships, mirrored, moved, shrunk, darker and brighter. That is weak: one person in front of
  grey says little of a yard at night. It finds engines that are plainly wrong; a run does not rely on it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamer.core.clock import SystemClock
from streamer.infer.agreement import bar_of
from streamer.infer.answers import evidence_of
from streamer.infer.canvas import open_canvases
from streamer.infer.comparison import Comparison, Decision, Terms, Verdict
from streamer.infer.recognise.trial import placed_portrait
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from streamer.core.clock import Clock
    from streamer.infer.backends.base import Backend
    from streamer.infer.comparison import Answers
    from streamer.infer.spec import ModelSpec

CAMERAS, FRAMES, TRIAL = "cameras", "frames", "trial"  # where the pictures came from
# `models build` knows no camera's thresholds; what holds down to here holds above.
THRESHOLD = 0.25
_FEW = 10  # boxes or pictures of which one that disagrees already says that an engine is wrong
_SCALES, _LIGHTS, _SHIFTS = (1.0, 0.7, 0.5, 0.35), (0.6, 1.0, 1.4), (0.0, 0.2)


def terms_of(precision: str) -> Terms:
    """Return what an engine is held to. It need not be faster than a CPU: it leaves the CPU to the cameras."""
    return Terms(bar=bar_of(precision), least_gain=0.0)


def threshold_of(spec: ModelSpec) -> float:
    """Return the score above which `models build` compares; a classifier's answers it does whatever they score."""
    return THRESHOLD if spec.scoring is None else 0.0


def prove(
    engine: Backend,
    reference: Backend,
    canvases: Iterable[NDArray[np.uint8]],
    *,
    spec: ModelSpec,
    answers: Answers,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Verdict:
    """Compare an engine with ONNX Runtime in f32.

    Args:
        engine: its backend; `precision` says what it is held to.
        reference: ONNX Runtime's.
        canvases: (H, W, 3) each, as the network sees them.
        spec: of the model.
        answers: reads both backends' outputs, and compares them.
        clock: for tests.
        stopping: asked before each canvas; once true, what was seen so far decides.

    Returns:
        `USE`, `REFUSE`, or `UNDECIDED` where there was too little to see.

    Raises:
        BackendError: one of the two failed.
    """
    pictures = spec.input.max_batch if spec.input.fixed_batch else 1
    terms = terms_of(engine.precision)
    comparison = Comparison(answers, clock=clock or SystemClock(), pictures=pictures, most=spec.input.max_batch)
    for canvas in canvases:
        if stopping():
            break
        comparison.add(canvas, reference, engine, terms.bar)
    verdict = comparison.verdict(terms)
    seen = verdict.agreement
    if verdict.decision is Decision.UNDECIDED and seen.counted >= _FEW and not seen.within(terms.bar):
        return Verdict(decision=Decision.REFUSE, agreement=seen, gain=verdict.gain)
    return verdict


def wrong_precision(shown: Mapping[str, int], asked: str) -> str | None:
    """Return what is wrong with the precisions that an engine's layers show, or None.

    Args:
        shown: layers by precision, as TensorRT's inspector tells them.
        asked: f32 | f16 | int8.
    """
    if not shown:
        return "TensorRT tells of no layer what it computes in"
    told = ", ".join(f"{count} in {name}" for name, count in sorted(shown.items()))
    if asked == "f32":
        return f"some of its layers are not in f32: {told}" if set(shown) & {"f16", "bf16", "int8", "f8"} else None
    return None if shown.get(asked) else f"none of its layers computes in {asked}: {told}"


def trial_canvases(spec: ModelSpec) -> list[NDArray[np.uint8]]:
    """Return canvases (H, W, 3) of the portrait that ships and its variations: weak evidence, see above."""
    canvases = open_canvases(spec.input)
    portrait = placed_portrait()[0]
    drawn = []
    for scale in _SCALES:
        for light in _LIGHTS:
            for shift in _SHIFTS:
                for turned in (portrait, portrait[:, ::-1]):
                    picture = picture_of_bgr(_varied(turned, scale=scale, light=light, shift=shift))
                    drawn.append(canvases.fill([picture])[0][0].copy())
    return drawn


def _varied(bgr: NDArray[np.uint8], *, scale: float, light: float, shift: float) -> NDArray[np.uint8]:
    height, width = bgr.shape[:2]
    move = np.array([[scale, 0, shift * width], [0, scale, shift * height]], np.float32)
    moved = cv2.warpAffine(bgr, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    lit: NDArray[np.uint8] = np.clip(moved.astype(np.float32) * light, 0, 255).astype(np.uint8)
    return lit


def proof_of(verdict: Verdict, *, source: str, head: str, threshold: float, iou: float) -> dict[str, Any]:
    """Return a verdict as it stands in an engine's facts.

    Args:
        verdict: of the comparison.
        source: `CAMERAS`, `FRAMES` or `TRIAL`.
        head: that read the outputs.
        threshold: boxes above it counted.
        iou: of non-maximum suppression.
    """
    return {
        "decision": verdict.decision.value,
        "agreement": asdict(verdict.agreement),
        "gain": round(verdict.gain, 3),
        "source": source,
        "head": head,
        "threshold": threshold,
        "iou": iou,
        "said": str(verdict),
    }


def decision_of(proof: object, *, head: str, threshold: float, iou: float) -> Decision:
    """Return what a proof in an engine's facts says to a run; `UNDECIDED` if it says nothing of it.

    Args:
        proof: as `proof_of` gave it, or whatever else stands there.
        head: of the run; a proof for another one says nothing.
        threshold: of the run: what held down to a lower one holds.
        iou: of the run.
    """
    if not isinstance(proof, dict):
        return Decision.UNDECIDED
    try:
        decision, seen = Decision(proof["decision"]), evidence_of(proof["agreement"])
        if proof["head"] != head or proof["iou"] != iou or float(proof["threshold"]) > threshold or not seen.frames:
            return Decision.UNDECIDED
        weak = decision is Decision.USE and proof["source"] not in (CAMERAS, FRAMES)
    except (KeyError, TypeError, ValueError):
        return Decision.UNDECIDED  # proved anew from real frames: nothing is lost but a minute
    return Decision.UNDECIDED if weak else decision
