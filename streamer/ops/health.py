"""Tell systemd that we live, and only while every thread does.

The notify protocol is one datagram to one socket; the libraries for it (sdnotify, cysystemd) are unmaintained or need a
compiler, so these lines are our own.
"""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock

_log = logging.getLogger(__name__)
_SEND_LIMIT_S = 1.0  # systemd's socket is full only while systemd hangs


@dataclass(frozen=True, slots=True)
class Notifier:
    """The service manager's ear, if there is one. Cheap: a socket lives for one message."""

    address: str | None = None  # a path, or `@name` in the abstract namespace; None: nobody listens
    watchdog_s: float | None = None  # systemd restarts us after so long without `watchdog()`

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Notifier:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as sd_notify(3) and sd_watchdog_enabled(3) do."""
        address = environ.get("NOTIFY_SOCKET") or None
        usec = environ.get("WATCHDOG_USEC", "")
        meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        watched = address is not None and meant and usec.isdecimal() and int(usec) > 0
        return cls(address=address, watchdog_s=int(usec) / 1e6 if watched else None)

    def ready(self) -> None:
        """Say that start-up is done."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def watchdog(self) -> None:
        """Say that all is well."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self.address is None:
            return
        path = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(_SEND_LIMIT_S)
                sock.sendto(message.encode(), path)
        except OSError as exc:
            # Nothing else can be done; if it lasts, the watchdog of systemd itself acts on it.
            _log.warning("systemd can't be told %s: %s", message.partition("=")[0], exc)


class Beats:
    """When each thread was last seen alive. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards the table; a beat itself takes no lock
        self._pulses: dict[str, _Pulse] = {}

    def register(self, name: str, limit_s: float) -> Callable[[], None]:
        """Expect thread `name` to beat at least every `limit_s`; the returned function is its beat.

        Registering a name again begins anew.
        """
        pulse = _Pulse(self._clock, round(limit_s * NS_PER_S))
        with self._lock:
            self._pulses[name] = pulse
        return pulse.beat

    def retire(self, name: str) -> None:
        """Expect nothing of `name` any more: its thread has ended as it should."""
        with self._lock:
            self._pulses.pop(name, None)

    def renew(self) -> None:
        """Begin anew for everyone, as if each had just been registered."""
        with self._lock:
            pulses = list(self._pulses.values())
        for pulse in pulses:
            pulse.beat()

    def late(self, now_ns: int) -> list[str]:
        """Return the threads that have been silent for longer than they may, in order of registration."""
        with self._lock:
            pulses = list(self._pulses.items())
        return [name for name, pulse in pulses if now_ns - pulse.last_ns > pulse.limit_ns]


class _Pulse:
    __slots__ = ("_clock", "last_ns", "limit_ns")

    def __init__(self, clock: Clock, limit_ns: int) -> None:
        self._clock = clock
        self.limit_ns = limit_ns
        self.last_ns = clock.monotonic_ns()

    def beat(self) -> None:
        self.last_ns = self._clock.monotonic_ns()


class Watchdog:
    """Feeds systemd's watchdog while every thread beats. Used by the main thread alone."""

    def __init__(self, notifier: Notifier, beats: Beats, clock: Clock) -> None:
        self._notifier = notifier
        self._beats = beats
        self._clock = clock
        self._fed_ns: int | None = None
        self._late: list[str] = []

    def check(self) -> list[str]:
        """Feed if it is time and all beat; return the threads that do not. Call it once a second.

        systemd advises half of its limit; a change of who is silent is logged once.
        """
        now_ns = self._clock.monotonic_ns()
        late = self._beats.late(now_ns)
        if late != self._late:
            if late:
                _log.error("no sign of life from: %s", ", ".join(late))
            else:
                _log.info("every thread shows life again")
            self._late = late
        limit_s = self._notifier.watchdog_s
        due = limit_s is not None and (self._fed_ns is None or now_ns - self._fed_ns >= limit_s / 2 * NS_PER_S)
        if due and not late:
            self._fed_ns = now_ns
            self._notifier.watchdog()
        return late
