"""A receiver of webhooks, with the faults of one."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    connection: int  # the client's port

    def name(self) -> str:
        """Return the id of the event that it tells of."""
        return str(json.loads(self.body)["id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """An answer."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs_up: bool = False  # before a word of it
    breaks_off: bool = False  # half its body comes, and then nothing
    drips: bool = False  # one byte of its head each 50 ms, for ever


@dataclass(slots=True, kw_only=True, eq=False)
class HookServer:
    """Answers at a free port of 127.0.0.1 what `answer` says, 204 at first; from `with` to its end."""

    tls: ssl.SSLContext | None = None
    answer: Callable[[Posted], Says] = field(default=lambda _: Says())
    stop: threading.Event = field(default_factory=threading.Event)
    _posted: list[Posted] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)
    _server: _Listener | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> HookServer:  # noqa: PYI034  typing.Self is not in Python 3.10
        server = self._server = _Listener(("127.0.0.1", 0), _Handler)
        server.owner = self
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="hook-test", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5.0)

    def url(self, path: str = "/hook", *, userinfo: str = "") -> str:
        """Return an address of this server."""
        assert self._server is not None
        scheme = "http" if self.tls is None else "https"
        at = f"{userinfo}@" if userinfo else ""
        return f"{scheme}://{at}127.0.0.1:{self._server.server_address[1]}{path}"

    def posted(self) -> list[Posted]:
        """Return what has come so far, in order."""
        with self._came:
            return list(self._posted)

    def until(self, count: int, timeout_s: float = 5.0) -> list[Posted]:
        """Wait until so many requests have come."""
        with self._came:
            there = self._came.wait_for(lambda: len(self._posted) >= count, timeout_s)
            assert there, f"{len(self._posted)} of {count} came"
            return list(self._posted)

    def take(self, posted: Posted) -> Says:
        """Note a request and return the answer to it."""
        with self._came:
            self._posted.append(posted)
            self._came.notify_all()
        return self.answer(posted)


class _Listener(ThreadingHTTPServer):
    owner: HookServer
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Leave broken connections alone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        says = self.server.owner.take(Posted(path=self.path, headers=headers, body=body, connection=port))
        if says.hangs_up:
            self.close_connection = True
            return
        if says.drips:
            self._drip()
            return
        self.send_response(says.status)
        for name, value in says.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(says.body)))
        self.end_headers()
        if says.breaks_off:
            self.close_connection = True
            self.wfile.write(says.body[: len(says.body) // 2])
            self.server.owner.stop.wait(5.0)
        else:
            self.wfile.write(says.body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _drip(self) -> None:
        self.close_connection = True
        while not self.server.owner.stop.wait(0.05):
            self.wfile.write(b"H")
