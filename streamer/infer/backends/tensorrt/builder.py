"""The process that builds an engine: `python -m streamer.infer.backends.tensorrt.builder`, started by `infer/engine`.

It reads one job from stdin, and says on stdout, in lines of JSON, how it goes on and how it ends. What a library prints
goes to stderr. It works on while it is wanted: it is killed, or dies with the thread that has started it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from streamer.core.errors import StreamerError
from streamer.cuda.open import open_gpu
from streamer.infer.engine.job import CANVASES, PLAN, read_job
from streamer.infer.engine.precision import convert, weight_files
from streamer.infer.engine.room import check_room, free_host_bytes
from streamer.infer.engine.stored import write_synced
from streamer.infer.pull_faults import disk_said

from .inspect import precisions_of
from .plan import Planner
from .runtime import load_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.infer.engine.job import BuildJob

_log = logging.getLogger("streamer.infer.engine.builder")  # run as __main__, it would have a name that nobody hears

_PR_SET_PDEATHSIG = 1
_NICE = 10  # decoding and inference go first
_EVERY_S = 0.1  # between two lines of progress
_NOBODY_ASKS = 3  # an exit code that nobody sees


class Report:
    """What the parent is told. Called from any thread."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()  # guards the lines, and the two below
        self._phase = ""
        self._told_s = 0.0

    def at(self, phase: str, share: float | None = None, detail: str = "") -> None:
        """Tell how it goes on, if that is not the same as just now."""
        now_s = time.monotonic()
        with self._lock:
            if phase != self._phase or now_s - self._told_s > _EVERY_S:
                self._phase, self._told_s = phase, now_s
                self._say_locked({"progress": {"phase": phase, "share": share, "detail": detail}})

    def note(self, said: str) -> None:
        """Tell what the user should know, though the build goes on."""
        with self._lock:
            self._say_locked({"note": said})

    def end(self, said: Mapping[str, Any]) -> None:
        """Tell how it has ended."""
        with self._lock:
            self._say_locked(said)

    def _say_locked(self, said: Mapping[str, Any]) -> None:
        self._out.write(f"{json.dumps(said)}\n")
        self._out.flush()


class Notes(logging.Handler):
    """Passes warnings of the converters on; TensorRT's own are of interest only where it fails."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        self._report.note(record.getMessage())


def build(job: BuildJob, report: Report) -> dict[str, Any]:
    """Build the plan of a job into its folder; return what is known of it.

    Raises:
        BackendError: it can't be built.
        OSError: the folder can't be written.
    """
    load_runtime()  # what is missing is said before anything takes its time
    gpu = open_gpu(job.device)
    folder, model = Path(job.folder), Path(job.model)
    check_room(_weight(model), gpu.info, gpu.free_bytes(), free_host_bytes())
    report.at("convert")
    ready = _converted(job, model, folder, report)
    with gpu.current():  # what TensorRT calls takes the device that is current in this thread
        plan, timing, shown = _built(job, ready, report)
    write_synced(folder / PLAN, plan)
    _keep_timing(Path(job.timing_cache), timing, folder / "timing")
    return {
        "precisions": shown,
        "onnx_sha256": hashlib.sha256(ready.read_bytes()).hexdigest(),
        "cuda_driver": ".".join(map(str, gpu.info.cuda_version)),
    }


def _converted(job: BuildJob, model: Path, folder: Path, report: Report) -> Path:
    """Bring the precision into the model's file."""
    canvases = np.load(folder / CANVASES, mmap_mode="r") if job.calibrated else None

    def measured(frames: int) -> None:
        if canvases is not None:
            report.at("measure", frames / len(canvases))

    return convert(model, job.precision, spec=job.input, calibration=canvases, folder=folder, measured=measured)


def _built(job: BuildJob, ready: Path, report: Report) -> tuple[bytes, bytes, dict[str, int]]:
    """Return the plan, what was measured for it, and how many layers compute in which precision.

    All of TensorRT's objects are gone on return, while the GPU is still current.
    """
    planner = Planner(job, report.at)
    plan = planner.build(ready, _read_or_nothing(Path(job.timing_cache)))
    report.at("inspect")
    engine, context = planner.opened(plan)
    shown = dict(precisions_of(engine, context))
    del context  # in this order: each needs the next
    del engine
    return plan, planner.timing, shown


def _weight(model: Path) -> int:
    """Return the size of a model with what lies beside it, bytes."""
    return sum((model.parent / name).stat().st_size for name in (model.name, *weight_files(model)))


def _read_or_nothing(path: Path) -> bytes:
    """Return what earlier builds have measured; without it this one only takes longer."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        _log.warning("what earlier builds have measured can't be read, it is measured anew: %s", exc)
        return b""


def _keep_timing(path: Path, timing: bytes, part: Path) -> None:
    """Keep what was measured for the next build; without it that one only takes longer.

    Args:
        path: where it is kept.
        timing: what was measured.
        part: where it is written first: in the job's folder, which is removed however the build ends.
    """
    try:
        write_synced(part, timing)
        part.replace(path)
    except OSError as exc:
        _log.warning("what was measured can't be kept, the next build measures it anew: %s", exc)


def _die_with(parent: int) -> None:
    """Let the kernel end this process with the thread that has started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before that
        os._exit(_NOBODY_ASKS)


def _own_stdout() -> TextIO:
    """Keep stdout for our own lines: what libraries print there goes to stderr from now on."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def main() -> None:
    """Do the job on stdin and leave."""
    # systemd sends it to every process of a service that it stops; whoever started this one ends it, and knows why.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report = Report(_own_stdout())
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("streamer.infer.engine").addHandler(Notes(report))
    job = read_job(sys.stdin.readline())
    _die_with(job.parent)
    os.nice(_NICE)
    try:
        said: dict[str, Any] = {"done": build(job, report)}
    except StreamerError as exc:
        said = {"error": str(exc)}
    except OSError as exc:
        said = {"error": disk_said(Path(exc.filename or job.folder), exc)}
    report.end(said)
    sys.stderr.flush()
    os._exit(0)  # what a library still has in its threads must not hold up the end


if __name__ == "__main__":
    main()
