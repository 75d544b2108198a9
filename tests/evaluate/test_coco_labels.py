"""COCO's JSON files: ids with gaps, crowds, and what can be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from labelled_folders import coco, picture, read, text, told

from streamer.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = {"id": 7, "file_name": "a.png", "width": 100, "height": 80}
OBJECT = {"id": 5, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40]}


def test_ids_have_gaps_and_crowds_are_kept_apart(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    coco(
        tmp_path / "labels.json",
        categories=[{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        images=[IMAGE, {**IMAGE, "id": 1000000, "file_name": "b.png"}],
        annotations=[{**OBJECT, "iscrowd": 1}, {**OBJECT, "category_id": 90, "bbox": [0.5, 0, 99.5, 80.4]}],
    )
    found = read(tmp_path)
    assert found.labels == ("cat", "dog")
    assert told(found) == {
        "a.png": [("cat", [10.0, 20.0, 40.0, 60.0], True), ("dog", [0.5, 0.0, 100.0, 80.0], False)],
        "b.png": [],
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": [{**OBJECT, "image_id": 8}]}, "annotation 5: there is no image 8"),
        ({"annotations": [{**OBJECT, "category_id": 4}]}, "annotation 5: there is no category 4"),
        ({"annotations": [{**OBJECT, "bbox": [1, 2, 3]}]}, "annotation 5: bbox: must be x, y, width and height in px"),
        ({"annotations": [{"image_id": 7, "category_id": 3}]}, "annotation number 0: bbox: must be"),
        ({"annotations": [7]}, "annotation number 0: must be keys and values, not 7"),
        ({"annotations": [{**OBJECT, "bbox": [90, 0, 20, 5]}]}, "annotation 5: its box .* reaches out of the picture"),
        ({"annotations": [{**OBJECT, "bbox": [9, 9, 0, 5]}]}, "annotation 5: its box .* has no area"),
        ({"images": [IMAGE, IMAGE]}, r"images: the id 7 is there twice, for a\.png and a\.png"),
        ({"images": [IMAGE, {**IMAGE, "id": 8}]}, r"images: a\.png is there twice, with the ids 7 and 8$"),
        ({"images": [IMAGE, {"id": 8}]}, "images: number 1: must have id, file_name, width and height"),
        (
            {"images": [{**IMAGE, "width": 80, "height": 100}]},
            r"a\.png: has 100x80 px, and its labels are of 80x100; if EXIF",
        ),
        ({"images": [IMAGE, {**IMAGE, "id": 8, "file_name": "c.png"}]}, r"c\.png: there is no such picture"),
        ({"categories": [{"id": 3}]}, "categories: must have an id and a name each"),
        (
            {"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]},
            "categories: the id 3 is there twice, as a and b",
        ),
        ({"categories": [{"id": 3, "name": "\t"}]}, "categories: 3: a class name must be printable text"),
        ({"categories": {}}, "are no labels of COCO's kind: these have the lists images, annotations, categories"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=said):
        read(coco(tmp_path / "labels.json", **changes))


def test_one_picture_that_is_missing_is_not_all_of_them(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    coco(tmp_path / "labels.json", images=[{**IMAGE, "id": 6, "file_name": "gone.png"}, IMAGE])
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'images' / 'gone.png'}: there is no such picture"


def test_a_broken_file_is_said_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels\.json:2: is no JSON \("):
        read(text(tmp_path / "labels.json", "{", "]"))
    (tmp_path / "labels.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"labels\.json: is no UTF-8 text"):
        read(tmp_path)
