"""Resolving a name, with a resolver that does not answer."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.container import open_container
from streamer.capture.resolve import resolve
from streamer.core.errors import EndOfStream, LostReason, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000_000
REAL = socket.getaddrinfo


def in_s(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * S)


class DeadResolver:
    """Answers names only when it is let go; numbers at once, as the real one."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0

    def __call__(self, host: str, port: int, *, flags: int = 0, **more: Any) -> Any:  # noqa: ANN401  getaddrinfo's own
        if not flags:
            self.asked += 1
            self.go.wait(10)
        return REAL(host if flags else "127.0.0.1", port, flags=flags, **more)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadResolver]:
    it = DeadResolver()
    monkeypatch.setattr(socket, "getaddrinfo", it)
    yield it
    it.go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("streamer-resolve"):
            thread.join(5)


def test_numbers_need_no_name_server(dead: DeadResolver) -> None:
    assert resolve("127.0.0.1", 554, stopping=lambda: False, deadline_ns=0)[0][4] == ("127.0.0.1", 554)
    assert dead.asked == 0


def test_names_are_resolved() -> None:
    addresses = {info[4][0] for info in resolve("localhost", 554, stopping=lambda: False, deadline_ns=in_s(5))}
    assert addresses & {"127.0.0.1", "::1"}


def test_a_dead_name_server_is_given_up_in_time_and_asked_once(dead: DeadResolver) -> None:
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(socket.gaierror, match="no name server answers in time"):
            resolve("camera.example", 554, stopping=lambda: False, deadline_ns=in_s(0.1))
        assert time.monotonic() - began < 1.0
    assert dead.asked == 1
    dead.go.set()
    infos = resolve("camera.example", 554, stopping=lambda: False, deadline_ns=in_s(5))
    assert infos[0][4] == ("127.0.0.1", 554)


@pytest.mark.usefixtures("dead")
def test_a_stop_need_not_wait_for_it() -> None:
    with pytest.raises(EndOfStream):
        resolve("camera.example", 554, stopping=lambda: True, deadline_ns=in_s(60))


@pytest.mark.usefixtures("dead")
def test_ffmpeg_is_not_asked_before_the_name_is_known() -> None:
    spec = SourceSpec(
        camera="cam", url="http://camera.example/stream.mjpg", delivery=Delivery.NEWEST, open_timeout_s=0.1
    )
    with pytest.raises(SourceError) as caught:
        open_container(spec, stopping=lambda: False)
    assert caught.value.reason is LostReason.DNS
