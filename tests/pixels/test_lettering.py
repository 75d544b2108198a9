"""Text on plates: every script is drawn rightly, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pixels.lettering import Lettering, showable

LETTERING = Lettering(20)


def written(text: str, size_px: int = 20) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    lettering = Lettering(size_px)
    width, height = lettering.plate_size(text)
    canvas = np.zeros((height, width, 3), np.uint8)
    lettering.write(canvas, text, (0, 0), (255, 255, 255))
    return canvas


@pytest.mark.parametrize(
    "name", ["person", "Fußgänger", "Größe", "行人", "自行車", "歩行者", "보행자", "Пешеход", "πεζός", "naïve café"]
)
def test_names_of_many_scripts_are_shown_as_they_are(name: str) -> None:
    assert showable(name) == name


@pytest.mark.parametrize("name", ["ÄÖÜg", "行人", "보행자", "Пешеход", "πεζός", "person 0.87", "#12", "…"])
@pytest.mark.parametrize("size_px", [12, 20, 77])
def test_text_stays_on_its_plate(name: str, size_px: int) -> None:
    canvas = written(name, size_px)
    rows, columns = np.nonzero(canvas.max(axis=2) > 100)
    assert len(rows)
    height, width = canvas.shape[:2]
    assert rows.min() >= 1
    assert rows.max() <= height - 2
    assert columns.min() >= 1
    assert columns.max() <= width - 2


def test_no_letter_is_a_question_mark() -> None:
    for a, b in [("ä", "?"), ("行", "?"), ("行", "人"), ("보", "?"), ("П", "?")]:
        one, other = written(a), written(b)
        assert one.shape != other.shape or (one != other).any()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("🚗", "automobile"),
        ("🚶‍♂️ crossing", "pedestrian ♂ crossing"),
        ("tram🚋", "tram tram car"),
        ("❤️", "heavy black heart"),
        ("e\u0301clair", "éclair"),
        ("two\nlines\tand  spaces ", "two lines and spaces"),
        ("a\x00b", "a b"),
        ("what?", "what?"),
        ("lone \ud800", "lone ?"),
    ],
)
def test_what_has_no_glyph_of_its_own_is_spelled_out(name: str, shown: str) -> None:
    assert showable(name) == shown


@pytest.mark.parametrize("name", ["คนเดินเท้า", "पैदल यात्री", "سيارة", "מכונית", "car סוס", "", " ", "\u200d"])  # noqa: RUF001  that is Hebrew
def test_a_script_that_would_be_misread_is_not_shown(name: str) -> None:
    assert showable(name) is None


@given(st.text(st.characters(codec=None), max_size=12))
def test_any_name_is_drawn_or_refused(name: str) -> None:
    text = showable(name)
    if text is not None:
        assert text == " ".join(text.split())
        assert written(text).any()


def test_plates_of_one_size_are_equally_high() -> None:
    assert len({LETTERING.plate_size(text)[1] for text in ("a", "Ög", "行人", "#1")}) == 1


def test_a_long_name_is_cut() -> None:
    name = "a very long name of a class " * 40
    cut = LETTERING.shortened(name, 200)
    assert cut.endswith("…")
    assert name.startswith(cut[:-1])
    assert 180 < LETTERING.plate_size(cut)[0] <= 200
    assert LETTERING.shortened("short", 200) == "short"
    assert LETTERING.shortened("short", 3) == ""
    narrow = "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
    assert LETTERING.plate_size(LETTERING.shortened(narrow, 100))[0] > 90
