"""The fake TensorRT is judged: it offers nothing that TensorRT lacks, and refuses what TensorRT refuses."""

# ruff: noqa: ANN401  the fake's module and its classes belong to the import of each test

from __future__ import annotations

import enum
import importlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_engines import Fake, parse, plan_of, save, tensor, write_doubling, write_half, write_quantized
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from pathlib import Path

    import tensorrt
    from nvidia import FakeGpu


@pytest.fixture
def fake(fake_gpu: FakeGpu) -> Fake:  # noqa: ARG001  it is what makes the fake be found
    return Fake()


def _public(owner: type) -> set[str]:
    own = {name for kind in owner.__mro__ if kind.__module__.startswith("tensorrt") for name in vars(kind)}
    return {name for name in own if not name.startswith("_")}


def test_the_fake_has_no_name_that_tensorrt_lacks(fake: Fake) -> None:
    names = importlib.import_module("tensorrt._names").portable()
    for name in fake.trt.__all__:
        thing = getattr(fake.trt, name)
        if not isinstance(thing, type):
            assert name in names["module"], name
            continue
        members = set(thing.__members__) if issubclass(thing, enum.Enum) else _public(thing)
        assert members <= names[name], (name, members - names[name])


@pytest.mark.parametrize(
    ("owner", "name"),
    [("BuilderFlag", "FP16"), ("BuilderFlag", "INT8"), ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH")],
)
def test_a_name_that_is_gone_in_11_is_refused_in_10_too_even_guarded(fake: Fake, owner: str, name: str) -> None:
    fake.set(version="10.3.0")
    with pytest.raises(fake.NotPortable, match="gone in TensorRT 11"):
        hasattr(getattr(fake.trt, owner), name)


def test_a_name_that_came_later_is_not_there_so_that_a_guard_is_what_runs(fake: Fake) -> None:
    assert not hasattr(fake.trt.BuilderFlag, "STRICT_NANS")
    assert not hasattr(fake.trt.BuilderFlag, "NONSENSE")


def test_the_version_is_the_one_that_is_set(fake: Fake) -> None:
    assert fake.trt.__version__ == "11.4.0.106"
    fake.set(version="10.3.0")
    assert fake.trt.__version__ == "10.3.0"
    assert not hasattr(fake.trt, "IInt8EntropyCalibrator2")


def test_properties_that_are_not_there_can_not_be_set(fake: Fake, tmp_path: Path) -> None:
    parsed = parse(fake.trt, fake.logger, write_doubling(tmp_path / "m.onnx"))
    with pytest.raises(AttributeError):
        parsed.config.max_workspace_size = 1  # type: ignore[attr-defined]
    with pytest.raises(fake.NotPortable):
        parsed.builder.platform_has_fast_fp16  # type: ignore[attr-defined]  # noqa: B018


def test_enums_are_no_numbers_and_their_numbers_differ(fake: Fake) -> None:
    flag = fake.trt.BuilderFlag.STRIP_PLAN
    assert flag != 18
    assert int(flag) == 18
    fake.set(version="10.3.0")
    assert int(flag) == 19


def test_an_interface_whose_init_is_not_called_is_refused(fake: Fake) -> None:
    class Forgets(fake.trt.ILogger):  # type: ignore[name-defined, misc]  # of this test's import
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="must be called when overriding"):
        Forgets()


def test_a_second_logger_is_ignored_and_one_that_is_gone_is_found(fake: Fake, fake_gpu: FakeGpu) -> None:
    fake.trt.Runtime(fake.logger)
    fake.trt.Runtime(fake.trt.Logger())
    assert "ignored" in fake.said[0]
    forget = importlib.import_module("tensorrt._interfaces").forget_logger
    forget()
    fake.trt.Runtime(fake.trt.Logger())
    with pytest.raises(fake.Misuse, match="gone"):
        fake.trt.Runtime(fake.logger)
    assert fake_gpu.forgive()


def test_a_logger_that_raises_is_found(fake: Fake, fake_gpu: FakeGpu) -> None:
    class Raises(fake.trt.ILogger):  # type: ignore[name-defined, misc]  # of this test's import
        def log(self, severity: Any, msg: str) -> None:  # noqa: ARG002  as TensorRT calls it
            raise ValueError

    logger = Raises()
    builder = fake.trt.Builder(logger)
    with pytest.raises(fake.Misuse, match=r"ILogger\.log raised"):
        builder.build_serialized_network(builder.create_network(0), builder.create_builder_config())
    assert fake_gpu.forgive()


def test_a_weakly_typed_network_is_refused_in_10(fake: Fake, fake_gpu: FakeGpu) -> None:
    fake.set(version="10.16.1.11")
    builder = fake.trt.Builder(fake.logger)
    with pytest.raises(fake.Misuse, match="weakly typed"):
        builder.create_network()
    with pytest.raises(fake.Misuse, match="weakly typed"):
        builder.create_network(1)  # EXPLICIT_BATCH there, STRONGLY_TYPED in 11
    assert len(fake_gpu.forgive()) == 2


@pytest.mark.parametrize(
    ("zero", "bias", "said"),
    [
        (np.array(0, np.uint8), None, "UINT8 quantization"),
        (np.array(3, np.int8), None, "Non-zero zero point"),
        (None, np.zeros(2, np.int32), "int32"),
    ],
)
def test_the_parser_refuses_quantisation_that_tensorrt_does(
    fake: Fake,
    tmp_path: Path,
    zero: Any,
    bias: Any,
    said: str,
) -> None:
    parsed = parse(fake.trt, fake.logger, write_quantized(tmp_path / "m.onnx", zero=zero, bias=bias))
    assert not parsed.taken
    assert said in parsed.parser.get_error(0).desc()
    assert said in str(parsed.parser.get_error(0))
    assert said in fake.said[0]


def test_the_parser_refuses_what_is_no_model_and_what_it_has_no_plugin_for(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no model")
    assert not parse(fake.trt, fake.logger, tmp_path / "no.onnx").taken
    assert not parse(fake.trt, fake.logger, tmp_path / "missing.onnx").taken
    fake.set(unsupported_ops=("Mul",))
    refused = parse(fake.trt, fake.logger, write_doubling(tmp_path / "m.onnx"))
    assert refused.parser.get_error(0).node_operator() == "Mul"


def test_the_parser_refuses_8_bit_pixels_that_are_not_cast_and_operators_of_others(fake: Fake, tmp_path: Path) -> None:
    for name, domain, said in (("Abs", "", "must be cast"), ("Gelu", "com.microsoft", "Plugin not found")):
        kind = TensorProto.FLOAT if domain else TensorProto.UINT8
        node = helper.make_node(name, ["images"], ["out"], domain=domain)
        save(
            tmp_path / "m.onnx", [node], inputs=[tensor("images", (1, 4), kind)], outputs=[tensor("out", (1, 4), kind)]
        )
        parsed = parse(fake.trt, fake.logger, tmp_path / "m.onnx")
        assert not parsed.taken
        assert said in parsed.parser.get_error(0).desc()


def test_a_build_needs_a_profile_for_open_axes_and_one_that_fits(fake: Fake, tmp_path: Path) -> None:
    parsed = parse(fake.trt, fake.logger, write_doubling(tmp_path / "m.onnx"))
    assert parsed.builder.build_serialized_network(parsed.network, parsed.config) is None
    assert "no optimization profile" in fake.said[-1]
    profile = parsed.builder.create_optimization_profile()
    assert parsed.config.add_optimization_profile(profile) == -1
    with pytest.raises(RuntimeError, match="inconsistent"):
        profile.set_shape("images", (4, 3, 4, 4), (1, 3, 4, 4), (1, 3, 4, 4))
    profile.set_shape("images", (1, 5, 4, 4), (1, 5, 4, 4), (1, 5, 4, 4))
    parsed.config.add_optimization_profile(profile)
    assert parsed.builder.build_serialized_network(parsed.network, parsed.config) is None
    assert "does not fit" in fake.said[-1]


@pytest.mark.parametrize(
    ("faults", "said"),
    [({"build_fails": "no tactic"}, "no tactic"), ({"build_needs_bytes": 1 << 60}, "OutOfMemory")],
)
def test_a_build_that_fails_gives_its_reason_to_the_logger_only(
    fake: Fake, tmp_path: Path, faults: dict[str, Any], said: str
) -> None:
    parsed = parse(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    fake.set(**faults)
    assert parsed.builder.build_serialized_network(parsed.network, parsed.config) is None
    assert said in fake.said[-1]


class _Counts:
    """What a progress monitor is told; cancels at the given step."""

    def __init__(self, *, cancel_at: int) -> None:
        self.phases: list[str] = []
        self.steps = 0
        self._cancel_at = cancel_at

    def monitor(self, library: Any) -> tensorrt.IProgressMonitor:
        counts = self

        class Monitor(library.IProgressMonitor):  # type: ignore[misc]  # of this test's import
            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                counts.phases.append(f"{parent_phase}/{phase_name}: {num_steps}")

            def phase_finish(self, phase_name: str) -> None:
                counts.phases.append(f"{phase_name} ended")

            def step_complete(self, phase_name: str, step: int) -> bool:  # noqa: ARG002  as TensorRT calls it
                counts.steps += 1
                return counts.steps != counts._cancel_at

        made: tensorrt.IProgressMonitor = Monitor()
        return made


@pytest.mark.parametrize("cancel_at", [0, 3])
def test_the_monitor_sees_every_phase_and_can_cancel(fake: Fake, tmp_path: Path, cancel_at: int) -> None:
    parsed = parse(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    counts = _Counts(cancel_at=cancel_at)
    parsed.config.progress_monitor = counts.monitor(fake.trt)
    built = parsed.builder.build_serialized_network(parsed.network, parsed.config)
    assert (built is None) == bool(cancel_at)
    assert counts.phases[0] == "None/Building an engine from network: 2"
    assert counts.phases[-1] == "Building an engine from network ended"
    assert counts.steps == (cancel_at or 8)


def test_a_timing_cache_of_another_version_or_of_rubbish_is_refused(fake: Fake, tmp_path: Path) -> None:
    parsed = parse(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    empty = parsed.config.create_timing_cache(b"")
    assert empty is not None
    assert parsed.config.set_timing_cache(empty, ignore_mismatch=False)
    assert parsed.builder.build_serialized_network(parsed.network, parsed.config) is not None
    used = parsed.config.get_timing_cache()
    assert used is not None
    kept = bytes(used.serialize())
    assert b"double" in kept
    assert parsed.config.create_timing_cache(b"rubbish") is None
    fake.set(version="10.3.0")
    later = fake.trt.Builder(fake.logger).create_builder_config()
    assert not later.set_timing_cache(later.create_timing_cache(kept), ignore_mismatch=False)


@pytest.mark.parametrize(
    ("version", "write", "shown"),
    [
        ("10.3.0", write_half, "Row major linear FP16 format"),
        ("10.16.1.11", write_half, "Half"),
        ("11.4.0.106", write_half, "Half"),
        ("11.4.0.106", write_quantized, "Int8"),
    ],
)
def test_the_inspector_shows_what_the_model_computes_in(
    fake: Fake,
    tmp_path: Path,
    version: str,
    write: Any,
    shown: str,
) -> None:
    fake.set(version=version)
    for forgotten in (False, True):
        fake.set(version=version, forget_precision=forgotten)
        plan = plan_of(fake.trt, fake.logger, write(tmp_path / "m.onnx"))
        with fake.current():
            engine = fake.trt.Runtime(fake.logger).deserialize_cuda_engine(plan)
            said = json.loads(
                engine.create_engine_inspector().get_engine_information(fake.trt.LayerInformationFormat.JSON)
            )
            del engine
        types = {t.get("DataType", t.get("Format/Datatype")) for layer in said["Layers"] for t in layer["Inputs"]}
        assert (shown in types) != forgotten
        assert ("Bindings" in said) == version.startswith("10.")


def test_a_child_process_has_the_faults_and_a_crash_ends_it(fake: Fake, fake_gpu: FakeGpu, tmp_path: Path) -> None:
    path = write_half(tmp_path / "m.onnx")
    code = (
        "import tensorrt as trt; from fake_engines import plan_of; from pathlib import Path\n"
        f"assert trt.__version__ == '10.3.0'; plan_of(trt, trt.Logger(), Path({str(path)!r}))"
    )
    faults = fake.faults.Faults(version="10.3.0", build_crashes=True)
    here = os.path.dirname(__file__)  # noqa: PTH120  one string for the path
    env = {**fake_gpu.environ, **faults.environ()}
    env["PYTHONPATH"] += os.pathsep + here
    ended = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == -11, ended.stderr
