"""Engines on disk: found by their whole key, whole or not at all, built by one process at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engine_values import PLATFORM, shapes

import streamer
from streamer.core.errors import BackendError
from streamer.infer.engine import cache as cache_module
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.progress import BuildStopped
from streamer.infer.engine.recipe import EngineRecipe
from streamer.infer.engine.stored import EngineDamaged, facts_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.infer.engine.key import EngineKey
    from streamer.infer.engine.stored import StoredEngine

KEY = engine_key(shapes(), EngineRecipe(precision="f16", max_batch=4), PLATFORM)
PLAN = b"a plan" * 1000
AT = "2026-11-21T10:00:00+00:00"


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache" / "tensorrt")


def stored_in(cache: EngineCache, key: EngineKey = KEY, *, at: str = AT) -> StoredEngine:
    with cache.building(key):
        return cache.store(key, PLAN, {"model": "shapes", "built_at": at, "proof": None})


def names(cache: EngineCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if path.is_file()}


def test_a_stored_engine_is_found_by_its_key(cache: EngineCache) -> None:
    assert cache.find(KEY) is None
    stored = stored_in(cache)
    found = cache.find(KEY)
    assert found is not None
    assert found.read() == PLAN
    assert found.facts["model"] == "shapes"
    assert (found.key, found.plan_path) == (KEY, stored.plan_path)
    assert stored.facts == found.facts
    assert names(cache) == {f"{KEY.digest}.plan", f"{KEY.digest}.json"}


def test_another_key_finds_nothing(cache: EngineCache) -> None:
    stored_in(cache)
    assert cache.find(engine_key(shapes(), EngineRecipe(precision="f32", max_batch=4), PLATFORM)) is None


def test_a_plan_that_was_tampered_with_is_not_read(cache: EngineCache) -> None:
    stored = stored_in(cache)
    stored.plan_path.write_bytes(PLAN[:-1] + b"X")
    with pytest.raises(EngineDamaged, match=r"\.plan: is not what was built \(its checksum is another\)"):
        stored.read()


def test_a_plan_that_is_gone_is_not_read(cache: EngineCache) -> None:
    stored = stored_in(cache)
    stored.plan_path.unlink()
    with pytest.raises(EngineDamaged, match="can't be read"):
        stored.read()


def edit(stored: StoredEngine) -> None:
    stored.facts_path.write_text(stored.facts_path.read_text().replace('"proof": null', '"proof": {"a": 1}'))


def another_version(stored: StoredEngine) -> None:
    stored.facts_path.write_bytes(facts_text({**stored.facts, "version": 0}))


def another_key(stored: StoredEngine) -> None:
    parts = {**stored.facts["key"], "schema": 0}
    stored.facts_path.write_bytes(facts_text({**stored.facts, "key": parts}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda stored: stored.plan_path.write_bytes(PLAN[:-1]), "its plan is cut off"),
        (lambda stored: stored.plan_path.unlink(), "its plan is missing"),
        (lambda stored: stored.facts_path.write_bytes(stored.facts_path.read_bytes()[:50]), "can't be understood"),
        (lambda stored: stored.facts_path.write_bytes(b""), "can't be understood"),
        (lambda stored: stored.facts_path.write_bytes(b"[1]"), "can't be understood"),
        (lambda stored: stored.facts_path.write_bytes(b"\xff\x00"), "can't be understood"),
        (edit, "it was edited"),
        (another_version, "version 0"),
        (another_key, "its facts are those of another engine"),
    ],
)
def test_a_damaged_engine_is_set_aside_and_said_so(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, damage: object, said: str
) -> None:
    damage(stored_in(cache))  # type: ignore[operator]
    assert cache.find(KEY) is None
    assert said in caplog.text
    assert "has to be built anew" in caplog.text
    assert all(name.endswith(".bad") for name in names(cache))
    assert stored_in(cache).read() == PLAN  # the next build takes its place


def test_a_proof_is_written_beside_the_engine(cache: EngineCache) -> None:
    stored_in(cache)
    cache.note_proof(KEY, {"decision": "use"})
    cache.note_proof(KEY, {"decision": "refuse"})
    found = cache.find(KEY)
    assert found is not None
    assert found.facts["proof"] == {"decision": "refuse"}
    assert found.read() == PLAN


def test_a_proof_of_an_engine_that_is_gone_is_refused(cache: EngineCache) -> None:
    with pytest.raises(BackendError, match="is not here any more"):
        cache.note_proof(KEY, {})


def test_a_proof_does_not_wait_for_a_build(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(cache)
    monkeypatch.setattr(cache_module, "_NOTE_S", 0.0)
    with cache.building(KEY), pytest.raises(BackendError, match="another process builds it anew just now"):
        cache.note_proof(KEY, {})


def test_the_newest_engine_of_a_model_is_found_whatever_its_batch(cache: EngineCache) -> None:
    spec = shapes()
    keys = [engine_key(spec, EngineRecipe(precision="f16", max_batch=n), PLATFORM) for n in (1, 4, 2)]
    for hour, key in enumerate(keys):
        stored_in(cache, key, at=f"2026-11-21T1{hour}:00:00+00:00")
    found = cache.find_any(spec, "f16", PLATFORM)
    assert found is not None
    assert found.key.max_batch == 2
    covering = cache.find_model(spec.digest, spec.path, precision="f16", platform=PLATFORM, max_batch=3)
    assert covering is not None
    assert covering.key.max_batch == 4
    assert cache.find_model(spec.digest, spec.path, precision="f16", platform=PLATFORM, max_batch=5) is None


def test_engines_of_others_are_not_found(cache: EngineCache) -> None:
    stored_in(cache)
    spec = shapes()
    assert cache.find_any(spec, "f16", PLATFORM) is not None
    assert cache.find_any(spec, "f32", PLATFORM) is None
    assert cache.find_any(spec, "f16", replace(PLATFORM, tensorrt="10.3.1")) is None
    assert cache.find_any(spec, "f16", replace(PLATFORM, gpu="other")) is None
    assert cache.find_any(replace(spec, digest=f"sha256:{'1' * 64}"), "f16", PLATFORM) is None


def test_one_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = EngineCache(tmp_path / "file" / "tensorrt")
    with pytest.raises(BackendError, match=r"engine cache .*: can't be written.*STREAMER_CACHE"), cache.building(KEY):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root, to mount a small file system")
    command = [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_no_engine_and_says_so(small_disk: Path) -> None:
    cache = EngineCache(small_disk / "tensorrt")
    with (
        pytest.raises(BackendError, match=r"engine cache .*: the disk is full; make room"),
        cache.building(KEY),
    ):
        cache.store(KEY, b"x" * (1 << 20), {})
    assert cache.find(KEY) is None
    assert names(cache) == set()
    assert not (cache.folder / "work" / KEY.digest).exists()


def test_what_is_left_of_a_failed_build_is_removed(cache: EngineCache) -> None:
    def fail() -> None:
        with cache.building(KEY) as folder:
            (folder / "half").write_bytes(b"half")
            raise KeyError

    with suppress(KeyError):
        fail()
    assert not (cache.folder / "work" / KEY.digest).exists()
    with cache.building(KEY) as folder:
        assert list(folder.iterdir()) == []


def test_an_error_of_the_builder_is_not_taken_for_one_of_the_cache(cache: EngineCache) -> None:
    with pytest.raises(FileNotFoundError), cache.building(KEY):
        (Path("/nowhere") / "x").read_bytes()


HOLDER = """
import os, sys
from pathlib import Path
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.key import EngineKey
key = EngineKey({}, sys.argv[2])
with EngineCache(Path(sys.argv[1])).building(key) as folder:
    (folder / "half").write_bytes(b"half")
    print("held", flush=True)
    sys.stdin.read(1)
"""


def holder(cache: EngineCache, key: EngineKey) -> subprocess.Popen[bytes]:
    """Start a process that builds, until it is told or killed."""
    root = str(Path(streamer.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(cache.folder), key.digest],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_another_process_that_builds_is_waited_for(cache: EngineCache) -> None:
    waited: list[bool] = []
    with holder(cache, KEY) as process:

        def waiting() -> None:
            assert process.stdin is not None
            waited.append(process.poll() is None)
            if len(waited) == 2:
                process.stdin.write(b"x")
                process.stdin.flush()

        with cache.building(KEY, waiting=waiting) as folder:
            assert process.wait(5) == 0
            assert list(folder.iterdir()) == []
    assert waited[:2] == [True, True]


def test_who_waits_for_another_process_can_be_stopped(cache: EngineCache) -> None:
    with holder(cache, KEY) as process:
        with pytest.raises(BuildStopped), cache.building(KEY, stopping=lambda: True):
            pass
        process.kill()


def test_a_process_that_dies_holds_nobody_up_and_what_it_left_is_removed(cache: EngineCache) -> None:
    with holder(cache, KEY) as process:
        process.kill()
        process.wait()
    assert (cache.folder / "work" / KEY.digest / "half").exists()
    other = engine_key(shapes(), EngineRecipe(precision="f32", max_batch=4), PLATFORM)
    with cache.building(other, waiting=lambda: pytest.fail("nobody builds")):
        assert not (cache.folder / "work" / KEY.digest).exists()


def test_what_a_process_left_that_died_at_the_same_engine_is_removed(cache: EngineCache) -> None:
    with holder(cache, KEY) as process:
        process.kill()
        process.wait()
    with cache.building(KEY) as folder:
        assert list(folder.iterdir()) == []


def test_what_another_process_is_at_is_left_alone(cache: EngineCache) -> None:
    with holder(cache, KEY) as process:
        other = engine_key(shapes(), EngineRecipe(precision="f32", max_batch=4), PLATFORM)
        with cache.building(other, waiting=lambda: pytest.fail("that is another key")):
            assert (cache.folder / "work" / KEY.digest / "half").exists()
        process.kill()


def test_the_facts_are_for_people_too(cache: EngineCache) -> None:
    facts = json.loads(stored_in(cache).facts_path.read_text())
    assert facts["key"]["tensorrt"]["version"] == "10.3.0"
    assert facts["plan_bytes"] == len(PLAN)
