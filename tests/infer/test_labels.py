"""Class names: the list that ships, and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import ConfigError
from streamer.core.names import canonical, needs_alias
from streamer.infer.labels import load_labels

if TYPE_CHECKING:
    from pathlib import Path


def test_coco80_has_the_spelling_of_ultralytics() -> None:
    names = load_labels("coco80")
    assert len(names) == len(set(names)) == 80
    assert (names[0], names[3], names[4], names[79]) == ("person", "motorcycle", "airplane", "toothbrush")


def test_coco80_matches_the_spelling_of_darknet(shared_data: Path) -> None:
    darknet = load_labels(str(shared_data / "models" / "coco80.txt"))
    assert [canonical(n) for n in darknet] == [canonical(n) for n in load_labels("coco80")]


def test_a_file_holds_one_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "parcels.txt"
    path.write_bytes("\ufeffbox\r\n kraft bag \r\nBrief für dich\r\n\r\n".encode())
    assert load_labels(str(path)) == ("box", "kraft bag", "Brief für dich")
    assert load_labels("parcels.txt", beside=tmp_path) == ("box", "kraft bag", "Brief für dich")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"box\n\nbag\n", ":2: a class name must be printable"),
        (b"box\nb\x00ag\n", ":2: a class name must be printable"),
        (b"box\n" + b"x" * 201, ":2: a class name has at most 200 characters, not 201"),
        (b"\xff\xfeb\x00", "no UTF-8 text"),
        (b"x\n" * 600_000, "over 1000 kB"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_labels(str(path))


@pytest.mark.parametrize("named", ["missing.txt", ".", "a\0b", "x" * 300])
def test_a_file_that_is_none_is_named(named: str) -> None:
    with pytest.raises(ConfigError, match="labels: "):
        load_labels(named)


def test_imagenet_has_the_short_names_of_torchvision() -> None:
    names = load_labels("imagenet1000")
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[1], names[285], names[948]) == ("tench", "goldfish", "Egyptian cat", "Granny Smith")
    assert not any(needs_alias(name) or "," in name for name in names)


def test_imagenet_has_the_usual_order(shared_data: Path) -> None:
    lines = (shared_data / "models" / "imagenet1000.txt").read_text().splitlines()
    clearer = {134: "crane bird", 639: "maillot tank suit"}  # two others have the plain name
    for place, (name, synonyms) in enumerate(zip(load_labels("imagenet1000"), lines, strict=True)):
        assert clearer.get(place) == name or name in synonyms.split(", "), place
