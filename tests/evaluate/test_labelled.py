"""Labelled folders are recognised by what is there; where that leaves a doubt, nothing is guessed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from labelled_folders import coco, picture, read, text, told

from streamer.core.errors import ConfigError
from streamer.evaluate.saving import check_folder

if TYPE_CHECKING:
    from pathlib import Path

ROW = "1 0.5 0.5 0.2 0.25"
SEEN = [("dog", [40.0, 30.0, 60.0, 50.0], False)]  # in a picture of 100x80 px


def lists(folder: Path, *names: str) -> Path:
    """Write the layout of lists: images, labels, classes.txt and a list for each split, a picture each."""
    text(folder / "classes.txt", "cat", "dog")
    for name in names:
        picture(folder / "images" / f"{name}.png")
        text(folder / "labels" / f"{name}.txt", ROW)
        text(folder / f"{name}.txt", f"images/{name}.png")
    return folder


def test_lists_and_a_file_of_names(tmp_path: Path) -> None:
    found = read(lists(tmp_path, "train", "val"))
    assert found.labels == ("cat", "dog")
    assert found.task == "detect"
    assert told(found) == {"val.png": SEEN}
    assert told(read(tmp_path, "train")) == {"train.png": SEEN}


def test_test_pictures_come_before_val_and_valid_is_val(tmp_path: Path) -> None:
    assert list(told(read(lists(tmp_path / "a", "train", "valid", "test")))) == ["test.png"]
    assert list(told(read(lists(tmp_path / "b", "train", "valid")))) == ["valid.png"]
    assert list(told(read(tmp_path / "a", "val"))) == ["valid.png"]


def test_training_pictures_are_only_read_by_name(tmp_path: Path) -> None:
    lists(tmp_path, "train")
    with pytest.raises(ConfigError, match=r"only what models are trained on is there; --split chooses: train$"):
        read(tmp_path)
    assert list(told(read(tmp_path, "train"))) == ["train.png"]


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    lists(tmp_path, "train", "val")
    with pytest.raises(ConfigError, match=r"--split test: .* has none of this name, only val, train$"):
        read(tmp_path, "test")


def test_folders_of_images_with_and_without_splits(tmp_path: Path) -> None:
    for name in ("train", "val"):
        picture(tmp_path / "a" / "images" / name / "p.png")
        text(tmp_path / "a" / "labels" / name / "p.txt", ROW)
    picture(tmp_path / "b" / "images" / "p.png")
    text(tmp_path / "b" / "labels" / "p.txt", ROW)
    picture(tmp_path / "c" / "test" / "images" / "p.png")
    text(tmp_path / "c" / "test" / "labels" / "p.txt", ROW)
    for folder in ("a", "b", "c"):
        text(tmp_path / folder / "classes.txt", "cat", "dog")
        assert told(read(tmp_path / folder)) == {"p.png": SEEN}
    with pytest.raises(ConfigError, match=r"--split val: .* has no splits; leave it out"):
        read(tmp_path / "b", "val")


@pytest.mark.parametrize(
    ("where", "entry", "root"),
    [
        ("images/val", "images/val", None),
        ("images/val", "images/val", "."),
        ("set/images/val", "images/val", "set"),
        ("valid/images", "../valid/images", None),  # as Roboflow exports it
    ],
)
def test_a_yaml_file_says_where_pictures_are(tmp_path: Path, where: str, entry: str, root: str | None) -> None:
    picture(tmp_path / where / "p.png")
    text(tmp_path / where.replace("images", "labels") / "p.txt", ROW)
    lines = [f"val: {entry}", "names: {0: cat, 1: dog}", "nc: 2"]
    text(tmp_path / "data.yaml", *lines, *([f"path: {root}"] if root else []))
    assert told(read(tmp_path)) == {"p.png": SEEN}
    assert told(read(tmp_path / "data.yaml")) == {"p.png": SEEN}


def test_a_yaml_file_may_name_lists_and_several_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "images" / f"{name}.png")
        text(tmp_path / name / "labels" / f"{name}.txt", ROW)
    text(tmp_path / "all.txt", "./a/images/a.png")
    text(tmp_path / "data.yaml", "test: [all.txt, b/images]", "names: [cat, dog]")
    assert told(read(tmp_path)) == {"a.png": SEEN, "b.png": SEEN}


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_val2017.json", "images"),
        ("annotations/labels.json", "."),
        ("valid/_annotations.coco.json", "valid"),
        ("labels.json", "."),
        ("labels.json", "images"),
    ],
)
def test_coco_files_and_where_their_pictures_lie(tmp_path: Path, labels: str, where: str) -> None:
    file = coco(tmp_path / labels)
    picture(tmp_path / where / "a.png")
    found = read(tmp_path)
    assert found.labels == ("person", "tooth brush")
    assert told(found) == {"a.png": [("tooth brush", [10.0, 20.0, 40.0, 60.0], False)]}
    assert told(read(file)) == told(found)


def test_coco_splits_are_told_by_their_files(tmp_path: Path) -> None:
    for name in ("train2017", "val2017"):
        coco(tmp_path / "annotations" / f"instances_{name}.json")
        text(tmp_path / "annotations" / f"captions_{name}.json", "{}")
        picture(tmp_path / name / "a.png")
    assert read(tmp_path).pictures[0].path.parent.name == "val2017"
    assert read(tmp_path, "val").pictures[0].path.parent.name == "val2017"
    assert read(tmp_path, "train2017").pictures[0].path.parent.name == "train2017"


def test_another_year_is_another_split(tmp_path: Path) -> None:
    coco(tmp_path / "annotations" / "instances_val2014.json")
    picture(tmp_path / "val2014" / "a.png")
    with pytest.raises(ConfigError, match=r"--split val2017: .* has none of this name, only val2014$"):
        read(tmp_path, "val2017")
    assert list(told(read(tmp_path, "Val2014"))) == list(told(read(tmp_path, "val"))) == ["a.png"]


def test_coco_labels_beside_yolo_labels_without_names_are_read(tmp_path: Path) -> None:
    coco(tmp_path / "annotations" / "instances_val2017.json")
    picture(tmp_path / "images" / "val2017" / "a.png")
    text(tmp_path / "labels" / "val2017" / "a.txt", ROW)
    assert read(tmp_path).labels == ("person", "tooth brush")


def test_a_single_file_of_training_labels_is_only_read_by_name(tmp_path: Path) -> None:
    file = coco(tmp_path / "instances_train2017.json")
    picture(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="only what models are trained on is there; --split chooses: train2017"):
        read(tmp_path)
    assert list(told(read(tmp_path, "train"))) == list(told(read(file))) == ["a.png"]


def test_a_folder_for_each_class_with_and_without_splits(tmp_path: Path) -> None:
    for part in (".", "train", "val"):
        for name in ("ripe", "green"):
            picture(tmp_path / ("plain" if part == "." else "split") / part / name / "1.png")
    for folder in ("plain", "split"):
        found = read(tmp_path / folder)
        assert found.task == "classify"
        assert found.labels == ("green", "ripe")
        assert [(one.path.parent.name, one.class_ids.tolist()) for one in found.pictures] == [
            ("green", [0]),
            ("ripe", [1]),
        ]
        assert all(one.boxes.shape == (0, 4) for one in found.pictures)


def test_two_that_fit_are_both_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    lists(tmp_path, "val")
    coco(tmp_path / "labels.json")
    picture(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"could be read in 2 ways, choose one: YOLO .*COCO") as caught:
        read(tmp_path)
    ways = re.findall(r"--data (\S+\.\w+)", str(caught.value).split("choose one")[1])
    assert [list(told(read(tmp_path / way))) for way in ways] == [["val.png"], ["a.png"]]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((), "holds no labelled pictures of a known layout; allowed are YOLO labels"),
        (
            ("images/a.png", "labels/a.txt"),
            "images and labels are there, but no names of classes: data.yaml or classes.txt",
        ),
        (("classes.txt",), "the names of classes are there, but no pictures"),
        (
            ("images/a.png", "labels/b.txt", "classes.txt"),
            r"a\.txt: there is no such file, and none for any other of 1",
        ),
        (("images/val/a.png", "labels/val/a.txt", "images/x/b.png", "images/y/c.png", "classes.txt"), None),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, made: tuple[str, ...], said: str | None) -> None:
    for name in made:
        (picture if name.endswith(".png") else text)(tmp_path / name)
    (tmp_path / "classes.txt").exists() and text(tmp_path / "classes.txt", "cat")
    if said is None:
        assert list(told(read(tmp_path))) == ["a.png"]
        return
    with pytest.raises(ConfigError, match=said):
        read(tmp_path)


def test_several_splits_of_unusual_names_must_be_chosen_from(tmp_path: Path) -> None:
    for name in ("x", "y"):
        picture(tmp_path / "images" / name / "p.png")
        text(tmp_path / "labels" / name / "p.txt", ROW)
    text(tmp_path / "classes.txt", "cat", "dog")
    with pytest.raises(ConfigError, match=r"none of them is called test or val; --split chooses: x, y$"):
        read(tmp_path)
    assert told(read(tmp_path, "y")) == {"p.png": SEEN}


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (("names: [a]",), r"data\.yaml: says of no pictures where they are; allowed are train, val, valid, test"),
        (("val: images", "nc: 3", "names: [a]"), r"data\.yaml: nc: is 3, but there are 1 names"),
        (("val: images", "names: {0: a, 2: b}"), r"names: must have the ids 0 to 1, without gaps"),
        (("val: images", "names: [yes, b]"), r"names: that of class 0 must be text, not True; quotes make it one"),
        (("val: images", "names: a"), r"names: must be a list of names"),
        (("val: nowhere", "names: [a]"), r"val: there is no nowhere, looked for as "),
        (
            ("val: images", "names: [a]", "kpt_shape: [4, 2]"),
            r"data\.yaml: kpt_shape: its labels hold key points; allo",
        ),
        (("val: 3", "names: [a]"), r"val: must be a folder or a list of pictures, not 3"),
        (("val: [", "names: x: y"), r"data\.yaml:2: is no YAML \("),
        (("- a",), r"data\.yaml: must be keys and values"),
    ],
)
def test_what_is_wrong_in_a_yaml_file_is_said(tmp_path: Path, yaml: tuple[str, ...], said: str) -> None:
    picture(tmp_path / "images" / "p.png")
    text(tmp_path / "data.yaml", *yaml)
    with pytest.raises(ConfigError, match=said):
        read(tmp_path)


def test_what_the_system_refuses_is_said(tmp_path: Path) -> None:
    place = tmp_path / ("long" * 100)
    with pytest.raises(ConfigError, match=r"--data \S+long: can't be read \(File name too long\)"):
        read(place)
    with pytest.raises(
        ConfigError, match=r"--save: \S+long is no folder that can be written to \(File name too long\)"
    ):
        check_folder(place)


def test_no_such_folder_and_a_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--data \S+none: there is no such folder"):
        read(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"is no data\.yaml, classes\.txt, JSON file or folder"):
        read(text(tmp_path / "a.csv", "1,2"))
