from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from streamer.core.redact import redact
from streamer.settings.address import BrokerAddress, BrokerField, Source, SourceField

SOURCE: TypeAdapter[Source] = TypeAdapter(SourceField)
BROKER: TypeAdapter[BrokerAddress] = TypeAdapter(BrokerField)


def source(text: object) -> Source:
    return SOURCE.validate_python(text, context={"folder": "/etc/streamer"})


@pytest.mark.parametrize(
    ("text", "kind", "live"),
    [
        ("rtsp://user:pw@192.0.2.20:554/stream2", "rtsp", True),
        ("rtsps://cam.example/x", "rtsp", True),
        ("RTSP://cam/x", "rtsp", True),
        ("rtsp://[2001:db8::1]:554/x", "rtsp", True),
        ("rtsp://user:p@ss@h/x", "rtsp", True),
        ("http://h/video.mjpg?x=1", "http", True),
        ("https://h/", "http", True),
        ("/dev/video0", "v4l2", True),
        ("usb:0", "usb", True),
        ("csi:1", "csi", True),
        ("gst:videotestsrc ! video/x-raw", "gst", True),
        ("synthetic:shapes", "synthetic", True),
        ("synthetic:shapes?seed=1&pace=fast&seconds=2", "synthetic", False),
        ("clips/a b.mp4", "file", False),
        ("a:b.mp4", "file", False),
    ],
)
def test_kinds(text: str, kind: str, live: bool) -> None:  # noqa: FBT001  a column of the table
    assert (source(text).kind, source(text).live) == (kind, live)


def test_files_are_absolute_and_the_rest_is_as_written() -> None:
    assert source("clips/a.mp4").reveal() == "/etc/streamer/clips/a.mp4"
    assert source("/clips/a.mp4").reveal() == "/clips/a.mp4"
    assert source(" usb:0\n").reveal() == "usb:0"
    assert source("rtsp://u:p@h/x").reveal() == "rtsp://u:p@h/x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rstp://u:hunter2@h/x",
        "rtsp:/u:hunter2@h/x",
        "rtsp:u:hunter2@h",
        "rtsp//u:hunter2@h",
        "rtsp://",
        "rtsp://u:hunter2@",
        "rtsp://u:hunter2@h:99999/x",
        "rtsp://u:hunter2@h:0/x",
        "rtsp://u:hunter2/2@h/x",
        "rtsp://u:hunter2%@h/x",
        "rtsp://u:hunter2@[::1/x",
        "rtsp://u:hun ter2@h/x",
        "usb:",
        "usb:x",
        "csi:-1",
        "gst: ",
        "synthetic:",
        "file:///x",
        "a\nb",
        None,
        [],
        {"rtsp": "x"},
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: object) -> None:
    with pytest.raises(ValidationError) as caught:
        source(text)

    (error,) = caught.value.errors()
    assert error["type"] == "refused"
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://user:hunter2@h/x",
        "//user:hunter2@h/x",  # a file, or an address whose beginning is missing
        "rtsp://user:hun/ter2@h/hunter2@x",
        "rtsp://user:a@hunter2@h/x",
        "rtsp://:hunter2@h/x",
        "tsp//user:hunter2@h/x",
        "http://h/v?user=a&pwd=hunter2&ch=1",
        "http://h/v?token=hunter2",
        "gst:rtspsrc location=rtsp://u:hunter2@h user-id=a user-pw=hunter2 ! decodebin",
        'gst:rtspsrc user-pw="hunter2 x" location="rtsp://u:hunter2@h/x" ! fakesink',
    ],
)
def test_secrets_are_not_shown(text: str) -> None:
    shown = redact(text)

    assert "hunter2" not in shown
    assert "ter2" not in shown
    assert "***" in shown
    assert "hunter2" not in f"{Source('rtsp', text)} {Source('rtsp', text)!r}"


def test_what_is_no_secret_is_shown() -> None:
    for text in ("rtsp://h:554/x?channel=1&subtype=0", "/dev/video0", "gst:videotestsrc ! x", "rtsp://user@h/x"):
        assert redact(text) == text
    assert redact("rtsp://user:hunter2@h/x?channel=1") == "rtsp://user:***@h/x?channel=1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://localhost", BrokerAddress("localhost", 1883, tls=False)),
        ("mqtt://192.0.2.1:1884/", BrokerAddress("192.0.2.1", 1884, tls=False)),
        ("mqtts://b.example", BrokerAddress("b.example", 8883, tls=True)),
        ("mqtt://[::1]:1885", BrokerAddress("::1", 1885, tls=False)),
        ("embedded", BrokerAddress("127.0.0.1", 0, tls=False, embedded=True)),
    ],
)
def test_brokers(text: str, expected: BrokerAddress) -> None:
    broker = BROKER.validate_python(text)

    assert broker == expected
    assert BROKER.validate_python(str(broker)) == expected


def test_a_login_in_the_brokers_address_is_decoded_and_hidden() -> None:
    broker = BROKER.validate_python("mqtt://ada:hunter%402@b")

    assert broker.username == "ada"
    assert broker.password is not None
    assert broker.password.get_secret_value() == "hunter@2"
    assert "hunter" not in f"{broker} {broker!r}"


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "mqtt:", "mqtt://", "http://b", "mqtt://b/x", "mqtt://b?x", "mqtt://b:0", "Embedded", None],
)
def test_what_is_no_broker_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match=r"must|needs"):
        BROKER.validate_python(text)
