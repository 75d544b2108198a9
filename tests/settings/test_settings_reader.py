from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.settings.reader import MAX_BYTES, read
from streamer.settings.substitute import FromEnvironment

if TYPE_CHECKING:
    from streamer.settings.reader import Document, Raw


def reading(text: str, **environ: str) -> Document:
    return read(text.encode(), environ)


def only_problem(data: bytes) -> tuple[int, str]:
    document = read(data, {})
    assert len(document.wrong) == 1, document.wrong
    return document.wrong[0].line, document.wrong[0].sentence


@pytest.mark.parametrize(
    "text", ["on", "off", "yes", "no", "true", "007", "12:30", "1_000", "2026-11-21", "1e3", "0x1F"]
)
def test_scalars_stay_text(text: str) -> None:
    assert reading(f"a: {text}\n").values == {"a": text}


@pytest.mark.parametrize(("text", "value"), [("null", None), ("~", None), ("", None), ("'null'", "null"), ('""', "")])
def test_only_a_plain_null_is_nothing(text: str, value: Raw) -> None:
    assert reading(f"a: {text}\n").values == {"a": value}


def test_every_key_and_item_has_its_line() -> None:
    document = reading("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\ne: [1,\n  2]\n")

    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", "0"): 4,
        ("a", "c", "1"): 5,
        ("a", "c", "1", "d"): 5,
        ("e",): 6,
        ("e", "0"): 6,
        ("e", "1"): 7,
    }


def test_a_duplicate_key_is_told_with_both_lines_and_the_first_wins() -> None:
    document = reading("a: {b: 1, c: 2,\n b: 3}\n")

    assert document.values == {"a": {"b": "1", "c": "2"}}
    assert [(wrong.line, wrong.path) for wrong in document.wrong] == [(2, ("a", "b"))]
    assert "first in line 1" in document.wrong[0].sentence


def test_aliases_and_merges_are_followed_and_own_keys_win() -> None:
    document = reading("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd:\n  <<: [{x: 9}, *a]\n")

    assert document.wrong == ()
    assert document.values == {
        "a": {"x": "1", "y": "2"},
        "b": {"x": "1", "y": "2"},
        "c": {"x": "1", "y": "3"},
        "d": {"x": "9", "y": "2"},
    }
    assert document.lines["b",] == 2


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]

    line, sentence = only_problem("\n".join(lines).encode())

    assert 4 <= line <= 6
    assert "100000 values" in sentence


@pytest.mark.parametrize("text", ["a: " + "[" * 500 + "]" * 500, "a: " + "{b: " * 500 + "}" * 500, "[" * 100_000])
def test_deep_nesting_is_refused(text: str) -> None:
    line, sentence = only_problem(text.encode())

    assert line == 1
    assert "deep" in sentence


def test_depth_counts_through_aliases() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))

    line, sentence = only_problem(text.encode())

    assert 25 < line < 35
    assert "deep" in sentence


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", 1, "empty"),
        (b"# only a comment\n", 1, "empty"),
        (b"\xef\xbb\xbf", 1, "empty"),
        (b"a: 1\nb: \xff\xfe\n", 2, "UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "UTF-8"),
        (b"\x00\x01\x02", 1, "control character"),
        (b"a: 1\n\x7fELF", 2, "control character"),
        (b"- a\n- b\n", 1, "mapping"),
        (b"just text", 1, "mapping"),
        (b"null", 1, "mapping"),
        (b"a: 1\n---\nb: 2\n", 2, "second document"),
        (b"a: 1\nb: 'open\n", 2, "never closed"),
        (b"a:\n\t- b\n", 2, "tab"),
        (b"a: b: c\n", 1, "second `: `"),
        (b"a:\n  - b\n c: d\n", 3, "indentation"),
        (b"a: [1, 2\nb: 3\n", 2, "bracket"),
        (b"a: @b\n", 1, "quotes"),
        (b'a: "\\UFFFFFFFF"\n', 1, "does not exist"),
        (b'a: "\\q"\n', 1, "escape"),
        (b'a: "\\0"\n', 1, "control character"),
        (b'a: "\\ud800"\n', 1, "control character"),
        (b"%YAML 2.0\n---\na: 1\n", 1, "YAML"),
        (b"a: *b\n", 1, "alias"),
        (b"a: &a [*a]\n", 1, "alias"),
        (b"a: !!python/object:os.system x\n", 1, "tag"),
        (b"a: !secret x\n", 1, "tag"),
        (b"? [a, b]\n: c\n", 1, "plain text"),
        (b"a: {{ b }}\n", 1, "plain text"),
        (b"a: {<<: b}\n", 1, "merges mappings"),
        (b"a: 1\n" * MAX_BYTES, 1, "larger"),
    ],
)
def test_what_is_no_configuration_is_one_clear_problem(data: bytes, line: int, words: str) -> None:
    found, sentence = only_problem(data)

    assert (found, words in sentence) == (line, True), sentence


@pytest.mark.parametrize(
    "text",
    ["password: *hunter2", "password: !hunter2 x", "password: 'hunter2", "password hunter2: [", "password: @hunter2\n"],
)
def test_faults_of_syntax_repeat_nothing_of_the_line(text: str) -> None:
    document = reading(text)

    assert document.wrong
    assert "hunter2" not in str([wrong.sentence for wrong in document.wrong])


def test_values_with_variables_are_marked() -> None:
    document = reading("a: ${X}\nb: [1, 'x${X}']\nc: $X\n", X="5")

    assert document.values == {"a": "5", "b": ["1", "x5"], "c": "$X"}
    assert isinstance(document.values, dict)
    values = [document.values["a"], *(document.values["b"] or ()), document.values["c"]]
    assert [isinstance(value, FromEnvironment) for value in values] == [True, False, True, False]


def test_an_unset_variable_has_its_line() -> None:
    document = reading("a: 1\nb: ${NOWHERE}\n")

    assert [(wrong.line, wrong.path) for wrong in document.wrong] == [(2, ("b",))]
    assert "NOWHERE is not set" in document.wrong[0].sentence
