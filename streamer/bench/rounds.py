"""The rounds of a measurement: the pipeline, the bare inference, the bare decoding, and again."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from streamer.settings import load

from .child import Child
from .machine import load_now, shares
from .receiver import Receiver
from .subject import models_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .subject import Options, Subject

SETTLE_LIVE_S = 2.0  # a stream begins with what the server or the kernel had kept
SETTLE_FILE_S = 1.0
_CHILD_LIMIT_S = 700.0  # beside what it measures: a large model compiles for minutes
_STARTING_S = 3.0  # what starting and ending a part takes; only for the time that is left


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has measured; the keys are those of the children's answers."""

    pipeline: dict[str, Any]
    published_ms: list[float]  # ages at the receiver, of all cameras
    infer: dict[str, dict[str, Any]]  # model -> limit
    decode: dict[str, dict[str, Any]]  # camera -> limit
    shares: dict[str, float | None]  # cores used by the bench, its cameras and others


@dataclass(slots=True)
class Progress:
    """Says what is being measured, and how long it will go on. Steps of one kind take about the same time."""

    say: Callable[[str], None]
    steps: list[tuple[str, str, float]]  # kind, words, how long it should take, s
    _done: int = 0
    _took: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def run(self, kind: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401  what the step gives
        """Announce the next step of this kind and do it; those before it are left out."""
        while self.steps[self._done][0] != kind:
            self._done += 1
        words = self.steps[self._done][1]
        left_s = sum(self._took.get(k) or planned for k, _, planned in self.steps[self._done :])
        self.say(f"[{self._done + 1}/{len(self.steps)}] {words}; {duration(left_s)} to go")
        began_s = time.monotonic()
        given = work()
        self._took[kind] = time.monotonic() - began_s
        self._done += 1
        return given


def duration(seconds: float) -> str:
    """Return a duration for people."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


def measure(options: Options, subject: Subject, folder: Path, say: Callable[[str], None]) -> list[Round]:
    """Measure all rounds; Ctrl-C after the first gives those that are complete.

    Raises:
        ConfigError: the configuration is wrong, or no camera gives a picture.
        BackendError: a model can't work here.
        KeyboardInterrupt: it was stopped before the first round was complete.
    """
    rounds: list[Round] = []
    progress = Progress(say, _steps(options, subject))
    try:
        for number in range(options.rounds):
            one = _round(options, subject, folder / f"data{number}", progress)
            rounds.append(one)  # here, not in a comprehension: what is complete is kept when the next is stopped
    except KeyboardInterrupt:
        if not rounds:
            raise
        say(f"stopped: {len(rounds)} of {options.rounds} rounds are complete")
    return rounds


def _steps(options: Options, subject: Subject) -> list[tuple[str, str, float]]:
    cameras = load(subject.config, os.environ).settings.cameras.values()
    models = sorted({model for camera in cameras if camera.enabled for model in models_of(camera)})
    steps: list[tuple[str, str, float]] = []
    for number in range(1, options.rounds + 1):
        round_of = f"round {number} of {options.rounds}: "
        steps.append(("pipeline", f"{round_of}the pipeline", options.seconds + SETTLE_LIVE_S + _STARTING_S))
        infer_s, decode_s = options.seconds + _STARTING_S, _decode_s(options) + 1.0
        steps += [(f"infer {name}", f"{round_of}inference alone, {name}", infer_s) for name in models]
        steps += [(f"decode {name}", f"{round_of}decoding alone, {name}", decode_s) for name in _distinct(subject)]
    return steps


def _decode_s(options: Options) -> float:
    return options.seconds / 2  # it varies least


def _distinct(subject: Subject) -> dict[str, Path]:
    """Return the files to decode, each once, under the name of the first camera that shows it."""
    first: dict[Path, str] = {}
    for camera, path in subject.files.items():
        first.setdefault(path, camera)
    return {camera: path for path, camera in first.items()}


def _round(options: Options, subject: Subject, data_dir: Path, progress: Progress) -> Round:
    pipeline, published_ms, used = progress.run("pipeline", partial(_pipeline, options, subject, data_dir))
    infer, decode = {}, {}
    for name, model in sorted(pipeline["models"].items()):
        job = {
            "what": "infer",
            "config": str(subject.config),
            "model": name,
            **{key: model[key] for key in ("task", "backend", "precision", "latency", "max_batch")},
            "batches": _batches(
                model["max_batch"], sum(c["models"].get(name, 0) for c in pipeline["cameras"].values())
            ),
            "seconds": options.seconds,
        }
        infer[name] = progress.run(f"infer {name}", partial(_limit, job))
    for camera, path in _distinct(subject).items():
        if pipeline["cameras"][camera]["decoded"]:  # else it is shown as it is: offline
            job = {"what": "decode", "file": str(path), "seconds": _decode_s(options)}
            decode[camera] = progress.run(f"decode {camera}", partial(_limit, job))
    return Round(pipeline, published_ms, infer, decode, used)


def _batches(most: int, waiting: int) -> list[int]:
    """Return the sizes of batches to try: one picture, and as many as the pipeline may have had waiting at once."""
    return sorted({1, min(most, waiting)})


def _pipeline(
    options: Options, subject: Subject, data_dir: Path
) -> tuple[dict[str, Any], list[float], dict[str, float | None]]:
    settle_s = min(options.seconds, SETTLE_LIVE_S if subject.live else SETTLE_FILE_S)
    job = {"config": str(subject.config), "data_dir": str(data_dir), "settle_s": settle_s, "seconds": options.seconds}
    with Receiver() as receiver:
        before = load_now(subject.server_pid)
        with Child("pipeline", {**job, "broker_port": None if options.publish else receiver.port}) as child:
            answer = child.answer(options.seconds + _CHILD_LIMIT_S)
        after = load_now(subject.server_pid)
        arrivals = list(receiver.arrivals)
    began_ns, end_ns = answer["window_ns"]
    published_ms = [arrival.age_ms for arrival in arrivals if began_ns <= arrival.at_ns <= end_ns]
    return answer, published_ms, shares(before, after)


def _limit(job: dict[str, Any]) -> dict[str, Any]:
    with Child("limits", job) as child:
        return child.answer(job["seconds"] + _CHILD_LIMIT_S)
