"""The catalogue: the tracked sidecars, names, and where weights are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Catalogue, cache_folder, open_catalogue
from streamer.infer.heads import HEADS

SHA = "ab" * 32
SIDECAR = f"file: small.onnx\nurl: https://example.org/s.onnx\nbytes: 9\nsha256: {SHA}\nlicence: MIT\n"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / "small.yaml").write_text(SIDECAR)
    (folder / "large.yaml").write_text("head: v8\n")
    return Catalogue((folder,), tmp_path / "cache")


@pytest.mark.parametrize("name", open_catalogue({}).names())
def test_every_tracked_sidecar_says_what_a_user_must_know(name: str) -> None:
    entry = open_catalogue({}).entry(name)
    said = entry.sidecar
    assert said.head in HEADS
    assert said.task == "detect"
    assert said.sha256
    assert said.bytes
    assert said.source
    assert said.licence == "Apache-2.0"
    assert entry.sidecar.options(entry.path.parent).labels
    assert said.url or (entry.path.parent / entry.file_name).is_file()


def test_the_catalogue_has_the_default_models() -> None:
    assert {"yolox-nano", "yolox-tiny", "yolox-s"} <= set(open_catalogue({}).names())


def test_an_unknown_name_gets_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(ConfigError, match=r"'smal' is not in the catalogue \(nearest: small\)"):
        catalogue.entry("smal")
    with pytest.raises(ConfigError, match=r"nearest: large, small"):
        catalogue.entry("zzz")
    with pytest.raises(ConfigError, match="it is empty"):
        Catalogue((), Path("nowhere")).entry("small")


def test_missing_weights_say_how_to_get_them(catalogue: Catalogue) -> None:
    with pytest.raises(BackendError) as caught:
        catalogue.weights(catalogue.entry("small"))
    for part in ("https://example.org/s.onnx", str(catalogue.cache / "small.onnx"), SHA, "9 bytes", "MIT"):
        assert part in str(caught.value)
    with pytest.raises(BackendError, match=r"large\.onnx are missing"):
        catalogue.weights(catalogue.entry("large"))


def test_weights_lie_in_the_cache_or_beside_the_sidecar(catalogue: Catalogue) -> None:
    catalogue.cache.mkdir()
    cached = catalogue.cache / "small.onnx"
    cached.write_bytes(b"x")
    entry = catalogue.entry("small")
    assert catalogue.weights(entry) == cached
    beside = catalogue.folders[0] / "small.onnx"
    beside.write_bytes(b"x")
    assert catalogue.weights(entry) == beside


def test_a_model_is_found_by_its_checksum(catalogue: Catalogue) -> None:
    found = catalogue.with_digest(SHA)
    assert found is not None
    assert found.name == "small"
    assert catalogue.with_digest("cd" * 32) is None


def test_the_cache_folder_can_be_chosen() -> None:
    assert cache_folder({"STREAMER_CACHE": "/x/y"}) == Path("/x/y")


def test_the_cache_folder_of_a_checkout_is_its_own() -> None:
    root = Path(__file__).resolve().parents[2]
    if open_catalogue({}).folders != (root / "engines",):
        pytest.skip("needs a checkout: an installed package has its cache elsewhere")
    assert cache_folder({"CACHE_DIRECTORY": "/var/cache/streamer"}) == root / "engines" / "cache"


def test_the_cache_folder_of_an_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("streamer.infer.catalogue._CHECKOUT", tmp_path)
    assert cache_folder({"CACHE_DIRECTORY": "/var/cache/streamer:/var/cache/more"}) == Path("/var/cache/streamer")
    assert cache_folder({}).name == "streamer"
