"""Building engines in the real child process, over the stand-ins of TensorRT and pycuda."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.infer.catalogue import open_catalogue
from streamer.infer.engine.build import build_engine
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.recipe import EngineRecipe
from streamer.infer.recognise import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.infer.engine.progress import Progress


@pytest.fixture
def child_environ(fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_gpu.environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("child_environ")
def test_an_engine_is_built_and_found_again(tmp_path: Path) -> None:
    spec = load_spec("shapes", catalogue=open_catalogue({}))
    told: list[Progress] = []
    engine = build_engine(
        spec,
        EngineRecipe(precision="f16", max_batch=4),
        cache=EngineCache(tmp_path),
        calibration=None,
        progress=told.append,
        stopping=lambda: False,
    )
    print(engine.facts)
    print(told)
    assert engine.read()
