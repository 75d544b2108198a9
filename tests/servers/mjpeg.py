"""A camera that speaks MJPEG over HTTP (multipart/x-mixed-replace), with the faults of one."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import av
import numpy as np

from servers import barcode

if TYPE_CHECKING:
    from types import TracebackType

_BOUNDARY = b"frame"


@dataclass(slots=True, kw_only=True, eq=False)
class MjpegServer:
    """Serves bar-coded pictures at `/cam` on a free port of 127.0.0.1, from `with` to its end."""

    width: int = 320
    height: int = 240
    fps: float = 25.0
    status: int = 200
    login: tuple[str, str] | None = None
    pictures: int | None = None  # then the connection is closed
    stop: threading.Event = field(default_factory=threading.Event)
    frozen: threading.Event = field(default_factory=threading.Event)
    _server: _Listener | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> MjpegServer:  # noqa: PYI034  typing.Self is not in Python 3.10
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mjpeg-test", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5.0)

    def url(self, *, userinfo: str = "") -> str:
        """Return the camera's address."""
        assert self._server is not None
        at = f"{userinfo}@" if userinfo else ""
        return f"http://{at}127.0.0.1:{self._server.server_address[1]}/cam"


class _Listener(ThreadingHTTPServer):
    owner: MjpegServer
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Leave broken connections alone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        owner = self.server.owner
        if owner.login is not None:
            expected = "Basic " + base64.b64encode(":".join(owner.login).encode()).decode()
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
        self.send_response(owner.status)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}")
        self.end_headers()
        number = 0
        while owner.status == 200 and not owner.stop.wait(1 / owner.fps):
            if owner.pictures is not None and number >= owner.pictures:
                return
            if not owner.frozen.is_set():
                jpeg = encoded(owner.width, owner.height, number)
                head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (_BOUNDARY, len(jpeg))
                self.wfile.write(head + jpeg + b"\r\n")
                number += 1

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def encoded(width: int, height: int, number: int) -> bytes:
    """Return a bar-coded picture as JPEG."""
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    barcode.draw(planes[:height], number)
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.framerate = width, height, "yuvj420p", Fraction(25)
    frame = av.VideoFrame.from_ndarray(planes, format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])
