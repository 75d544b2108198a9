"""Events to a program: each is started with one event on its standard input, one after the other."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from streamer.core.redact import redact

from .courier import Answer, Courier, Later, Refused

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from pathlib import Path

    from streamer.core.clock import Clock

    from .base import Message

log = logging.getLogger(__name__)

_TICK_S = 0.05  # how often it is looked whether the program has ended, or its time
_GRACE_S = 0.3  # from the request to end to the kill
_GONE_S = 2.0  # for the system to take a killed program away
_PIPE_BYTES = 1 << 16  # what a pipe holds
_MOST_HEARD_BYTES = 4096  # kept of what it says on stderr: the end
_MOST_SAID = 200  # characters of that in a reason
# What a program needs to find its way, its sound and its screen. Nothing else: an environment may hold passwords.
_KEPT = frozenset(
    {
        *("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"),
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """What is run for an event."""

    name: str
    command: tuple[str, ...] = field(repr=False)  # a program and its arguments; no shell is asked
    environ: Mapping[str, str] = field(repr=False)  # all that it gets: see `clean_environment`
    timeout_s: float = 10.0
    folder: Path | None = None  # in which it runs; None: ours


class CommandSink(Courier):
    """A `Sink`. Exit code 0 is taken, any other a refusal, and so is a program that does not end in its time.

    One that can't be started is tried again, and nothing goes before it: that is no event's fault.
    """

    def __init__(self, options: CommandOptions, *, clock: Clock, rng: random.Random) -> None:
        """Store the parts; `start` starts."""
        super().__init__("command", options.name, clock=clock, rng=rng)
        self._options = options

    def _attempt(self, message: Message) -> Answer:
        options = self._options
        try:
            process = subprocess.Popen(  # noqa: S603  the user's own program, without a shell
                options.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=dict(options.environ),
                cwd=options.folder,
                start_new_session=True,  # a group of its own: all that it starts ends with it
            )
        except OSError as exc:
            what = exc.filename or options.command[0]  # the folder, perhaps
            return Later(reason=f"{what} can't be started: {exc.strerror or type(exc).__name__}")
        with _Talk(process, message.payload + b"\n") as talk:
            in_time = self._see_out(process, talk)
            if not in_time:
                _end(process)
            said = talk.last_words()
        if self._ending.is_set() and not in_time:
            return Later(reason="the run ended")
        if not in_time:
            return Refused(reason=f"{options.command[0]} did not end within {options.timeout_s:g} s{said}")
        return None if process.returncode == 0 else Refused(reason=f"{options.command[0]} {_end_of(process)}{said}")

    def _break_off(self) -> None:
        """The thread looks for the end itself, twenty times a second."""

    def _see_out(self, process: subprocess.Popen[bytes], talk: _Talk) -> bool:
        """Talk to a program until it has ended; False if its time was over before, or ours."""
        deadline_s = time.monotonic() + self._options.timeout_s
        while process.poll() is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._ending.is_set():
                return False
            if talk.over():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(_TICK_S, left_s))
            else:
                talk.step(min(_TICK_S, left_s))
        return True


class _Talk:
    """A program's stdin, written as fast as it reads, and the end of what it says on stderr.

    Neither is waited for: what it leaves running in the background may keep both open.
    """

    def __init__(self, process: subprocess.Popen[bytes], said: bytes) -> None:
        assert process.stdin is not None  # noqa: S101  pipes, see `_attempt`
        assert process.stderr is not None  # noqa: S101  likewise
        self._stdin: IO[bytes] = process.stdin
        self._stderr: IO[bytes] = process.stderr
        self._left = memoryview(said)
        self._heard = b""
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> _Talk:  # noqa: PYI034  typing.Self is younger than Python 3.10
        for pipe, way in ((self._stdin, selectors.EVENT_WRITE), (self._stderr, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, way)
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._stdin.close()
        self._stderr.close()

    def over(self) -> bool:
        """Whether both are closed: mostly since it has just ended."""
        return not self._selector.get_map()

    def step(self, timeout_s: float) -> None:
        """Write and read what is possible now, after at most `timeout_s`."""
        for key, _ in self._selector.select(timeout_s):
            over = not self._write() if key.fileobj is self._stdin else self._read() == b""
            if over:
                self._selector.unregister(key.fileobj)
                if key.fileobj is self._stdin:
                    self._stdin.close()  # the program sees the end of the event

    def last_words(self) -> str:
        """Return the last line that it said, as the end of a sentence."""
        self._read()  # once: what runs on in the background may say more for ever
        lines = self._heard.decode(errors="replace").strip().splitlines()
        shown = "".join(c for c in redact(lines[-1])[-_MOST_SAID:] if c.isprintable()) if lines else ""
        return f": {shown}" if shown else ""

    def _write(self) -> bool:
        """Write on; False once there is nothing left, or nobody who reads."""
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(self._left)

    def _read(self) -> bytes | None:
        """Read on; empty: nobody can say any more; None: nobody says anything now."""
        try:
            more = os.read(self._stderr.fileno(), _PIPE_BYTES)
        except BlockingIOError:
            return None
        self._heard = (self._heard + more)[-_MOST_HEARD_BYTES:]
        return more


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a program may see: where things are, and in which language; no secret of ours."""
    return {name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")}


def open_command(options: CommandOptions, *, clock: Clock, rng: random.Random) -> CommandSink:
    """Begin to run a program for events; whether it can be started is seen with the first."""
    sink = CommandSink(options, clock=clock, rng=rng)
    sink.start()
    return sink


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that runs, and all that it has started: first asked, then killed."""
    # It is not waited for before the kill: until then its number, which is its group's, is nobody else's.
    _signal_group(process, signal.SIGTERM)
    until_s = time.monotonic() + _GRACE_S
    while time.monotonic() < until_s and not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(_TICK_S / 5)
    _signal_group(process, signal.SIGKILL)
    try:
        process.wait(_GONE_S)
    except subprocess.TimeoutExpired:
        log.error("the process %d can't be ended: it sits in a driver, or has become another user's", process.pid)  # noqa: TRY400  one sentence


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the last of them has just gone, or is another user's
        os.killpg(process.pid, number)


def _end_of(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}"
