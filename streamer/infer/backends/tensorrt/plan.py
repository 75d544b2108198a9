"""TensorRT's builder: from an ONNX file, its precision in it, to the bytes of a plan. Used by the builder's process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import BackendError

from .logger import process_logger
from .runtime import load_runtime, version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    import tensorrt as trt

    from streamer.infer.engine.job import BuildJob

_ALWAYS_TYPED = (11,)  # from this version on there is no other network
_MOST = 300  # characters of a reason


class Planner:
    """Builds one plan. The GPU is current in whoever calls it."""

    def __init__(self, job: BuildJob, told: Callable[[str, float | None, str], None]) -> None:
        self._job = job
        self._told = told
        self._trt = load_runtime()
        self._logger = process_logger(self._trt)
        self._runtime: trt.Runtime | None = None  # outlives the engine that it has loaded
        self.timing = b""  # what was measured, for the next build on this GPU

    def build(self, onnx: Path, timing: bytes) -> bytes:
        """Return the plan.

        Args:
            onnx: the file that is parsed.
            timing: what an earlier build has measured; nothing, or that of another GPU, is as good as none.

        Raises:
            BackendError: TensorRT can't read the file, or can't build it.
        """
        trt = self._trt
        try:
            builder = trt.Builder(self._logger)
        except TypeError as exc:  # a factory that returned nothing; why, only the logger was told
            raise self._refused("TensorRT finds no GPU that it can work on", 0) from exc
        self._told("read", None, "")
        network = builder.create_network(_network_flags(trt))
        parser = self._parsed(network, onnx)
        config = builder.create_builder_config()
        self._configure(config, builder, network)
        cache = _set_timing(config, timing)
        monitor = _monitor(trt, lambda share, what: self._told("build", share, what))
        config.progress_monitor = monitor
        mark = self._logger.tail.mark()
        plan = builder.build_serialized_network(network, config)  # minutes; it lets go of Python's lock
        if plan is None:
            raise self._refused("TensorRT can't build it", mark)
        measured = config.get_timing_cache()
        self.timing = bytes(measured.serialize()) if measured is not None else b""
        del parser, cache, monitor  # until here TensorRT has pointed at them
        return bytes(plan)

    def opened(self, plan: bytes) -> tuple[trt.ICudaEngine, trt.IExecutionContext]:
        """Load a plan as it will be loaded; return the engine, and a context in which its shapes are decided.

        Raises:
            BackendError: TensorRT can't read what it has written, or there is no memory left for it.
        """
        trt = self._trt
        mark = self._logger.tail.mark()
        self._runtime = trt.Runtime(self._logger)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._refused("TensorRT can't load what it has built", mark)
        # Nothing is run in it, so it is given no memory.
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise self._refused("TensorRT can't open what it has built", mark)
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            if name in self._job.profile and -1 in tuple(engine.get_tensor_shape(name)):
                context.set_input_shape(name, self._job.profile[name][1])
        return engine, context

    def _parsed(self, network: trt.INetworkDefinition, onnx: Path) -> trt.OnnxParser:
        parser: trt.OnnxParser = self._trt.OnnxParser(network, self._logger)
        if not parser.parse_from_file(str(onnx)):
            errors = [parser.get_error(index) for index in range(parser.num_errors)]
            why = "; ".join(_parse_error(error) for error in errors) or "it gives no reason"
            raise BackendError(f"TensorRT can't read the model: {why[:_MOST]}")
        return parser

    def _configure(self, config: trt.IBuilderConfig, builder: trt.Builder, network: trt.INetworkDefinition) -> None:
        trt, job = self._trt, self._job
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job.workspace_bytes)
        config.builder_optimization_level = job.optimisation_level
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # lets the inspector show each layer's precision
        # TensorRT's default is on: 10 bits of mantissa. An f32 engine must agree to scores of 0.01, and who can do with
        # less has f16, which is as coarse and faster.
        config.clear_flag(trt.BuilderFlag.TF32)
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        opened = [port.name for port in inputs if -1 in tuple(port.shape)]
        if not opened:
            return
        profile = builder.create_optimization_profile()
        for name in opened:
            if name not in job.profile:
                raise BackendError(f"its input {name!r} has open axes, and nothing says how long they are")
            profile.set_shape(name, *job.profile[name])
        if config.add_optimization_profile(profile) < 0:
            raise BackendError(f"TensorRT does not take these batches: {job.profile}")

    def _refused(self, what: str, mark: int) -> BackendError:
        why = self._logger.tail.since(mark)[:_MOST]
        if "out of memory" in why.lower() or "outofmemory" in why.lower():
            return BackendError(f"GPU {self._job.device} has no memory left for it: end what else runs on it ({why})")
        return BackendError(f"{what}: {why}")


def _network_flags(trt: ModuleType) -> int:
    """Return the flags of a strongly typed network; their numbers are others in each major version."""
    if version(trt) >= _ALWAYS_TYPED:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _set_timing(config: trt.IBuilderConfig, timing: bytes) -> trt.ITimingCache | None:
    """Give the build what earlier ones have measured, if TensorRT takes it. The result must live as long."""
    for known in (timing, b""):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None  # it measures for itself


def _parse_error(error: trt.ParserError) -> str:
    node = error.node_name() or error.node_operator()
    return " ".join(f"{error.desc()}{f' (node {node})' if node else ''}".split())


class Shares:
    """How far a build is, from phases within phases. Called from TensorRT's own threads, one at a time by Python."""

    def __init__(self, told: Callable[[float | None, str], None]) -> None:
        self._told = told
        self._phases: dict[str, tuple[str | None, int]] = {}  # name -> the phase around it, its steps
        self._done: dict[str, float] = {}

    def start(self, phase: str, around: str | None, steps: int) -> None:
        """Note that a phase has begun."""
        self._phases[phase] = (around, max(1, steps))
        self._done[phase] = 0.0
        self._tell(phase)

    def step(self, phase: str, step: int) -> None:
        """Note that a step of a phase, from 0, is done."""
        if phase in self._phases:
            self._done[phase] = float(step + 1)
            self._tell(phase)

    def finish(self, phase: str) -> None:
        """Note that a phase has ended."""
        self._phases.pop(phase, None)
        self._done.pop(phase, None)

    def _tell(self, phase: str) -> None:
        """A step of the phase around it is as far as the phase is."""
        around, steps = self._phases[phase]
        share = min(1.0, self._done[phase] / steps)
        while around in self._phases:
            outer, steps = self._phases[around]
            share = min(1.0, (self._done[around] + share) / steps)
            around = outer
        self._told(share, phase)


def _monitor(trt: ModuleType, told: Callable[[float | None, str], None]) -> trt.IProgressMonitor:
    """Make a progress monitor: its class can only be made once TensorRT is there. It must not raise."""
    shares = Shares(told)

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]  # known only when it runs
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # mandatory: TypeError without

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            shares.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            shares.step(phase_name, step)
            return True  # the build is ended with its process

        def phase_finish(self, phase_name: str) -> None:
            shares.finish(phase_name)

    return Monitor()
