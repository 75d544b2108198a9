"""A build that a test leads step by step: the fake asks over a socket before each step, the test answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ._faults import faults

if TYPE_CHECKING:
    from types import TracebackType

LIMIT_S = 30.0  # no test waits longer for a step


class BuildSteps:
    """The test's side: `Faults(steps_port=steps.port)` makes each build ask here before each of its steps."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT_S)
        self.port: int = self._listener.getsockname()[1]
        self._waiting: socket.socket | None = None

    def __enter__(self) -> BuildSteps:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.release()

    def wait(self) -> str:
        """Wait until a build asks for its next step; return the name of the phase. The build stands still."""
        self._waiting, _ = self._listener.accept()
        self._waiting.settimeout(LIMIT_S)
        return self._waiting.recv(200).decode()

    def go(self) -> None:
        """Let the build that stands still take that step."""
        assert self._waiting is not None, "wait() first"
        self._waiting.close()
        self._waiting = None

    def release(self) -> None:
        """Let every build run freely from now on."""
        self._listener.close()
        if self._waiting is not None:
            self.go()


def ask_for_step(phase: str) -> None:
    """Stand still until the test lets the build take its next step; without a test that leads, return at once."""
    port = faults().steps_port
    if port is None:
        return
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as asking:
            asking.sendall(phase.encode())
            asking.recv(1)
    except ConnectionError:
        return  # the test leads no longer
