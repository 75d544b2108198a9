"""The folder of engines holds native code: nobody else writes into it, and one that can only be read serves."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engine_values import PLATFORM, shapes

from streamer.core.errors import BackendError
from streamer.infer.engine import private
from streamer.infer.engine.cache import EngineCache
from streamer.infer.engine.key import engine_key
from streamer.infer.engine.recipe import EngineRecipe

if TYPE_CHECKING:
    from streamer.infer.engine.stored import StoredEngine

KEY = engine_key(shapes(), EngineRecipe(precision="f16", max_batch=4), PLATFORM)
PLAN = b"a plan"


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache" / "tensorrt")


def stored_in(cache: EngineCache) -> StoredEngine:
    with cache.building(KEY):
        return cache.store(KEY, PLAN, {"built_at": "2026-11-21T10:00:00+00:00"})


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077])
def test_nobody_else_can_write_into_the_cache_whatever_the_umask_is(cache: EngineCache, mask: int) -> None:
    before = os.umask(mask)
    try:
        stored = stored_in(cache)
        cache.note_proof(KEY, {"decision": "use"})
    finally:
        os.umask(before)
    for path in (cache.folder, stored.plan_path, stored.facts_path):
        assert not path.stat().st_mode & 0o022


def test_a_cache_that_others_can_write_into_is_neither_read_nor_written(cache: EngineCache) -> None:
    stored_in(cache)
    cache.folder.chmod(0o775)
    said = r"engine cache .*: others can write into it; take that away with chmod go-w, or choose another folder with"
    with pytest.raises(BackendError, match=said):
        cache.find(KEY)
    with pytest.raises(BackendError, match=said):
        cache.find_any(shapes(), "f16", PLATFORM)
    with pytest.raises(BackendError, match=said), cache.building(KEY):
        pass


def test_a_cache_of_another_user_is_not_read(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(cache)
    monkeypatch.setattr(private, "_ROOT", -1)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(
        BackendError, match=r"belongs to another user \(\d+\); make it your own, or choose another folder"
    ):
        cache.find(KEY)


def test_a_cache_that_can_only_be_read_serves(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_in(cache)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    found = cache.find(KEY)
    assert found is not None
    assert found.read() == PLAN
    with pytest.raises(
        BackendError, match=r"engine cache .*: can't be written \(Read-only file system\); STREAMER_CACHE"
    ):
        cache.note_proof(KEY, {})
