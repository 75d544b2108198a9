"""Builds that fail, hang, are ended or killed: each is one sentence, and none leaves half an engine."""

from __future__ import annotations

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
from engine_building import Building, building
from onnx import TensorProto, helper

from streamer.core.errors import BackendError
from streamer.infer.engine import build as build_module
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.frames import Calibration
from streamer.infer.engine.progress import BuildStopped
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["building"]

pytestmark = pytest.mark.slow  # each build is a process of its own

HERE = Path(__file__).resolve().parent


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


def test_after_a_crash_the_next_build_does_without_what_was_measured_before(building: Building) -> None:
    building.build()
    (kept,) = building.cache.folder.glob("timing-*")
    f32 = EngineRecipe(precision="f32", max_batch=4)
    building.faults(build_fails="Error Code 10: no implementation")
    with pytest.raises(BackendError, match="no implementation"):
        building.build(f32)
    assert kept.exists()  # that was not its fault
    building.faults(build_crashes=True)
    with pytest.raises(BackendError, match="SIGSEGV"):
        building.build(f32)
    assert not kept.exists()
    building.faults()
    building.build(f32)
    assert kept.exists()


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


def test_frames_that_do_not_fit_on_the_disk_are_one_sentence(building: Building, small_disk: Path) -> None:
    building.cache = EngineCache(small_disk / "tensorrt")
    calibration = Calibration(np.zeros((4, 192, 320, 3), np.uint8))
    recipe = EngineRecipe(precision="int8", max_batch=1, calibration=calibration.sha256)
    with pytest.raises(BackendError, match=r"engine cache .*the disk is full"):
        building.build(recipe, calibration=calibration)
    assert building.left() == set()


def test_a_cache_that_is_no_folder_is_one_sentence(building: Building, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    building.cache = EngineCache(tmp_path / "file" / "tensorrt")
    with pytest.raises(BackendError, match=r"engine cache .*can't be written \(Not a directory\)"):
        building.build()
