"""Files that other programs leave beside a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streamer.core.errors import BackendError
from streamer.infer.recognise.companions import companion_layers
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from pathlib import Path


def said(folder: Path, *, named: bool = False) -> list[SpecOptions]:
    return [layer.said for layer in companion_layers(folder / "model.onnx", named=named)]


def write(path: Path, value: Any) -> None:  # noqa: ANN401  JSON
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def test_names_of_hugging_face_are_read_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"id2label": {"1": "bicycle", "0": "person", "10": "kite"} | {"2": "car"}})
    (options,) = said(tmp_path)
    assert options.labels == ("person", "bicycle", "car", "kite")
    assert options.ids == (0, 1, 2, 10)


def test_names_without_gaps_need_no_ids(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"id2label": {"0": "person", "1": "bicycle"}, "model_type": "d_fine"})
    assert said(tmp_path) == [SpecOptions(labels=("person", "bicycle"))]


def test_ids_that_mean_nothing_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"id2label": {"0": "N/A", "1": "person", "2": ""}})
    assert said(tmp_path) == [SpecOptions(labels=("person",), ids=(1,))]


def test_the_folder_above_onnx_is_looked_at_too(tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"id2label": {"0": "person"}})
    (tmp_path / "onnx").mkdir()
    (tmp_path / "other").mkdir()
    assert said(tmp_path / "onnx") == [SpecOptions(labels=("person",))]
    assert said(tmp_path / "other") == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"do_rescale": True, "rescale_factor": 0.00392156862745098, "do_normalize": False,
             "size": {"height": 640, "width": 480}},
            SpecOptions(scale=1 / 255, mean=(0, 0, 0), std=(1, 1, 1), size=(640, 480), fit="stretch"),
        ),
        (
            {"do_rescale": True, "do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3],
             "size": {"shortest_edge": 800, "longest_edge": 1333}},
            SpecOptions(scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)),
        ),
    ],
)  # fmt: skip
def test_the_look_of_hugging_face_is_read(tmp_path: Path, config: dict[str, Any], expected: SpecOptions) -> None:
    write(tmp_path / "preprocessor_config.json", config)
    assert said(tmp_path) == [expected]


def test_a_list_of_names_is_read_where_nobody_else_has_named_them(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert said(tmp_path) == [SpecOptions(labels=("cat", "dog"))]
    assert said(tmp_path, named=True) == []
    write(tmp_path / "config.json", {"id2label": {"0": "person"}})
    assert said(tmp_path) == [SpecOptions(labels=("person",))]


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "{}", '{"id2label": []}', '{"id2label": {}}', "\x00\xff"])
def test_files_of_others_are_left_alone(tmp_path: Path, text: str) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text(text, "utf-8")
    assert said(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config.json", {"id2label": {"person": "0"}}, "config.json: id2label"),
        ("preprocessor_config.json", {"do_normalize": True}, "preprocessor_config.json: can't be understood"),
        (
            "preprocessor_config.json",
            {"do_normalize": True, "image_mean": [1], "image_std": [1]},
            "can't be understood",
        ),
    ],
)
def test_what_is_ours_and_wrong_is_named(tmp_path: Path, name: str, value: Any, message: str) -> None:  # noqa: ANN401  JSON
    write(tmp_path / name, value)
    with pytest.raises(BackendError, match=message):
        said(tmp_path)


def test_an_empty_list_of_names_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n")
    with pytest.raises(BackendError, match=r"labels\.txt is empty"):
        said(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "b\x1b[31m", "c" * 201])
def test_names_are_held_to_what_holds_for_files(tmp_path: Path, name: str) -> None:
    write(tmp_path / "config.json", {"id2label": {"0": "person", "1": name}})
    with pytest.raises(BackendError, match="id2label: 1: a class name"):
        said(tmp_path)
