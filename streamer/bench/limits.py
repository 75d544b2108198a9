"""What the machine could do at best, each in a process of its own: inference alone, decoding alone.

python -m streamer.bench.limits JOB
"""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.capture.bare import decode_for
from streamer.capture.base import Delivery, SourceSpec
from streamer.check import spec_options
from streamer.core.clock import NS_PER_MS
from streamer.core.errors import ConfigError, SourceError
from streamer.infer.backends.base import IN_FLIGHT, STREAMS, BackendOptions
from streamer.infer.model import open_warm
from streamer.infer.picking import pick_of
from streamer.infer.recognise import load_spec
from streamer.infer.spec import Task
from streamer.niceness import let_decoding_go_first
from streamer.serving import LEAST_SCORE
from streamer.settings import load
from streamer.ways import GOES_ON_AT

from . import child

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.infer.backends.base import Backend


_ALONE = 21  # batches one after the other; their median counts


@dataclass(frozen=True, slots=True, kw_only=True)
class InferJob:
    """A model as the pipeline ran it."""

    config: str
    model: str  # under `models`
    task: str
    backend: str
    precision: str
    latency: bool
    max_batch: int  # pictures at once that the pipeline's backend could do
    batches: tuple[int, ...]  # sizes that the pipeline may have used
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeJob:
    """A file."""

    file: str
    seconds: float


def infer(job: InferJob) -> dict[str, Any]:
    """Keep the backend busy with one constant picture, as many batches in flight as the pipeline keeps.

    Returns:
        The better of the batch sizes: frames a second, the CPU time of a frame, and an engine's time for a batch alone.

    Raises:
        BackendError: the model can't work here.
    """
    let_decoding_go_first()
    settings = load(Path(job.config), os.environ).settings.models[job.model]
    spec = load_spec(settings.model, options=spec_options(settings), task=Task(job.task))
    spec = replace(spec, input=replace(spec.input, max_batch=job.max_batch))
    options = BackendOptions(
        precision=job.precision,
        latency=job.latency,
        threads=0,
        on_ready=lambda: None,
        device=settings.device,
        pick=pick_of(spec, GOES_ON_AT * LEAST_SCORE),
    )
    backend = open_warm(spec, job.backend, options)
    depth = STREAMS if job.latency else IN_FLIGHT
    try:
        found = []
        for size in job.batches:
            picture = np.random.default_rng(0).integers(0, 255, (size, *spec.input.hw, 3), dtype=np.uint8)
            _busy(backend, picture, depth, 0.3)  # shapes that are new to the runtime cost at first
            figures = _busy(backend, picture, depth, job.seconds / len(job.batches))
            # On a CPU it would say little: there two batches share the cores.
            found.append({**figures, "batch_ms": _alone_ms(backend, picture)} if job.backend == "tensorrt" else figures)
    finally:
        backend.close()
    return max(found, key=lambda figures: figures["per_s"])


def _busy(backend: Backend, batch: NDArray[np.uint8], depth: int, seconds: float) -> dict[str, Any]:
    tickets = deque(backend.submit(batch) for _ in range(depth))
    began_s, cpu_s, done = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began_s < seconds:
        backend.collect(tickets.popleft())
        done += len(batch)
        tickets.append(backend.submit(batch))
    elapsed_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    for ticket in tickets:
        backend.collect(ticket)
    return {"per_s": done / elapsed_s, "cpu_ms": cpu_s / done * 1e3, "batch": len(batch)}


def _alone_ms(backend: Backend, batch: NDArray[np.uint8]) -> float:
    """Return what a batch takes with nothing beside it, from being submitted to being ready, ms."""
    took_ns = []
    for _ in range(_ALONE):
        began_ns = time.perf_counter_ns()
        backend.collect(backend.submit(batch))
        took_ns.append(time.perf_counter_ns() - began_ns)
    return statistics.median(took_ns) / NS_PER_MS


def decode(job: DecodeJob) -> dict[str, Any]:
    """Decode a file on one thread.

    Raises:
        ConfigError: it holds no picture that can be decoded.
    """
    spec = SourceSpec(camera="file", url=job.file, delivery=Delivery.EVERY)
    cpu_s = time.process_time()
    try:
        pictures, elapsed_s = decode_for(spec, job.seconds)
    except SourceError as exc:
        raise ConfigError(f"bench: {exc}") from exc
    if not pictures:
        raise ConfigError(f"bench: {Path(job.file).name} holds no picture that can be decoded")
    return {"per_s": pictures / elapsed_s, "cpu_ms": (time.process_time() - cpu_s) / pictures * 1e3}


def _work(job: child.Job) -> child.Answer:
    if job.pop("what") == "infer":
        return infer(InferJob(**{**job, "batches": tuple(job["batches"])}))
    return decode(DecodeJob(**job))


if __name__ == "__main__":
    child.serve(_work)
