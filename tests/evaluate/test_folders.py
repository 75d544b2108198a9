"""Folders of classes, and folders that only look like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from labelled_folders import picture, read, text

from streamer.core.errors import ConfigError
from streamer.evaluate.folders import folder_layouts

if TYPE_CHECKING:
    from pathlib import Path


def test_a_class_without_a_picture_is_a_fault(tmp_path: Path) -> None:
    picture(tmp_path / "ripe" / "1.jpg")
    (tmp_path / "green").mkdir()
    with pytest.raises(ConfigError, match=r"green: holds no picture$"):
        read(tmp_path)


def test_hidden_folders_and_other_files_are_no_classes_and_no_pictures(tmp_path: Path) -> None:
    for name in ("ripe/1.jpg", "ripe/2.JPG", "green/1.jpg", ".cache/3.jpg", "green/.4.jpg"):
        picture(tmp_path / name)
    text(tmp_path / "green" / "notes.txt", "none")
    found = read(tmp_path)
    assert found.labels == ("green", "ripe")
    assert [one.path.name for one in found.pictures] == ["1.jpg", "1.jpg", "2.JPG"]


def test_splits_may_be_written_in_capitals(tmp_path: Path) -> None:
    for name in ("Training/ripe/1.jpg", "Test/ripe/2.jpg"):
        picture(tmp_path / name)
    assert [one.path.name for one in read(tmp_path).pictures] == ["2.jpg"]
    assert [one.path.name for one in read(tmp_path, "training").pictures] == ["1.jpg"]


@pytest.mark.parametrize("made", ["images/1.jpg", "train/1.jpg", "a/b/1.jpg", "labels/1.jpg"])
def test_other_folders_are_none_of_classes(tmp_path: Path, made: str) -> None:
    picture(tmp_path / "ripe" / "1.jpg")
    picture(tmp_path / made)
    assert folder_layouts(tmp_path) == []
