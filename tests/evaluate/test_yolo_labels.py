"""Rows of YOLO's label files, and what can be wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from labelled_folders import picture, read, text, told
from PIL import Image

from streamer.core.errors import ConfigError
from streamer.evaluate.boxes import picture_size
from streamer.stills import load_picture

if TYPE_CHECKING:
    from pathlib import Path


def folder(tmp_path: Path, *rows: str) -> Path:
    """Write one picture of 100x80 px with these rows."""
    text(tmp_path / "classes.txt", "cat", "dog")
    picture(tmp_path / "images" / "a.png")
    text(tmp_path / "labels" / "a.txt", *rows)
    return tmp_path


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ("0 0.5 0.5 0.2 0.25", ("cat", [40.0, 30.0, 60.0, 50.0], False)),
        ("1.0 0.1 0.125 0.2 0.25", ("dog", [0.0, 0.0, 20.0, 20.0], False)),
        ("1 0.1 0.1 0.5 0.2 0.3 0.75", ("dog", [10.0, 8.0, 50.0, 60.0], False)),  # a triangle
        ("0 0.1 0.5 0.205 1.0", ("cat", [0.0, 0.0, 20.25, 80.0], False)),  # reaches out by a quarter of a px: cut
    ],
)
def test_a_row_gives_a_box_in_px(tmp_path: Path, row: str, seen: tuple[str, list[float], bool]) -> None:
    assert told(read(folder(tmp_path, "", row, "  "))) == {"a.png": [seen]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0 0.5 0.5 0.2", "must be a class and 4 numbers (centre, size) or the points of a polygon, not 4 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.9", "not 6 numbers"),
        ("0 0.1 0.1 0.5 0.2 0.3 0.7 0.8", "not 8 numbers"),
        ("cat 0.5 0.5 0.2 0.2", "must be numbers, not 'cat 0.5 0.5 0.2 0.2'"),
        ("2 0.5 0.5 0.2 0.2", "class 2 is none of 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "class -1 is none of 0 to 1"),
        ("0.5 0.5 0.5 0.2 0.2", "class 0.5 is none of 0 to 1"),
        ("0 0.95 0.5 0.2 0.2", "its box (85.0, 32.0, 105.0, 48.0) reaches out of the picture of 100x80 px"),
        ("0 50 40 20 20", "reaches out of the picture of 100x80 px; sides are shares of the picture's, 0 to 1"),
        ("0 0.5 0.5 0 0.2", "its box (50.0, 32.0, 50.0, 48.0) has no area"),
        ("0 0.5 0.5 -0.1 0.2", "has no area"),
        ("0 0.5 nan 0.1 0.2", "its box must be made of finite numbers"),
        ("0 0.1 0.1 nan 0.2 0.3 0.75", "its box must be made of finite numbers"),
    ],
)
def test_a_wrong_row_is_said_with_file_and_line(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder(tmp_path, "0 0.5 0.5 0.2 0.2", row))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'labels' / 'a.txt'}:2: ")
    assert message.endswith(said)
    assert "\n" not in message


def test_a_picture_without_label_file_has_no_objects(tmp_path: Path) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    picture(tmp_path / "images" / "b.png")
    found = read(tmp_path)
    assert told(found)["b.png"] == []
    assert found.pictures[1].boxes.shape == (0, 4)


def test_labels_without_a_picture_are_told(tmp_path: Path) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    text(tmp_path / "labels" / "gone.txt", "0 0.5 0.5 0.2 0.25")
    text(tmp_path / "labels" / "classes.txt", "cat", "dog")
    with pytest.raises(ConfigError, match=r"gone\.txt: there is no picture of this name in .*images$"):
        read(tmp_path)


def test_copies_in_hidden_folders_are_no_pictures_and_no_labels(tmp_path: Path) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    picture(tmp_path / "images" / ".ipynb_checkpoints" / "a-checkpoint.png")
    text(tmp_path / "labels" / ".ipynb_checkpoints" / "b-checkpoint.txt", "9")
    assert list(told(read(tmp_path))) == ["a.png"]


def test_a_picture_in_two_places_is_told(tmp_path: Path) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    text(tmp_path / "data.yaml", "val: [images, images]", "names: [cat]")
    with pytest.raises(ConfigError, match=r"images/a\.png: is named 2 times: "):
        read(tmp_path)


@pytest.mark.parametrize("rows", [b"\xef\xbb\xbf1 0.5 0.5 2e-1 0.25\r\n\r\n", b"1\t.5  .5 0.20 0.25", b""])
def test_rows_as_other_systems_write_them(tmp_path: Path, rows: bytes) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    picture(tmp_path / "images" / "größe.PNG")
    (tmp_path / "labels" / "größe.txt").write_bytes(rows)
    assert told(read(tmp_path))["größe.PNG"] == [("dog", [40.0, 30.0, 60.0, 50.0], False)] * bool(rows)


def test_faults_of_a_list_are_told_with_its_lines(tmp_path: Path) -> None:
    folder(tmp_path, "0 0.5 0.5 0.2 0.25")
    file = text(tmp_path / "val.txt", "images/a.png", "", "images/gone.png", "notes.md", "./images/a.png")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{file}:3: there is no picture {tmp_path / 'images' / 'gone.png'}",
        f"{file}:4: must be the path of a picture, not 'notes.md'",
        f"{file}:5: ./images/a.png stands in line 1 already",
    ]


def test_what_is_no_picture_is_told_and_of_many_faults_the_first_and_their_number(tmp_path: Path) -> None:
    folder(tmp_path, *["9 0.5 0.5 0.2 0.25"] * 30)
    (tmp_path / "images" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path / 'images' / '0.png'}: is no picture that can be read"
    assert len(lines) == 21
    assert lines[-1] == "and 11 more like these"


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
def test_the_size_is_read_without_decoding(tmp_path: Path, suffix: str) -> None:
    assert picture_size(picture(tmp_path / f"a.{suffix}", size=(60, 40))) == (60, 40)


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Labels are of the size that is read, boxes of the size that is decoded: one and the same."""
    assert picture_size(path) == size
    assert load_picture(path).shape[1::-1] == size


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(("turn", "size"), [(3, (60, 40)), (6, (40, 60)), (8, (40, 60))])
def test_pictures_of_all_kinds_are_turned_as_they_are_decoded(
    tmp_path: Path, suffix: str, turn: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (60, 40)).save(tmp_path / f"a.{suffix}", exif=exif)
    check_size(tmp_path / f"a.{suffix}", size)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_xmp_turns_nothing(tmp_path: Path, suffix: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.new("RGB", (60, 40)).save(tmp_path / f"a.{suffix}", xmp=xmp)
    assert b"Orientation" in (tmp_path / f"a.{suffix}").read_bytes()
    check_size(tmp_path / f"a.{suffix}", (60, 40))


@pytest.mark.parametrize("exif", [b"", b"none at all", b"II*", b"II*\0\x08\0\0\0\x05\0", b"II*\0\xff\xff\0\0"])
def test_damaged_exif_turns_nothing_and_warns_of_nothing(tmp_path: Path, exif: bytes) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif)
    check_size(tmp_path / "a.jpg", (60, 40))


def test_the_size_is_that_of_the_picture_as_it_is_turned(tmp_path: Path) -> None:
    plain = cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    tiff = b"MM\x00*\x00\x00\x00\x08" + b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    assert picture_size(tmp_path / "turned.jpg") == (40, 60)
    decoded = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[:2] == (60, 40)
