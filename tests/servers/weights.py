"""A web server that gives files as such servers do: well, in parts, cut off, wrongly, or not at all."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    Answer = Callable[["Handler"], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


@dataclass
class WeightsServer:
    """Serves `files` on 127.0.0.1 until it is closed; `answers` take the place of the usual answer for a path."""

    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> WeightsServer:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.weights = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="weights", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()

    def url(self, path: str, *, host: str = "127.0.0.1", login: str = "") -> str:
        """Return the address of a path."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{login}{host}:{self._server.server_address[1]}{path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    weights: WeightsServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave early on purpose."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        weights = self.server.weights
        asked = [self.headers.get(name) for name in ("Range", "If-Range", "Authorization")]
        weights.asked.append(Asked(self.path, *asked))
        if self.path in weights.answers:
            weights.answers[self.path](self)
        elif self.path in weights.files:
            give(weights.files[self.path])(self)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name the library uses
        pass

    def head(self, status: int, headers: dict[str, str | int]) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()


def etag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def give(content: bytes, *, ranges: bool = True, stop_after: int | None = None, etag: str | None = None) -> Answer:
    """Return the usual answer.

    Args:
        content: of the file.
        ranges: whether parts can be asked for.
        stop_after: bytes after which the connection is closed; None: all are sent.
        etag: None: that of the content.
    """

    def answer(handler: Handler) -> None:
        tag = etag_of(content) if etag is None else etag
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked and ranges and handler.headers.get("If-Range", tag) == tag else 0
        if start and start >= len(content):
            handler.head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0})
            return
        rest = content[start:]
        headers: dict[str, str | int] = {"Content-Length": len(rest), "ETag": tag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if start else 200, headers)
        handler.wfile.write(rest[:stop_after])

    return answer


def say(status: int, body: bytes = b"", **headers: str | int) -> Answer:
    """Return an answer of fixed words."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(handler: Handler) -> None:
        handler.head(status, {"Content-Length": len(body), **named})
        handler.wfile.write(body)

    return answer


def pour(body: bytes, *, length: int | None = None, hold: threading.Event | None = None) -> Answer:
    """Return an answer that says another length than it has, or none, and may then hold the connection open.

    Args:
        body: all that is sent.
        length: what it says of it; None: nothing.
        hold: until this is set, for at most 5 s.
    """

    def answer(handler: Handler) -> None:
        handler.head(200, {} if length is None else {"Content-Length": length})
        handler.wfile.write(body)
        handler.wfile.flush()
        if hold is not None:
            hold.wait(5)

    return answer
