"""The catalogue: the tracked sidecars, names, and where weights are looked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_classifier import write_classifier

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Catalogue, Entry, MissingWeightsError, cache_folder, open_catalogue
from streamer.infer.heads import HEADS
from streamer.infer.recognise import load_spec
from streamer.infer.sidecar import load_sidecar
from streamer.infer.spec import Fit, Task

KNOWN = open_catalogue({})
SHA = "ab" * 32
SIDECAR = f"file: small.onnx\nurl: https://example.org/s.onnx\nbytes: 9\nsha256: {SHA}\nlicence: MIT\n"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / "small.yaml").write_text(SIDECAR)
    (folder / "large.yaml").write_text("head: v8\n")
    return Catalogue((folder,), tmp_path / "cache")


PERMISSIVE = {"Apache-2.0", "MIT", "BSD-3-Clause"}
CLASSES = {"coco80": 80, "imagenet1000": 1000}
A_REVISION = re.compile(r"/releases/download/[\w.]+/|/(?:resolve|raw|opencv_zoo)/[0-9a-f]{7,40}/")


@pytest.mark.parametrize("name", open_catalogue({}).names())
def test_every_tracked_sidecar_says_what_a_user_must_know(name: str) -> None:
    entry = open_catalogue({}).entry(name)
    said = entry.sidecar
    assert said.task in {"detect", "classify"}
    assert said.head in HEADS if said.task == "detect" else said.head is None
    assert said.sha256
    assert said.bytes or "size in bytes is not confirmed" in str(said.notes)
    assert said.source
    assert said.licence in PERMISSIVE
    assert said.labels
    assert isinstance(said.labels, list) or said.labels in CLASSES
    assert entry.file_name == f"{name}.onnx"  # two of one name would take each other's place in the cache
    assert said.url or (entry.path.parent / entry.file_name).is_file()
    assert (said.grade in {"A", "B"}) == (said.url is not None)
    assert said.ap is None or said.ap_source
    assert said.top1 is None or said.top1_source


@pytest.mark.parametrize("name", [n for n in open_catalogue({}).names() if open_catalogue({}).entry(n).sidecar.head])
def test_the_labels_of_a_detector_are_as_many_as_its_ids(name: str) -> None:
    entry = open_catalogue({}).entry(name)
    options = entry.sidecar.options(entry.path.parent)
    assert isinstance(options.labels, tuple)
    assert len(options.labels) == CLASSES.get(str(entry.sidecar.labels), len(options.labels))
    assert len(set(options.labels)) == len(options.labels)
    if isinstance(options.ids, list):
        assert len(options.ids) == len(options.labels)


@pytest.mark.parametrize("name", open_catalogue({}).names())
def test_addresses_are_of_one_revision_or_say_that_they_are_not(name: str) -> None:
    said = open_catalogue({}).entry(name).sidecar
    addresses = [*([said.url] if said.url else []), *(said.mirrors or ())]
    assert all(address.startswith("https://") for address in addresses)
    assert "raw.githubusercontent.com" not in " ".join(addresses)  # it answers with git-lfs pointers
    for number, address in enumerate(addresses):
        if not A_REVISION.search(address):
            assert "/resolve/main/" in address
            assert number > 0 or "follows the repository's main branch" in str(said.notes)


def test_no_two_models_are_the_same_file() -> None:
    catalogue = open_catalogue({})
    sums = [catalogue.entry(name).sidecar.sha256 for name in catalogue.names()]
    assert len(set(sums)) == len(sums)


def test_the_catalogue_has_the_default_models() -> None:
    assert {"yolox-nano", "yolox-tiny", "yolox-s"} <= set(open_catalogue({}).names())


def test_an_unknown_name_gets_the_nearest(catalogue: Catalogue) -> None:
    with pytest.raises(ConfigError, match=r"'smal' is not in the catalogue \(nearest: small\)"):
        catalogue.entry("smal")
    with pytest.raises(ConfigError, match=r"in the catalogue \(`streamer models list` prints it\)"):
        catalogue.entry("zzz")
    with pytest.raises(ConfigError, match="it is empty"):
        Catalogue((), Path("nowhere")).entry("small")


@pytest.mark.parametrize("name", ["../own", "/etc/own", "", ".", "a" * 5000, "a\x00b"])
def test_a_name_is_no_path(catalogue: Catalogue, tmp_path: Path, name: str) -> None:
    (tmp_path / "own.yaml").write_text(SIDECAR)
    with pytest.raises(ConfigError, match="is not in the catalogue"):
        catalogue.entry(name)


def test_missing_weights_say_how_to_get_them(catalogue: Catalogue) -> None:
    with pytest.raises(BackendError) as caught:
        catalogue.weights(catalogue.entry("small"))
    for part in ("`streamer models pull small`", "https://example.org/s.onnx", "0.0 MB", "MIT"):
        assert part in str(caught.value)
    with pytest.raises(BackendError, match=r"large\.onnx are missing"):
        catalogue.weights(catalogue.entry("large"))


def test_a_classifier_is_refused_before_anybody_fetches_it(catalogue: Catalogue) -> None:
    (catalogue.folders[0] / "small.yaml").write_text(f"task: classify\n{SIDECAR}")
    with pytest.raises(BackendError, match="small: is a classifier: `streamer classify`") as caught:
        load_spec("small", catalogue=catalogue)
    assert not isinstance(caught.value, MissingWeightsError)
    with pytest.raises(MissingWeightsError):
        load_spec("small", catalogue=catalogue, task=Task.CLASSIFY)


def test_missing_weights_of_an_own_sidecar_are_pulled_by_its_path(catalogue: Catalogue, tmp_path: Path) -> None:
    own = tmp_path / "my models" / "own.yaml"
    own.parent.mkdir()
    own.write_text(f"url: https://example.org/own.onnx\nsha256: {SHA}\n")
    with pytest.raises(MissingWeightsError, match=re.escape(f"`streamer models pull '{own}'` fetches")):
        catalogue.weights(Entry(name="own", path=own, sidecar=load_sidecar(own)))
    own.write_text("url: https://example.org/own.onnx\n")
    with pytest.raises(MissingWeightsError, match=f"download https://example.org/own.onnx to {catalogue.cache}"):
        catalogue.weights(Entry(name="own", path=own, sidecar=load_sidecar(own)))


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


@pytest.mark.parametrize("name", [name for name in KNOWN.names() if KNOWN.entry(name).sidecar.task == "classify"])
def test_each_classifier_is_known_well_enough_to_be_used(name: str, tmp_path: Path) -> None:
    said = KNOWN.entry(name)
    text = "".join(
        line for line in said.path.read_text().splitlines(keepends=True) if not line.startswith(("sha256:", "bytes:"))
    )
    (tmp_path / f"{name}.yaml").write_text(text)
    nhwc = name == "efficientnet-lite4"
    shape = (1, 224, 224, 3) if nhwc else (1, 3, 224, 224)
    write_classifier(tmp_path / said.file_name, classes=1000, shape=shape, nhwc=nhwc)
    spec = load_spec(str(tmp_path / f"{name}.yaml"), task=Task.CLASSIFY)
    assert (spec.labels[0], len(spec.labels)) == ("tench", 1000)
    assert (spec.input.hw, spec.input.fit, spec.input.resize) == ((224, 224), Fit.CROP, 256)
    assert spec.input.std[0] in (0.229, 128.0)
