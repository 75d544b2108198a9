from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from streamer.core.errors import LostReason, SourceError
from streamer.ops import log as log_module
from streamer.ops.log import StderrHandler, log_thread_faults, setup

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hunter2"  # noqa: S105  made up
URL = f"rtsp://admin:{SECRET}@192.0.2.20/stream1"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = [log_module.OURS, *log_module._QUIET, "av", "websockets"]
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_line_reads_time_level_camera_message(capsys: pytest.CaptureFixture[str]) -> None:
    setup()
    logging.getLogger("streamer.pipeline.capture_loop").info("online: %dx%d", 1280, 720, extra={"camera": "porch"})
    logging.getLogger("streamer.app").warning("nothing to do")
    first, second = lines(capsys)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} INFO  porch  online: 1280x720", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} WARN  nothing to do", second)


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    setup(as_json=True)
    logging.getLogger("streamer.x").info('a "quoted"\nsecond line', extra={"camera": "porch"})
    (line,) = lines(capsys)
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "info",
        "logger": "streamer.x",
        "camera": "porch",
        "message": 'a "quoted"\nsecond line',
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_no_password_leaves(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    setup(as_json=as_json)
    log = logging.getLogger("streamer.x")
    log.warning("can't open %s", URL)
    log.warning("object %r", {"url": URL})
    log.warning("lost", exc_info=SourceError(LostReason.LOGIN, URL))
    fault = RuntimeError(f"while opening {URL}")
    fault.__cause__ = OSError(5, "Input/output error", URL)
    log.error("fault at %s", URL, exc_info=fault)
    logging.getLogger("urllib3").error("GET %s failed", URL)
    text = "\n".join(lines(capsys))
    assert text.count("admin:***@192.0.2.20") >= 6
    assert SECRET not in text


@pytest.mark.parametrize("as_json", [False, True])
def test_only_a_fault_of_ours_has_a_traceback(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    setup(as_json=as_json)
    log = logging.getLogger("streamer.x")
    log.error("camera lost", exc_info=SourceError(LostReason.FROZEN, "no packet for 3 s"))
    (expected,) = lines(capsys)
    assert "camera lost: no packet for 3 s" in expected
    assert "Traceback" not in expected
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("it broke")
    fault = lines(capsys)
    text = json.loads(fault[0])["traceback"] if as_json else "\n".join(fault)
    assert "Traceback" in text
    assert "ZeroDivisionError" in text
    if not as_json:  # no line of a traceback, or of a message, can pass for a record
        assert all(line.startswith("    ") for line in fault[1:])


def test_third_parties_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    setup(level=logging.DEBUG)
    logging.getLogger("websockets.server").info("hello")
    logging.getLogger("amqtt.broker").error("a client went away")
    logging.getLogger("libav.rtsp").error("method DESCRIBE failed")
    logging.getLogger("websockets.server").warning("odd")
    logging.getLogger("streamer.x").debug("detail")
    texts = [line.split(" ", 1)[1] for line in lines(capsys)]
    assert texts == ["WARN  websockets.server  odd", "DEBUG detail"]


def test_setup_again_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    setup()
    setup(as_json=True)
    logging.getLogger("streamer.x").info("once")
    (line,) = lines(capsys)
    assert json.loads(line)["message"] == "once"
    assert sum(isinstance(h, StderrHandler) for h in logging.getLogger().handlers) == 1


def test_lines_follow_stderr_to_whoever_took_it(monkeypatch: pytest.MonkeyPatch) -> None:
    setup()
    taken = io.StringIO()
    monkeypatch.setattr(sys, "stderr", taken)
    logging.getLogger("streamer.x").info("above the table")
    assert taken.getvalue().endswith("above the table\n")


def test_a_thread_of_a_third_party_that_dies_is_logged_redacted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    setup()
    log_thread_faults()

    def die() -> None:
        raise RuntimeError(f"at {URL}")

    thread = threading.Thread(target=die, name="vendor-1")
    thread.start()
    thread.join(timeout=5)
    text = "\n".join(lines(capsys))
    assert "ERROR thread vendor-1 died" in text
    assert "RuntimeError: at rtsp://admin:***@192.0.2.20/stream1" in text
    assert SECRET not in text


def test_a_record_that_cannot_be_formatted_ends_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    setup()
    logging.getLogger("streamer.x").info("%d cameras", "three")
    assert lines(capsys) == []
