"""Building engines in tests: with the stand-ins of TensorRT and pycuda in the child process too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from engine_values import shapes

from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.infer.engine.progress import Progress
    from streamer.infer.engine.stored import StoredEngine

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
