"""Connecting, with a peer that does not answer: a stop need not wait for it."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from streamer.capture import rtsp_dialogue
from streamer.capture.reach import hide, reach
from streamer.capture.rtsp_dialogue import Dialogue
from streamer.core.errors import EndOfStream, LostReason, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = 1_000_000_000


def in_s(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * S)


def after(seconds: float) -> Callable[[], bool]:
    end_ns = in_s(seconds)
    return lambda: time.monotonic_ns() >= end_ns


@contextmanager
def deaf() -> Iterator[int]:
    """Give a port whose queue is full: what is sent there is lost, as with a host that is switched off."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_stop_ends_a_connect_that_nobody_answers() -> None:
    with deaf() as port:
        began = time.monotonic()
        with pytest.raises(EndOfStream):
            reach("127.0.0.1", port, stopping=after(0.2), deadline_ns=in_s(5))
        assert time.monotonic() - began < 0.7


def test_a_connect_that_nobody_answers_is_given_up_in_time() -> None:
    with deaf() as port:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            reach("127.0.0.1", port, stopping=lambda: False, deadline_ns=in_s(0.4))
        assert 0.35 < time.monotonic() - began < 1.0


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with deaf() as port, socket.create_server(("127.0.0.1", 0)) as good:
        places = [("127.0.0.1", port), good.getsockname()]
        infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
        with reach("camera", 554, stopping=lambda: False, deadline_ns=in_s(1)) as connection:
            assert connection.getpeername() == good.getsockname()


def test_a_stop_ends_a_handshake_that_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        plain = reach("127.0.0.1", port, stopping=lambda: False, deadline_ns=in_s(5))
        began = time.monotonic()
        with pytest.raises(EndOfStream):
            hide(plain, "127.0.0.1", stopping=after(0.2), deadline_ns=in_s(5))
        assert time.monotonic() - began < 0.7


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EHOSTUNREACH, LostReason.TIMEOUT),
        (errno.ENETUNREACH, LostReason.TIMEOUT),
        (errno.ECONNREFUSED, LostReason.REFUSED),
        (errno.EMFILE, LostReason.FAULT),
    ],
)
def test_a_host_that_is_off_gives_no_answer_and_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, code: int, reason: LostReason
) -> None:
    def fail(*_: object, **__: object) -> socket.socket:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(rtsp_dialogue, "reach", fail)
    dialogue = Dialogue("rtsp://192.0.2.1/cam", stopping=lambda: False)
    with pytest.raises(SourceError) as caught:
        dialogue.connect(deadline_ns=in_s(1))
    assert caught.value.reason is reason
