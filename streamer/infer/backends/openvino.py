"""OpenVINO on the CPU: normalising inside the graph, two requests in flight, and bf16 only where it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from streamer.core.errors import BackendError

from .base import IN_FLIGHT, STREAMS, Backend, BackendOptions, Ticket
from .batch import FIRST_ANSWER_LIMIT_S, check_batch, check_input, check_names, extra_values, is_identity
from .pool import Outputs, Pool

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

PRECISIONS = ("f32", "bf16")
_TELEMETRY = "openvino_telemetry"
_LOOK_MS = 1000


def load_runtime() -> ModuleType:
    """Import OpenVINO without its telemetry, which would send to Google Analytics from a forked process at import.

    Raises:
        BackendError: it is not installed, or can't be loaded on this machine.
    """
    blocked = _TELEMETRY not in sys.modules
    if blocked:
        modules = cast("dict[str, ModuleType | None]", sys.modules)
        modules[_TELEMETRY] = None  # its import fails: OpenVINO then takes its stub
    try:
        import openvino  # noqa: PLC0415  late: only where it is chosen
    except ModuleNotFoundError as exc:
        raise BackendError('backend: openvino is not installed; pip install "streamer[openvino]"') from exc
    except ImportError as exc:
        raise BackendError(f"backend: openvino can't be loaded here: {exc}") from exc
    finally:
        if blocked:
            del sys.modules[_TELEMETRY]
    loaded: ModuleType = openvino
    return loaded


def has_bf16() -> bool:
    """Whether this CPU has units for bf16: without them it would only be slower and less exact.

    Raises:
        BackendError: OpenVINO can't be loaded.
    """
    capabilities = load_runtime().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoBackend:
    """`IN_FLIGHT` infer requests, used in turn, and `STREAMS` threads that wait for them.

    OpenVINO's own completion callbacks are not used: they need the interpreter's lock after the request already counts
    as done, and freeing the request in that moment waits for them while holding it: a deadlock, seen in tests.
    """

    kind = "openvino"

    def __init__(
        self,
        compiled: Any,  # noqa: ANN401  openvino.CompiledModel: optional, so it can't be named here
        *,
        model_name: str,
        input_spec: InputSpec,
        output_names: tuple[str, ...],
        options: BackendOptions,
    ) -> None:
        self.precision = options.precision
        self._model_name = model_name
        self._input = input_spec
        self._tensor = load_runtime().Tensor
        self._ports = [compiled.output(name) for name in output_names]
        self._requests = [compiled.create_infer_request() for _ in range(IN_FLIGHT)]
        self._pool = Pool(
            name="openvino",
            threads=STREAMS,
            run=self._run,
            on_ready=options.on_ready,
            first_limit_s=FIRST_ANSWER_LIMIT_S,
        )

    def submit(self, batch: NDArray[np.uint8]) -> Ticket:
        """Start on a batch."""
        check_batch(batch, self._input)
        return self._pool.submit(batch)

    def ready(self, ticket: Ticket) -> bool:
        """Whether `collect` would return at once."""
        return self._pool.ready(ticket)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], ...]:
        """Wait for the outputs, which lie in the request's own memory."""
        return self._pool.collect(ticket)

    def close(self) -> None:
        """Wait for what is in flight, then let the runtime free everything; nothing of one that hangs.

        Raises:
            BackendError: what is in flight is not answered, and `collect` has not said so.
        """
        self._pool.close()
        if not self._pool.hung:  # to free a request is to wait for it, without a limit
            self._requests, self._ports = [], []

    def _run(self, slot: int, batch: NDArray[np.uint8]) -> Outputs:
        """Run one batch.

        Thread: streamer-openvino-<n>, of the pool.  Ends: when the request is done.
        Blocks on: the request (1 s, again and again: `collect` gives up on it after its limit, but the request and
        this object must outlive what hangs, and so does the thread that holds them).
        """
        request = self._requests[slot]
        try:
            # Not copied: whoever submits leaves the batch as it is until it is answered.
            pixels = batch if self._input.batched else batch[0]
            request.set_tensor(self._input.name, self._tensor(pixels, shared_memory=True))
            for extra, values in extra_values(self._input, len(batch)).items():
                request.set_tensor(extra, self._tensor(values))
            request.start_async()
            while not request.wait_for(_LOOK_MS):
                pass
            outputs = [request.get_tensor(port).data for port in self._ports]
        except Exception as exc:
            raise BackendError(f"{self._model_name}: OpenVINO failed: {_last_line(exc)}") from exc
        return tuple(np.asarray(output, np.float32) for output in outputs)


def open_openvino(path: str, input_spec: InputSpec, output_names: tuple[str, ...], options: BackendOptions) -> Backend:
    """Load and compile a model for the CPU.

    Raises:
        BackendError: the runtime is missing, the file can't be compiled, or the precision is not to be had here.
    """
    runtime = load_runtime()
    name = Path(path).name
    if options.precision not in PRECISIONS:
        raise BackendError(f"precision: openvino computes in {' or '.join(PRECISIONS)}, not {options.precision}")
    if options.precision == "bf16" and not has_bf16():
        raise BackendError("precision: this CPU has no units for bf16; use f32 or auto")
    check_input(input_spec)
    try:
        core = runtime.Core()
        model = core.read_model(path)
        names = [[port.any_name for port in model.inputs], [n for port in model.outputs for n in port.names]]
        check_names(input_spec, names[0], names[1], output_names)
        compiled = core.compile_model(_prepared(runtime, model, input_spec), "CPU", _properties(options))
        actual = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    except BackendError as exc:
        raise BackendError(f"{name}: {exc}") from None
    except Exception as exc:
        raise BackendError(f"{name}: OpenVINO can't load it: {_last_line(exc)}") from exc
    if actual != options.precision:
        raise BackendError(f"{name}: asked for {options.precision}, OpenVINO would compute in {actual}")
    return OpenVinoBackend(compiled, model_name=name, input_spec=input_spec, output_names=output_names, options=options)


def _prepared(runtime: ModuleType, model: Any, spec: InputSpec) -> Any:  # noqa: ANN401  openvino.Model
    """Fix the shape, and put conversion, normalising and layout into the graph."""
    h, w = spec.hw
    batch = spec.max_batch if spec.fixed_batch or spec.max_batch == 1 else runtime.Dimension(1, spec.max_batch)
    picture, pixels, own = [h, w, 3] if spec.layout == "nhwc" else [3, h, w], "HWC", spec.layout.upper()[1:]
    if spec.batched:
        picture, pixels, own = [batch, *picture], f"N{pixels}", f"N{own}"
    shapes = {extra.name: runtime.PartialShape([batch, *extra.axes]) for extra in spec.extras}
    model.reshape({spec.name: runtime.PartialShape(picture), **shapes})
    preparing = runtime.preprocess.PrePostProcessor(model)
    entry = preparing.input(spec.name)
    entry.tensor().set_element_type(runtime.Type.u8).set_layout(runtime.Layout(pixels))
    entry.model().set_layout(runtime.Layout(own))
    if spec.dtype != "uint8":
        steps = entry.preprocess()
        steps.convert_element_type(runtime.Type.f32)
        if not is_identity(spec):  # (p * scale - mean) / std, as one subtraction and one division
            steps.mean([mean / spec.scale for mean in spec.mean])
            steps.scale([std / spec.scale for std in spec.std])
        if spec.dtype == "float16":
            steps.convert_element_type(runtime.Type.f16)
    return preparing.build()


def _properties(options: BackendOptions) -> dict[str, str]:
    properties = {
        "INFERENCE_PRECISION_HINT": options.precision,  # never left to the runtime: it takes bf16 silently
        "NUM_STREAMS": "1" if options.latency else str(STREAMS),
    }
    if options.threads:
        properties["INFERENCE_NUM_THREADS"] = str(options.threads)
    return properties


def _last_line(exc: Exception) -> str:
    """Return what OpenVINO says last: before it come file names and line numbers of its own sources."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
