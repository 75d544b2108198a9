"""ONNX Runtime on the CPU: a plain dependency, so it is what every machine can do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from streamer.core.errors import BackendError

from .base import IN_FLIGHT, STREAMS, Backend, BackendOptions, Ticket
from .batch import FIRST_ANSWER_LIMIT_S, Normaliser, check_batch, check_input, check_names, extra_values
from .pool import Outputs, Pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

PRECISIONS = ("f32",)
_FATAL_ONLY = 4  # ONNX Runtime's severity: errors are raised, its own lines on stderr would stand twice


class OnnxRuntimeBackend:
    """One session, and a thread for each batch in flight, because `run` waits."""

    kind = "onnxruntime"
    precision = "f32"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        model_name: str,
        input_spec: InputSpec,
        output_names: tuple[str, ...],
        options: BackendOptions,
    ) -> None:
        self._session = session
        self._model_name = model_name
        self._input = input_spec
        self._output_names = output_names
        self._normalisers = [Normaliser(input_spec) for _ in range(IN_FLIGHT)]
        self._pool = Pool(
            name="onnxruntime",
            threads=STREAMS,
            run=self._run,
            on_ready=options.on_ready,
            first_limit_s=FIRST_ANSWER_LIMIT_S,
        )

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Start on a batch; normalising is the pool's work too."""
        check_batch(batch, self._input)
        return self._pool.submit(batch)

    def ready(self, ticket: Ticket) -> bool:
        """Whether `collect` would return at once."""
        return self._pool.ready(ticket)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the outputs."""
        return self._pool.collect(ticket)

    def close(self) -> None:
        """Wait for what is in flight, end the threads.

        Raises:
            BackendError: what is in flight is not answered, and `collect` has not said so.
        """
        self._pool.close()

    def _run(self, slot: int, batch: NDArray[np.uint8]) -> Outputs:
        """Run one batch.

        Thread: streamer-onnxruntime-<n>, of the pool.  Ends: when the session has answered.
        Blocks on: the session; `collect` gives up on it after its limit.
        """
        try:
            fed = {self._input.name: self._normalisers[slot](batch), **extra_values(self._input, len(batch))}
            outputs = self._session.run(self._output_names, fed)
        except Exception as exc:
            raise BackendError(f"{self._model_name}: ONNX Runtime failed: {_first_line(exc)}") from exc
        return tuple(_numbers(output) for output in outputs)


def _numbers(output: object) -> NDArray[np.float32]:
    """Return an output as numbers; of a mapping from class to score for each picture, those in the keys' order."""
    if isinstance(output, list):
        return np.array([list(row.values()) for row in output], np.float32)
    return np.asarray(output, np.float32)


def open_onnxruntime(
    path: str, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions
) -> Backend:
    """Load a model into ONNX Runtime.

    Raises:
        BackendError: the file can't be loaded, is not what the spec says, or the precision is not f32.
    """
    name = Path(path).name
    if options.precision not in PRECISIONS:
        raise BackendError(f"precision: onnxruntime computes in f32 only on the CPU, not {options.precision}")
    check_input(input_spec)
    send_nothing()
    try:
        session = onnxruntime.InferenceSession(path, _session_options(options), providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise BackendError(f"{name}: ONNX Runtime can't load it: {_first_line(exc)}") from exc
    try:
        inputs, outputs = ([port.name for port in ports] for ports in (session.get_inputs(), session.get_outputs()))
        check_names(input_spec, inputs, outputs, output_names)
    except BackendError as exc:
        raise BackendError(f"{name}: {exc}") from None
    return OnnxRuntimeBackend(
        session, model_name=name, input_spec=input_spec, output_names=output_names, options=options
    )


def send_nothing() -> None:
    """Switch off the telemetry that some builds have."""
    switch_off = getattr(onnxruntime, "disable_telemetry_events", None)
    if switch_off is not None:
        switch_off()


def _session_options(options: BackendOptions) -> onnxruntime.SessionOptions:
    cores = options.threads or os.cpu_count() or 1
    chosen = onnxruntime.SessionOptions()
    chosen.log_severity_level = _FATAL_ONLY
    chosen.inter_op_num_threads = 1
    # Each running batch brings its own thread: for throughput, the pool's and those of two batches are all the cores.
    chosen.intra_op_num_threads = cores if options.latency else max(1, cores - STREAMS + 1)
    # Threads that spin between batches take the cores from decoding.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
