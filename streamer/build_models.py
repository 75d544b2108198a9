"""`streamer models build`: a TensorRT engine of a model, compared with ONNX Runtime before anybody uses it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streamer.build_frames import frames_of
from streamer.build_progress import open_watch
from streamer.core.errors import BackendError, ConfigError
from streamer.core.redact import redact
from streamer.infer.agreement import FASTER, LEAST_FRAMES
from streamer.infer.answers import answers_of, read_as
from streamer.infer.backends.base import BackendOptions
from streamer.infer.catalogue import cache_folder, open_catalogue
from streamer.infer.class_agreement import LEAST_PICTURES
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.frames import MOST, Calibration
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.prove import FRAMES, TRIAL, proof_of, prove, threshold_of, trial_canvases, wrong_precision
from streamer.infer.engine.recipe import EngineRecipe
from streamer.infer.network import open_warm, warmed
from streamer.infer.recognise import load_spec
from streamer.models import megabytes, print_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    import numpy as np
    from numpy.typing import NDArray

    from streamer.build_progress import Watch
    from streamer.infer.comparison import Answers
    from streamer.infer.engine.stored import StoredEngine
    from streamer.infer.recognise import SpecOptions
    from streamer.infer.spec import ModelSpec

_FAILED = 3
_INTERRUPTED = 130
_ORDER = {"auto": ("f16", "f32"), "f32": ("f32",), "f16": ("f16",), "int8": ("int8",)}
_NMS_IOU = 0.5  # the contract's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """What the user wants, looked at."""

    spec: ModelSpec  # its batch is the engine's
    device: int
    frames: NDArray[np.uint8] | None  # (N, H, W, 3); None: none were given
    cache: EngineCache


def build_model(
    model: str,
    *,
    options: SpecOptions,
    precision: str,
    batch: int | None,
    device: int,
    frames: Path | None,
    out: TextIO,
) -> int:
    """Build an engine and prove it; what came of it goes to `out`, and how it goes on to stderr.

    Args:
        model: a catalogue name or a path.
        options: what is known of the model beyond that.
        precision: auto | f32 | f16 | int8; auto: f16, and f32 where that is refused.
        batch: pictures at once; None: what the model allows, 8 at most where its file leaves it open.
        device: GPU index.
        frames: a folder of pictures or a clip, to prove on, and for int8 to calibrate on.
        out: where results go.

    Returns:
        The exit code: 0; 3 if no engine agrees with ONNX Runtime; 130 if interrupted.

    Raises:
        ConfigError: an argument is wrong.
        BackendError: it can't be built here.
    """
    if precision == "int8" and frames is None:
        raise ConfigError(
            "--precision int8: needs --frames, a folder of pictures or a clip of your own to calibrate on"
        )
    try:
        asked = _asked(load_spec(model, options=options, catalogue=open_catalogue(), task=None), batch, device, frames)
        return _build(asked, _ORDER[precision], out)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing is left of the engine that was not done\n")
        return _INTERRUPTED


def _asked(spec: ModelSpec, batch: int | None, device: int, frames: Path | None) -> _Asked:
    """Look at the arguments before anything takes its time."""
    if batch is not None:
        if batch > spec.input.max_batch or (spec.input.fixed_batch and batch != spec.input.max_batch):
            least = spec.input.max_batch if spec.input.fixed_batch else 1
            raise ConfigError(
                f"--batch {batch}: model {spec.name} takes {least}..{spec.input.max_batch} pictures at once"
            )
        spec = replace(spec, input=replace(spec.input, max_batch=batch))
    this_platform(device)
    most = MOST if spec.scoring is None else 2 * _enough(spec)  # of a clip half as many may come
    canvases = None if frames is None else frames_of(frames, spec.input, most=most)
    return _Asked(spec=spec, device=device, frames=canvases, cache=EngineCache(cache_folder(os.environ) / "tensorrt"))


def _build(asked: _Asked, precisions: Sequence[str], out: TextIO) -> int:
    """Try one precision after another until one agrees."""
    for precision in precisions:
        try:
            wrong = _one(asked, precision, out)
        except BackendError as exc:
            if precision == precisions[-1]:
                raise
            wrong = str(exc)  # the next, safer one may do
        if wrong is None:
            return 0
        sys.stderr.write(f"{redact(wrong)}\n")
    return _FAILED


def _one(asked: _Asked, precision: str, out: TextIO) -> str | None:
    """Build and prove in one precision; return what is wrong with the engine, in a sentence, or None."""
    with open_watch(f"{asked.spec.name} {precision}") as watch:
        stored, kept = _engine(asked, precision, watch)
        verdict, wrong = _proved(asked, stored, watch)
    print_pairs(_told(asked, stored, verdict, kept=kept), out)
    out.flush()
    return wrong


def _engine(asked: _Asked, precision: str, watch: Watch) -> tuple[StoredEngine, bool]:
    """Return the engine of a precision, and whether it was there already."""
    calibration = None
    if precision == "int8" and asked.frames is not None:
        few = len(asked.frames) < _enough(asked.spec)
        if few:
            sys.stderr.write(
                f"{asked.spec.name} int8: {len(asked.frames)} pictures are few: the ranges of its layers are measured "
                f"on them, and it is proved on the same ones; "
                f"{_enough(asked.spec)} or more, by day and by night, show more\n"
            )
        calibration = Calibration(asked.frames if few else asked.frames[::2])
    recipe = EngineRecipe(
        precision=precision,
        max_batch=asked.spec.input.max_batch,
        device=asked.device,
        calibration=None if calibration is None else calibration.sha256,
    )
    stored = build_engine(
        asked.spec, recipe, cache=asked.cache, calibration=calibration, progress=watch.at, stopping=watch.tick
    )
    return stored, not watch.built


def _proved(asked: _Asked, stored: StoredEngine, watch: Watch) -> tuple[Verdict, str | None]:
    """Say of an engine what speaks against it, in a sentence or None; write it down beside it."""
    spec, precision = asked.spec, stored.key.precision
    answers = answers_of(spec, threshold=threshold_of(spec), iou=_NMS_IOU)
    wrong = wrong_precision(stored.facts["precisions"], precision)
    if wrong is not None:
        verdict = Verdict(decision=Decision.REFUSE, agreement=answers.compare([], [], FASTER), gain=0.0)
    else:
        verdict = _compared(asked, stored, answers, watch)
        wrong = f"it does not agree with ONNX Runtime ({verdict})" if _refused(verdict) else None
    source = TRIAL if asked.frames is None else FRAMES
    proof = proof_of(verdict, source=source, head=read_as(spec), threshold=threshold_of(spec), iou=_NMS_IOU)
    asked.cache.note_proof(stored.key, proof)
    return verdict, None if wrong is None else f"model {spec.name}: its {precision} engine is refused: {wrong}"


def _compared(asked: _Asked, stored: StoredEngine, answers: Answers, watch: Watch) -> Verdict:
    """Compare an engine with ONNX Runtime."""
    from streamer.infer.backends.tensorrt import open_engine  # noqa: PLC0415  only when chosen

    spec = asked.spec
    canvases = trial_canvases(spec) if asked.frames is None else list(asked.frames)
    if stored.key.precision == "int8" and len(canvases) >= _enough(spec):
        canvases = canvases[1::2]
    exact = BackendOptions(precision="f32", latency=True, threads=0, on_ready=lambda: None)
    options = replace(exact, precision=stored.key.precision, device=asked.device)
    with (
        closing(warmed(spec, open_engine(stored, spec.input, spec.output_names, options))) as engine,
        closing(open_warm(spec, "onnxruntime", exact)) as reference,
    ):
        return prove(engine, reference, watch.proving(canvases), spec=spec, answers=answers)


def _enough(spec: ModelSpec) -> int:
    """Return of how many frames one half serves to calibrate and the other to prove; fewer serve for both."""
    return 2 * (LEAST_FRAMES if spec.scoring is None else LEAST_PICTURES)


def _told(asked: _Asked, stored: StoredEngine, verdict: Verdict, *, kept: bool) -> list[tuple[str, str]]:
    facts: Mapping[str, Any] = stored.facts
    layers = ", ".join(f"{count} in {name}" for name, count in sorted(facts["precisions"].items()))
    on = "your frames" if asked.frames is not None else "the picture that ships: weak, --frames gives it your own"
    seconds = f"{facts['build_seconds']:g} s"
    return [
        ("engine", f"{asked.spec.name} {stored.key.precision}, {'refused' if _refused(verdict) else 'kept'}"),
        ("file", f"{stored.plan_path} ({megabytes(facts['plan_bytes'])})"),
        ("built", f"before, in {seconds}" if kept else f"in {seconds}"),
        ("batch", f"up to {stored.key.max_batch}"),
        ("layers", layers or "TensorRT tells nothing of them"),
        ("proof", f"{verdict}; on {on}"),
    ]


def _refused(verdict: Verdict) -> bool:
    return verdict.decision is Decision.REFUSE
