from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from streamer.core.clock import FakeClock
from streamer.ops.health import Beats, Notifier, Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    """Listen as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + address[1:] if address.startswith("@") else address)
        sock.settimeout(2.0)
        yield sock


def received(sock: socket.socket) -> list[str]:
    sock.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(sock.recv(4096).decode())
    except BlockingIOError:
        return messages


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_each_message(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@streamer-test-{os.getpid()}"
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": address}, os.getpid())
    with systemd(address) as sock:
        notifier.ready()
        notifier.status("3 of 4 cameras online\nREADY=1")  # a line break must not smuggle in another message
        notifier.watchdog()
        notifier.stopping()
        assert received(sock) == ["READY=1", "STATUS=3 of 4 cameras online READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier.from_environ({}, 1)
    notifier.ready()
    assert notifier == Notifier(address=None, watchdog_s=None)


def test_a_socket_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(address=str(tmp_path / "gone")).ready()
    assert "systemd can't be told READY" in caplog.text


@pytest.mark.parametrize(
    ("environ", "limit_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),  # meant for another process
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_read_as_sd_watchdog_enabled_does(environ: dict[str, str], limit_s: float | None) -> None:
    assert Notifier.from_environ({"NOTIFY_SOCKET": "/run/x", **environ}, 77).watchdog_s == limit_s


def test_a_thread_is_late_after_its_own_limit() -> None:
    clock = FakeClock()
    beats = Beats(clock)
    beat_infer = beats.register("infer", 10.0)
    beats.register("capture-porch", 5.0)
    assert beats.late(clock.monotonic_ns()) == []
    clock.advance(6.0)
    beat_infer()
    assert beats.late(clock.monotonic_ns()) == ["capture-porch"]
    clock.advance(11.0)
    assert beats.late(clock.monotonic_ns()) == ["infer", "capture-porch"]
    beats.retire("capture-porch")
    beats.retire("capture-porch")
    beat_infer()
    assert beats.late(clock.monotonic_ns()) == []


def test_after_a_long_preparation_everyone_begins_anew() -> None:
    clock = FakeClock()
    beats = Beats(clock)
    beats.register("capture-a", 30.0)
    clock.advance(600.0)
    assert beats.late(clock.monotonic_ns()) == ["capture-a"]
    beats.renew()
    assert beats.late(clock.monotonic_ns()) == []


def test_a_thread_that_registers_again_begins_anew() -> None:
    clock = FakeClock()
    beats = Beats(clock)
    old = beats.register("capture-porch", 5.0)
    clock.advance(6.0)
    beats.register("capture-porch", 5.0)
    assert beats.late(clock.monotonic_ns()) == []
    clock.advance(6.0)
    old()  # the thread of before can't speak for the new one
    assert beats.late(clock.monotonic_ns()) == ["capture-porch"]


def test_the_watchdog_is_fed_at_half_its_limit_only_while_all_beat(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="streamer")
    clock = FakeClock()
    beats = Beats(clock)
    beat = beats.register("infer", 5.0)
    address = str(tmp_path / "notify")
    watchdog = Watchdog(Notifier(address=address, watchdog_s=10.0), beats, clock)
    with systemd(address) as sock:
        for _ in range(20):
            beat()
            assert watchdog.check() == []
            clock.advance(1.0)
        assert received(sock) == ["WATCHDOG=1"] * 4  # at 0, 5, 10 and 15 s
        for _ in range(10):
            clock.advance(1.0)
            late = watchdog.check()
        assert late == ["infer"]
        assert received(sock) == ["WATCHDOG=1"]  # at 21 s, while it was not late yet
        assert caplog.text.count("no sign of life from: infer") == 1
        beat()
        assert watchdog.check() == []
        assert received(sock) == ["WATCHDOG=1"]
        assert caplog.text.count("shows life again") == 1


def test_without_a_watchdog_silence_is_still_named() -> None:
    clock = FakeClock()
    beats = Beats(clock)
    beats.register("publish", 5.0)
    watchdog = Watchdog(Notifier(), beats, clock)
    clock.advance(5.1)
    assert watchdog.check() == ["publish"]
