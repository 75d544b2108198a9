"""An RTSP server for measuring: one H.264 clip on several paths, interleaved over TCP, paced like cameras."""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import socketserver
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from streamer.capture.coded import RTP_HZ

from . import rtp

if TYPE_CHECKING:
    from streamer.capture.coded import Clip

_REPORT_EVERY_NS = 5_000_000_000
_SESSION = "1;timeout=60"
_STATUS = {200: "OK", 404: "Not Found", 461: "Unsupported Transport", 501: "Not Implemented"}
_MOST_HEAD = 65_536  # bytes of a request


class RtspServer:
    """Serves `/cam0`, `/cam1`, ... on 127.0.0.1 on a free port, from `with` to its end.

    Each path runs through the clip for ever from the moment of its start; paths are shifted against each other by parts
    of a frame, so that not all cameras of a test send in the same millisecond.
    """

    def __init__(self, clip: Clip, paths: int) -> None:
        self.clip = clip
        self.stop = threading.Event()
        self._paths = paths
        self._sessions: set[_Session] = set()
        self._lock = threading.Lock()  # guards the set

    def __enter__(self) -> RtspServer:  # noqa: PYI034  typing.Self is younger than Python 3.10
        self._began_ns = time.monotonic_ns()
        self._server = _Listener(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="streamer-rtsp-server")
        self._thread.daemon = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.finish()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)

    def urls(self) -> list[str]:
        """Return the address of each path."""
        port = self._server.server_address[1]
        return [f"rtsp://127.0.0.1:{port}/cam{number}" for number in range(self._paths)]

    def began_ns(self, path: str) -> int | None:
        """Return when (monotonic) the clip's first unit was due on a path; None if there is no such path."""
        number = path.removeprefix("/cam")
        if not path.startswith("/cam") or not number.isascii() or not number.isdigit() or int(number) >= self._paths:
            return None
        interval_ns = self.clip.duration * 1_000_000_000 // RTP_HZ // len(self.clip.units)
        return self._began_ns + interval_ns * int(number) // self._paths

    def serve(self, connection: socket.socket) -> None:
        """Serve one client to its end. A thread of the listener."""
        session = _Session(connection, self)
        with self._lock:
            self._sessions.add(session)
        try:
            session.answer_all()
        finally:
            session.finish()
            with self._lock:
                self._sessions.discard(session)


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    owner: RtspServer


class _Handler(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.server.owner.serve(self.request)


class _Session:
    """One client: answers requests on the handler's thread, sends video on one of its own."""

    def __init__(self, connection: socket.socket, server: RtspServer) -> None:
        self._connection = connection
        self._server = server
        self._stop = threading.Event()
        self._write_lock = threading.Lock()  # guards writing: replies, RTP and RTCP share the connection
        self._sender: threading.Thread | None = None
        self._buffer = b""

    def answer_all(self) -> None:
        """Answer requests until the client or the server leaves."""
        with contextlib.suppress(OSError, ValueError):  # gone, or it speaks no RTSP
            while (request := self._request()) is not None:
                self._answer(*request)

    def finish(self) -> None:
        """End the stream and close the connection. Idempotent."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if self._sender is not None:
            self._sender.join(timeout=2.0)
        self._connection.close()

    def _request(self) -> tuple[str, str, dict[str, str]] | None:
        """Read one request; interleaved frames of the client (RTCP) are skipped.

        Raises:
            ValueError: what comes is no request.
        """
        while True:
            if self._buffer[:1] == b"$" and len(self._buffer) >= 4:
                size = 4 + int.from_bytes(self._buffer[2:4], "big")
                if len(self._buffer) >= size:
                    self._buffer = self._buffer[size:]
                    continue
            elif self._buffer[:1] != b"$" and b"\r\n\r\n" in self._buffer:
                head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                method, url, _ = first.split(" ", 2)
                pairs = (line.partition(":") for line in lines)
                return method, url, {key.strip().lower(): value.strip() for key, _, value in pairs}
            if len(self._buffer) > _MOST_HEAD + 4:
                raise ValueError("no end of a request")
            data = self._connection.recv(65536)
            if not data:
                return None
            self._buffer += data

    def _answer(self, method: str, url: str, fields: dict[str, str]) -> None:
        path = urlsplit(url).path.rsplit("/track", 1)[0].rstrip("/")
        began_ns = self._server.began_ns(path)
        if method == "OPTIONS":
            self._reply(fields, 200, {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"})
        elif began_ns is None:
            self._reply(fields, 404)
        elif method == "DESCRIBE":
            about = {"Content-Base": url + "/", "Content-Type": "application/sdp"}
            self._reply(fields, 200, about, _description(self._server.clip, url))
        elif method == "SETUP" and "TCP" not in fields.get("transport", ""):
            self._reply(fields, 461)
        elif method == "SETUP":
            self._reply(fields, 200, {"Session": _SESSION, "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
        elif method == "PLAY":
            self._reply(fields, 200, {"Session": _SESSION, "Range": "npt=now-"})
            self._play(began_ns)
        elif method == "TEARDOWN":
            self._reply(fields, 200, {"Session": _SESSION})
            self._stop.set()
        else:
            self._reply(fields, 200 if method == "GET_PARAMETER" else 501, {"Session": _SESSION})

    def _reply(
        self, fields: dict[str, str], status: int, more: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        lines = [f"RTSP/1.0 {status} {_STATUS[status]}", f"CSeq: {fields.get('cseq', '0')}"]
        lines += [f"{key}: {value}" for key, value in (more or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self._write_lock:
            self._connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def _play(self, began_ns: int) -> None:
        if self._sender is None:
            self._sender = threading.Thread(
                target=self._stream, args=(began_ns,), name="streamer-rtsp-sender", daemon=True
            )
            self._sender.start()

    def _stream(self, began_ns: int) -> None:
        """Send the units when they are due, from the next key frame on.

        Thread: streamer-rtsp-sender.  Ends: `finish`, TEARDOWN, the client leaves.
        Blocks on: the next unit's time (`finish`), sending (the client reads, or `finish` shuts the connection down).
        """
        clip, sequence, reported_ns = self._server.clip, 0, 0
        with contextlib.suppress(OSError):
            for number in itertools.count(_next_key(clip, time.monotonic_ns() - began_ns)):
                turn, place = divmod(number, len(clip.units))
                unit = clip.units[place]
                due_ns = began_ns + (turn * clip.duration + unit.due) * 1_000_000_000 // RTP_HZ
                if self._stop.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9)):
                    return
                timestamp = turn * clip.duration + unit.pts
                made = list(rtp.packets(unit, timestamp=timestamp, sequence=sequence, ssrc=1))
                sequence += len(made)
                if due_ns - reported_ns > _REPORT_EVERY_NS:
                    reported_ns = due_ns
                    self._send(1, [rtp.sender_report(1, timestamp)])
                self._send(0, made)

    def _send(self, channel: int, made: list[bytes]) -> None:
        data = b"".join(b"$" + bytes([channel]) + len(p).to_bytes(2, "big") + p for p in made)
        with self._write_lock:
            self._connection.sendall(data)


def _next_key(clip: Clip, since_ns: int) -> int:
    """Return the number of the first key frame that is due after `since_ns`, counting on over the clip's turns."""
    turn, rest = divmod(since_ns * RTP_HZ // 1_000_000_000, clip.duration)
    number = turn * len(clip.units) + sum(unit.due < rest for unit in clip.units)
    return next(n for n in itertools.count(number) if clip.units[n % len(clip.units)].key)


def _description(clip: Clip, url: str) -> bytes:
    sets = ",".join(base64.b64encode(nal).decode() for nal in clip.parameter_sets)
    profile = clip.parameter_sets[0][1:4].hex()
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"a=control:{url}/",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets};profile-level-id={profile}",
        "a=control:track1",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
