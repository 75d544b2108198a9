"""Resolving a name within a limit: no call of the operating system takes one, and a dead name server costs a minute."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.2  # so often `stopping` is asked

Info = tuple[Any, Any, int, str, tuple[Any, ...]]  # of `socket.getaddrinfo`


class _Lookup:
    """One question to the resolver, on a thread of its own that ends when the resolver gives up."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.infos: list[Info] = []
        self.error: OSError | None = None
        self._asked = host, port
        threading.Thread(target=self._ask, name=f"streamer-resolve-{host}", daemon=True).start()

    def _ask(self) -> None:
        """Ask.

        Thread: streamer-resolve-<host>.  Ends: with the resolver's answer, or with the process.
        Blocks on: the resolver, for as long as its own settings say.
        """
        try:
            self.infos = socket.getaddrinfo(*self._asked, type=socket.SOCK_STREAM)
        except OSError as exc:
            self.error = exc
        finally:
            with _lock:
                _running.pop(self._asked, None)
            self.done.set()


_lock = threading.Lock()  # guards the next
_running: dict[tuple[str, int], _Lookup] = {}  # a host that is asked for again and again waits for the same answer


def resolve(host: str, port: int, *, stopping: Callable[[], bool], deadline_ns: int) -> list[Info]:
    """Return a host's addresses, as `socket.getaddrinfo` does.

    Raises:
        socket.gaierror: there is no such host, or no name server answers in time.
        EndOfStream: the pipeline is stopping.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, then
    with _lock:
        lookup = _running.get((host, port))
        if lookup is None:
            lookup = _running[host, port] = _Lookup(host, port)
    while not lookup.done.wait(max(0.0, min(_POLL_S, (deadline_ns - time.monotonic_ns()) / NS_PER_S))):
        if stopping():
            raise EndOfStream
        if time.monotonic_ns() >= deadline_ns:
            raise socket.gaierror(socket.EAI_AGAIN, "no name server answers in time")
    if lookup.error is not None:
        raise lookup.error
    return lookup.infos
