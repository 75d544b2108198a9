"""Sidecars: what they may say, and what is said of those that say something else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import ConfigError
from streamer.infer.sidecar import Sidecar, load_sidecar

if TYPE_CHECKING:
    from pathlib import Path

FULL = """\
file: parcels.onnx
task: detect
head: v8
labels: [box, no, 7, "on"]
aliases: {box: Carton Box}
size: [384, 640]
colour: bgr
scale: 1/255
mean: [0.485, 0.456, 0.406]
std: 0.25
fit: stretch
pad: 0
layout: nchw
sha256: 0000000000000000000000000000000000000000000000000000000000000000
bytes: 1234
license: Apache-2.0
source: our own
url: https://example.org/parcels.onnx
mirrors: [https://example.net/parcels.onnx]
grade: A
ap: 40.5
ap_source: ourselves
top1: 69.4
top1_source: ourselves
ids: [1, 2, 4, 8]
measured: {recall: 0.98}
notes: nothing more
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "parcels.yaml"
    path.write_text(text, "utf-8")
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    options = load_sidecar(write(tmp_path, FULL)).options(tmp_path)
    assert (options.task, options.head, options.color, options.fit) == ("detect", "v8", "bgr", "stretch")
    assert options.labels == ("box", "no", "7", "on")  # names are text, whatever YAML makes of them
    assert options.aliases == {"box": "Carton Box"}
    assert options.size == (384, 640)
    assert options.ids == [1, 2, 4, 8]
    assert options.scale == pytest.approx(1 / 255)
    assert options.mean == (0.485, 0.456, 0.406)
    assert options.std == (0.25, 0.25, 0.25)
    assert options.pad == 0


def test_labels_may_be_a_list_that_ships_or_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("box\nbag\n")
    assert load_sidecar(write(tmp_path, "labels: names.txt")).options(tmp_path).labels == ("box", "bag")
    coco = load_sidecar(write(tmp_path, "labels: coco80")).options(tmp_path).labels
    assert isinstance(coco, tuple)
    assert len(coco) == 80


@pytest.mark.parametrize(("text", "ids"), [("coco91", "coco91"), ("1", 1), ("[3, 1]", [3, 1])])
def test_ids_are_a_list_that_is_known_the_first_or_each(tmp_path: Path, text: str, ids: object) -> None:
    assert load_sidecar(write(tmp_path, f"ids: {text}")).options(tmp_path).ids == ids


def test_a_classifier_has_keys_of_its_own(tmp_path: Path) -> None:
    text = "task: classify\nlook: torch\nresize: 256\nactivation: sigmoid\nthreshold: {box: 0.4}\n"
    said = load_sidecar(write(tmp_path, text)).options(tmp_path)
    assert (said.task, said.look, said.resize, said.activation) == ("classify", "torch", 256, "sigmoid")
    assert said.threshold == {"box": 0.4}
    assert load_sidecar(write(tmp_path, "threshold: 0.3")).options(tmp_path).threshold == 0.3


def test_a_tag_makes_nothing(tmp_path: Path) -> None:
    assert load_sidecar(write(tmp_path, "head: !!python/object/apply:os.getcwd v8")).head == "v8"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is a mapping"),
        ("- head", "is a mapping"),
        ("heads: v8", "heads: is not known; allowed are file, task, head"),
        ("head: v8\nhead: v5", "'head' stands twice"),
        ("head: [v8", "is no YAML text"),
        ("size: 5", "size: '5' is not allowed"),
        ("size: big", "size: 'big' is not allowed"),
        ("pad: 300", "pad: '300' is not allowed"),
        ("scale: 0", "scale: "),
        ("scale: 1/0", "scale: "),
        ("scale: .nan", "scale: "),
        ("mean: [1, 2]", "mean: "),
        ("sha256: abc", "sha256: 'abc' is not allowed"),
        ("labels: {a: b}", "labels: "),
        ("bytes: -1", "bytes: "),
        ("ids: coco", "ids: 'coco' is not allowed"),
        ("ids: -1", "ids: '-1' is not allowed"),
        ("ids: [1, x]", "ids: "),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_sidecar(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    for content in (b"\xff\xfe\x00", b"x: \x00", b"a" * 1_100_000, b"[" * 5000):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"model\.yaml: "):
            load_sidecar(path)
    with pytest.raises(ConfigError, match="can't be read"):
        load_sidecar(tmp_path)


@given(st.lists(st.sampled_from([*FULL.splitlines(), "- x", "? [1]", "&a *a", "head: {}", "\t"]), max_size=8))
def test_any_mixture_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("mixed") / "model.yaml"
    path.write_text("\n".join(lines), "utf-8")
    with contextlib.suppress(ConfigError):  # anything else flies
        assert isinstance(load_sidecar(path), Sidecar)


@pytest.mark.parametrize("alias", ["a/b", "+", "x#", '" "', r'"a\tb"'])
def test_an_alias_must_be_able_to_stand_in_a_topic(tmp_path: Path, alias: str) -> None:
    path = write(tmp_path, f"aliases: {{box: {alias}}}\n")
    with pytest.raises(ConfigError, match=r"aliases: .*without / "):
        load_sidecar(path)
