"""Building engines in the real child process, over the stand-ins of TensorRT and pycuda."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from engine_values import shapes
from onnx import TensorProto, helper

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.engine import build as build_module
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.frames import Calibration
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.progress import BuildStopped
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvidia import FakeGpu

    from streamer.infer.engine.progress import Progress
    from streamer.infer.engine.stored import StoredEngine

HERE = Path(__file__).resolve().parent
F16 = EngineRecipe(precision="f16", max_batch=4)


class Building:
    """Builds with the fakes in the child, too; faults are set for both."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = EngineCache(folder)
        self.told: list[Progress] = []
        self._monkeypatch = monkeypatch

    def faults(self, **values: Any) -> None:  # noqa: ANN401  fields of Faults
        from tensorrt._faults import Faults, set_faults  # noqa: PLC0415  there only while the fixture is

        faults = Faults(**values)
        set_faults(faults)
        self._monkeypatch.setattr("tensorrt.__version__", faults.version)
        for name, value in faults.environ().items():
            self._monkeypatch.setenv(name, value)

    def build(self, recipe: EngineRecipe = F16, **values: Any) -> StoredEngine:  # noqa: ANN401  of build_engine
        given = {"calibration": None, "progress": self.told.append, "stopping": lambda: False, **values}
        return build_engine(given.pop("spec", shapes()), recipe, cache=self.cache, **given)

    def left(self) -> set[str]:
        """Return the files of the cache, but for locks and what was measured."""
        files = {str(path.relative_to(self.cache.folder)) for path in self.cache.folder.rglob("*") if path.is_file()}
        return {name for name in files if not name.endswith((".lock", ".cache"))}


@pytest.fixture
def building(tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> Building:
    for name, value in fake_gpu.environ.items():
        monkeypatch.setenv(name, value)
    return Building(tmp_path / "cache", monkeypatch)


@pytest.mark.parametrize(("version", "precision"), [("10.3.0", "f16"), ("10.16.1.11", "f32"), ("11.4.0.106", "f16")])
def test_one_path_builds_on_every_version(building: Building, version: str, precision: str) -> None:
    building.faults(version=version)
    engine = building.build(EngineRecipe(precision=precision, max_batch=4))
    assert engine.facts["key"]["tensorrt"]["version"] == version
    assert engine.facts["precisions"][precision] > 10
    assert ("f16" in engine.facts["precisions"]) == (precision == "f16")
    assert engine.facts["key"]["inputs"]["profile"]["images"] == [[1, 3, 192, 320], [4, 3, 192, 320], [4, 3, 192, 320]]
    assert engine.facts["proof"] is None
    assert engine.read()


def test_an_int8_engine_computes_in_int8(building: Building) -> None:
    calibration = Calibration(np.random.default_rng(3).integers(0, 256, (3, 192, 320, 3), np.uint8))
    recipe = EngineRecipe(precision="int8", max_batch=2, calibration=calibration.sha256)
    engine = building.build(recipe, calibration=calibration)
    assert engine.facts["precisions"]["int8"] > 5
    assert engine.facts["precisions"]["f16"] > 5  # what is between
    assert "measure" in {told.phase for told in building.told}


def test_pictures_that_the_recipe_does_not_name_are_refused(building: Building) -> None:
    calibration = Calibration(np.zeros((1, 192, 320, 3), np.uint8))
    with pytest.raises(ConfigError, match="are not those that the recipe names"):
        building.build(EngineRecipe(precision="int8", max_batch=2, calibration="0" * 64), calibration=calibration)


def test_it_tells_how_it_goes_on(building: Building) -> None:
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)

        def lead() -> None:
            for _ in range(6):
                steps.wait()
                steps.go()

        leading = threading.Thread(target=lead)
        leading.start()
        building.build()
        leading.join(5)
    phases = [told.phase for told in building.told]
    assert list(dict.fromkeys(phases)) == ["start", "convert", "read", "build", "inspect"]
    shares = [told.share for told in building.told if told.phase == "build" and told.share is not None]
    assert shares == sorted(shares)
    assert 0.0 <= shares[0] <= shares[-1] <= 1.0


def test_a_built_engine_is_taken_from_the_cache(building: Building) -> None:
    first = building.build()
    building.faults(build_fails="it must not be built again")
    again = building.build()
    assert again.facts == first.facts
    assert building.left() == {first.plan_path.name, first.facts_path.name}


def test_a_changed_model_and_another_tensorrt_are_built_anew(building: Building) -> None:
    first = building.build()
    building.build(spec=replace(shapes(), digest=f"sha256:{'1' * 64}"))
    building.faults(version="11.3.0")
    building.build()
    assert len(list(building.cache.folder.glob("*.plan"))) == 3
    assert building.cache.find(first.key) is not None


def test_a_damaged_engine_is_built_anew(building: Building, caplog: pytest.LogCaptureFixture) -> None:
    first = building.build()
    first.plan_path.write_bytes(first.read()[:-10])
    assert building.build().read() == first.plan_path.read_bytes()
    assert "its plan is cut off" in caplog.text


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (
            {"build_fails": "Error Code 10: no implementation"},
            "TensorRT can't build it: Error Code 10: no implementation",
        ),
        ({"build_crashes": True}, "the build broke: SIGSEGV ended it"),
        ({"unsupported_ops": ("Resize",)}, "TensorRT can't read the model: .*Resize"),
        ({"build_needs_bytes": 1 << 50}, "GPU 0 has no memory left for it: end what else runs on it"),
    ],
)
def test_what_fails_is_one_sentence_and_leaves_nothing(building: Building, faults: dict[str, Any], said: str) -> None:
    building.faults(**faults)
    with pytest.raises(BackendError, match=f"^model shapes: no f16 engine: {said}") as caught:
        building.build()
    assert "\n" not in str(caught.value)
    assert building.left() == set()


@pytest.mark.parametrize("phase", ["convert", "build"])
def test_stopped_at_any_point_it_leaves_nothing(building: Building, phase: str) -> None:
    with pytest.raises(BuildStopped):
        building.build(stopping=lambda: any(told.phase == phase for told in building.told))
    assert building.left() == set()


def test_stopped_in_the_midst_of_tensorrts_work_it_leaves_nothing(building: Building) -> None:
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)
        reached = threading.Event()

        def lead() -> None:
            for _ in range(3):
                steps.wait()
                steps.go()
            steps.wait()
            reached.set()

        leading = threading.Thread(target=lead)
        leading.start()
        with pytest.raises(BuildStopped):
            building.build(stopping=reached.is_set)
        leading.join(5)
    assert building.left() == set()
    building.faults()
    assert building.build().read()  # nothing stands in the way of the next


def test_a_hung_build_is_ended(building: Building) -> None:
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)
        with pytest.raises(BackendError, match="has not ended within"):
            building.build(limit_s=1.0)
    assert building.left() == set()


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from engine_values import shapes
from onnx import TensorProto, helper
from streamer.infer.engine import build as build_module
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.recipe import EngineRecipe
engine = build_engine(
    shapes(), EngineRecipe(precision="f16", max_batch=4), cache=EngineCache(Path(sys.argv[1])), calibration=None,
    progress=lambda told: print(told.phase, flush=True), stopping=lambda: False,
)
print("plan", engine.facts["plan_sha256"], flush=True)
"""


def another(building: Building) -> subprocess.Popen[str]:
    """Start a process that builds the same engine."""
    path = os.pathsep.join([str(HERE.parents[1]), os.environ["PYTHONPATH"]])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(building.cache.folder), str(HERE)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_two_processes_build_it_once(building: Building) -> None:
    with another(building) as one, another(building) as two:
        said = [process.communicate(timeout=9)[0].split() for process in (one, two)]
    assert one.returncode == two.returncode == 0
    assert said[0][-1] == said[1][-1]
    assert sum("build" in words for words in said) == 1


def test_a_parent_that_is_killed_takes_the_builder_along_and_the_next_builds(building: Building) -> None:
    from tensorrt._steps import BuildSteps  # noqa: PLC0415  there only while the fixture is

    with BuildSteps() as steps:
        building.faults(steps_port=steps.port)
        with another(building) as process:
            steps.wait()
            process.kill()
            process.wait()
    assert any(name.startswith("work/") for name in building.left())
    building.faults()
    engine = building.build()  # were the builder still there, it would hold nothing: the lock was its parent's
    assert building.left() == {engine.plan_path.name, engine.facts_path.name}


def test_what_was_measured_is_kept_for_the_next_build(building: Building) -> None:
    building.build()
    (kept,) = building.cache.folder.glob("timing-11.4.0.106-*.cache")
    kept.write_bytes(kept.read_bytes() + b"\nConv:of another model")
    building.build(EngineRecipe(precision="f32", max_batch=4))
    assert b"Conv:of another model" in kept.read_bytes()
    kept.write_bytes(b"no timing cache")
    building.build(EngineRecipe(precision="f32", max_batch=2))
    assert b"Conv" in kept.read_bytes()


def test_a_gpu_without_memory_is_said_before_anything_is_done(
    building: Building, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy = tmp_path / "heavy.onnx"
    weights = helper.make_tensor("w", TensorProto.FLOAT, [0], [])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="heavy.bin")
    graph = helper.make_graph([], "heavy", [], [], [weights])
    heavy.write_bytes(helper.make_model(graph).SerializeToString())
    with (tmp_path / "heavy.bin").open("wb") as file:
        file.truncate(40 << 30)  # nothing of it is on the disk
    job = build_module._job
    monkeypatch.setattr(build_module, "_job", lambda *given: replace(job(*given), model=str(heavy)))
    with pytest.raises(BackendError, match=r"GPU 0 \(.*\) has .* GB of memory free, and building this engine takes at"):
        building.build()
    assert {told.phase for told in building.told} == {"start"}
    assert building.left() == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a small file system")
    command = [mount, "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_is_one_sentence(building: Building, small_disk: Path) -> None:
    building.cache = EngineCache(small_disk / "tensorrt")
    with pytest.raises(BackendError, match="the disk is full; make room, or choose another folder with STREAMER_CACHE"):
        building.build()
    assert building.left() == set()


def test_a_cache_that_is_no_folder_is_one_sentence(building: Building, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    building.cache = EngineCache(tmp_path / "file" / "tensorrt")
    with pytest.raises(BackendError, match=r"engine cache .*can't be written \(Not a directory\)"):
        building.build()


def test_the_platform_is_this_machine(building: Building, fake_gpu: FakeGpu) -> None:
    building.faults(version="10.3.0")
    platform = this_platform(0)
    facts = fake_gpu.machine.devices[0]
    assert (platform.tensorrt, platform.gpu) == ("10.3.0", facts.name)
    assert platform.compute_capability == facts.compute_capability
    assert platform.multiprocessors == facts.multiprocessors
    with pytest.raises(ConfigError, match="device: GPU 9 is not here"):
        this_platform(9)


def test_an_engine_of_any_batch_is_found_by_its_model(building: Building) -> None:
    stored = building.build(EngineRecipe(precision="f16", max_batch=2))
    found = building.cache.find_any(shapes(), "f16", this_platform(0))
    assert found is not None
    assert found.plan_path == stored.plan_path
    assert building.cache.find(engine_key(shapes(), F16, this_platform(0))) is None
    assert json.loads(stored.facts_path.read_text())["max_batch"] == 2
