from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.settings.substitute import substitute

ENVIRON = {"PW": "p@ss:w/rd%?#", "HOST": "192.0.2.1:8554", "EMPTY": "", "PATH_": "live/main", "NEST": "${PW}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${HOST}", "192.0.2.1:8554"),
        ("a${HOST}b${EMPTY}c", "a192.0.2.1:8554bc"),
        ("${NONE:-fall back}", "fall back"),
        ("${EMPTY:-fall back}", "fall back"),
        ("${NONE:-}", ""),
        ("$HOST $$ $ {x} }", "$HOST $$ $ {x} }"),
        ("${NEST}", "${PW}"),  # a value is not looked into again
    ],
)
def test_text(text: str, expected: str) -> None:
    assert substitute(text, ENVIRON, in_address=False) == (expected, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://user:${PW}@h/x", "rtsp://user:p%40ss%3Aw%2Frd%25%3F%23@h/x"),
        ("rtsp://${PW}:${PW}@${HOST}/x", "rtsp://p%40ss%3Aw%2Frd%25%3F%23:p%40ss%3Aw%2Frd%25%3F%23@192.0.2.1:8554/x"),
        ("rtsp://u:${NONE:-a/b@c}@h/x", "rtsp://u:a%2Fb%40c@h/x"),
        ("rtsp://h/${PATH_}", "rtsp://h/live/main"),
        ("http://h/v?pwd=${PW}&x=1", "http://h/v?pwd=p%40ss%3Aw%2Frd%25%3F%23&x=1"),
        ("${NONE:-rtsp://u:p@h/x}", "rtsp://u:p@h/x"),  # the address itself
        (
            "gst:rtspsrc location=rtsp://h/x user-pw=${PW} ! x",
            "gst:rtspsrc location=rtsp://h/x user-pw=p@ss:w/rd%?# ! x",
        ),
        ('gst:rtspsrc location="rtsp://u:${PW}@h/x"', 'gst:rtspsrc location="rtsp://u:p%40ss%3Aw%2Frd%25%3F%23@h/x"'),
        ("${PATH_}.mp4", "live/main.mp4"),
    ],
)
def test_inside_addresses_values_are_percent_encoded(text: str, expected: str) -> None:
    assert substitute(text, ENVIRON, in_address=True) == (expected, ())


@pytest.mark.parametrize("text", ["${NONE}", "a ${NONE} b"])
def test_unset_without_default(text: str) -> None:
    _, wrong = substitute(text, ENVIRON, in_address=False)

    assert len(wrong) == 1
    assert "NONE is not set" in wrong[0]


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:b}", "${A:-${PW}}", "${A B}"])
def test_malformed(text: str) -> None:
    same, wrong = substitute(text, ENVIRON, in_address=False)

    assert same == text
    assert len(wrong) == 1
    assert "${NAME:-default}" in wrong[0]


def test_bytes_that_are_no_text() -> None:
    _, wrong = substitute("rtsp://${PW}@h", {"PW": "caf\udce9"}, in_address=True)

    assert "not UTF-8" in wrong[0]


@given(
    st.text(alphabet="ab${}:-/@?N_ \"'", max_size=40), st.text(st.characters(codec="utf-8"), max_size=10), st.booleans()
)
def test_any_text_gives_a_text_and_never_a_value_in_a_sentence(text: str, value: str, in_address: bool) -> None:  # noqa: FBT001  drawn
    _, wrong = substitute(text, {"N": f"<<{value}>>"}, in_address=in_address)

    assert "<<" not in "".join(wrong)
