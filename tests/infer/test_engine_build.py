"""Building engines in the real child process, over the stand-ins of TensorRT and pycuda."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from engine_building import F16, Building, building
from engine_values import shapes

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.engine.frames import Calibration
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.platform import this_platform
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.infer.spec import ModelSpec

__all__ = ["building"]


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


def changed(path: Path) -> ModelSpec:
    """Write the model of the shapes again, with other words in it."""
    model = onnx.load(str(shapes().path))
    model.doc_string = "another one"
    onnx.save(model, str(path))
    return replace(shapes(), path=path, digest=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


def test_a_changed_model_and_another_tensorrt_are_built_anew(building: Building, tmp_path: Path) -> None:
    first = building.build()
    building.build(spec=changed(tmp_path / "changed.onnx"))
    building.faults(version="11.3.0")
    building.build()
    assert len(list(building.cache.folder.glob("*.plan"))) == 3
    assert building.cache.find(first.key) is not None


def test_a_model_that_was_replaced_after_it_was_loaded_gives_no_engine(building: Building, tmp_path: Path) -> None:
    spec = changed(tmp_path / "changed.onnx")
    shutil.copy(shapes().path, spec.path)
    with pytest.raises(BackendError, match=r"changed\.onnx was changed after it was loaded; start again with the new"):
        building.build(spec=spec)
    assert "convert" not in {told.phase for told in building.told}  # it is said before anything takes its time
    assert building.left() == set()


def test_a_model_that_is_replaced_while_it_is_built_gives_no_engine(building: Building, tmp_path: Path) -> None:
    spec = changed(tmp_path / "changed.onnx")

    def stopping() -> bool:
        if any(told.phase == "build" for told in building.told):
            shutil.copy(shapes().path, spec.path)
        return False

    with pytest.raises(BackendError, match="was changed after it was loaded"):
        building.build(spec=spec, stopping=stopping)
    assert building.left() == set()


@pytest.mark.parametrize(
    ("damage", "said"),
    [(lambda plan: plan[:-10], "its plan is cut off"), (lambda plan: plan[:-1] + b"?", "is not what was built")],
    ids=["cut off", "tampered"],
)
def test_a_damaged_engine_is_built_anew(
    building: Building, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes], said: str
) -> None:
    first = building.build()
    plan = first.read()
    first.plan_path.write_bytes(damage(plan))
    assert building.build().read() == plan
    assert said in caplog.text


def test_what_was_measured_is_kept_for_the_next_build(building: Building) -> None:
    building.build()
    (kept,) = building.cache.folder.glob("timing-*")  # and nothing beside it
    assert kept.name.startswith("timing-11.4.0.106-")
    kept.write_bytes(kept.read_bytes() + b"\nConv:of another model")
    building.build(EngineRecipe(precision="f32", max_batch=4))
    assert b"Conv:of another model" in kept.read_bytes()
    kept.write_bytes(b"no timing cache")
    building.build(EngineRecipe(precision="f32", max_batch=2))
    assert b"Conv" in kept.read_bytes()


def test_what_was_measured_is_no_reason_to_fail(building: Building, caplog: pytest.LogCaptureFixture) -> None:
    building.build()
    (kept,) = building.cache.folder.glob("timing-*")
    kept.unlink()
    kept.mkdir()
    assert building.build(EngineRecipe(precision="f32", max_batch=4)).read()
    assert "what earlier builds have measured can't be read" in caplog.text
    assert "what was measured can't be kept" in caplog.text


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
