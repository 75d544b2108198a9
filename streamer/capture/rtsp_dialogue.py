"""One RTSP connection: requests and answers, with what the camera sends between them (RFC 2326)."""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream, LostReason

from .address import shown
from .av_faults import UNREACHED, fault
from .reach import hide, reach
from .rtsp_auth import Login, authorization, strongest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .rtsp_auth import Challenge

_POLL_S = 0.2  # so often `stopping` is asked while nothing comes
_SEND_S = 0.2  # a request fits into the kernel's buffer: one that waits longer has nobody who reads
_CHUNK = 1 << 18
_LONGEST_HEAD = 1 << 16
_LONGEST_BODY = 1 << 20
_PORTS = {"rtsp": 554, "rtsps": 322}


class NotUnderstoodError(Exception):
    """The camera speaks in a way that our own client does not know; FFmpeg may. It never leaves this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An RTSP response."""

    status: int
    fields: dict[str, str]  # names in lower case; the last one wins
    challenges: tuple[str, ...]  # each WWW-Authenticate
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaved:
    """A binary frame between the answers."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What one look at the connection gave."""

    parts: tuple[Answer | Interleaved, ...]
    arrived_ns: int  # monotonic
    waited: bool  # nothing had lain ready


class Dialogue:
    """Owns the TCP (or TLS) connection. A constructor stores; `connect` works; nothing blocks beyond its limit.

    Every wait is cut into slices, between which `stopping` is asked. Only resolving a name has the resolver's own
    limit: no call of the operating system takes another one.
    """

    def __init__(self, url: str, *, stopping: Callable[[], bool]) -> None:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        self.url = parts._replace(netloc=f"{host}{port}").geturl()  # without login: the one that is sent
        self.address = shown(url)
        self.host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme.lower()]
        self._tls = parts.scheme.lower() == "rtsps"
        self._login = (
            None
            if parts.username is None
            else Login(user=unquote(parts.username), password=unquote(parts.password or ""))
        )
        self._stopping = stopping
        self._challenge: Challenge | None = None
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._sequence = 0
        self.session: str | None = None

    @property
    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("not connected")
        return self._socket

    @property
    def peer(self) -> tuple[str, socket.AddressFamily]:
        """The camera's address in numbers, and its family."""
        return self._connection.getpeername()[0], self._connection.family

    def connect(self, *, deadline_ns: int) -> None:
        """Connect.

        Raises:
            SourceError: dns, refused, timeout or fault.
            EndOfStream: the pipeline is stopping.
        """
        lost: tuple[LostReason, str] | None = None
        try:
            plain = reach(self.host, self._port, stopping=self._stopping, deadline_ns=deadline_ns)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain
            if self._tls:
                self._socket = hide(plain, self.host, stopping=self._stopping, deadline_ns=deadline_ns)
        except socket.gaierror as exc:
            lost = LostReason.DNS, exc.strerror or ""
        except ConnectionRefusedError as exc:
            lost = LostReason.REFUSED, exc.strerror or ""
        except TimeoutError:
            lost = LostReason.TIMEOUT, ""
        except OSError as exc:
            reason = LostReason.TIMEOUT if exc.errno in UNREACHED else LostReason.FAULT
            lost = reason, exc.strerror or str(exc)
        if lost is not None:
            self.close()
            raise fault(lost[0], address=self.address, detail=lost[1])

    def ask(self, method: str, url: str, fields: dict[str, str] | None = None, *, deadline_ns: int) -> Answer:
        """Send a request and return its answer, logging in if the camera asks for it.

        Raises:
            SourceError: the login is refused, or no answer comes in time.
            NotUnderstoodError: what comes is not RTSP, or wants a login of an unknown kind.
            EndOfStream: the pipeline is stopping.
        """
        answer = self._ask_once(method, url, fields, deadline_ns)
        if answer.status == 401 and self._login is not None:
            self._challenge = strongest(list(answer.challenges))
            if self._challenge is None:
                raise NotUnderstoodError
            answer = self._ask_once(method, url, fields, deadline_ns)
        if answer.status in (401, 403):
            raise fault(LostReason.LOGIN, address=self.address)
        return answer

    def send(self, method: str, url: str, fields: dict[str, str] | None = None, *, limit_s: float = _SEND_S) -> None:
        """Send a request without waiting for the answer.

        Raises:
            SourceError: the connection is gone.
        """
        self._sequence += 1
        all_fields = {"CSeq": str(self._sequence), "User-Agent": "streamer", **(fields or {})}
        if self.session is not None:
            all_fields["Session"] = self.session
        if self._challenge is not None and self._login is not None:
            all_fields["Authorization"] = authorization(self._challenge, self._login, method=method, uri=url)
        lines = [f"{method} {url} RTSP/1.0", *(f"{k}: {v}" for k, v in all_fields.items()), "", ""]
        gone = False
        try:
            self._connection.settimeout(limit_s)
            self._connection.sendall("\r\n".join(lines).encode())
        except OSError:
            gone = True
        if gone:
            raise fault(LostReason.ENDED, address=self.address)

    def receive(self, *, also: tuple[socket.socket, ...] = ()) -> Received:
        """Return what came within 0.2 s, perhaps nothing. `also`: sockets whose data ends the wait, too.

        Raises:
            SourceError: the camera has closed the connection.
            NotUnderstoodError: what came is not RTSP.
            EndOfStream: the pipeline is stopping.
        """
        if self._stopping():
            raise EndOfStream
        waited = not self._ready(0.0, also)
        if waited and not self._ready(_POLL_S, also):
            return Received(parts=(), arrived_ns=time.monotonic_ns(), waited=True)
        data: bytes | None = b""
        if self._ready(0.0, ()):
            data = self._chunk()
        arrived_ns = time.monotonic_ns()
        if data is None:
            raise fault(LostReason.ENDED, address=self.address)
        self._buffer += data
        return Received(parts=tuple(self._parts()), arrived_ns=arrived_ns, waited=waited)

    def renew(self, answer: Answer) -> None:
        """Take a new nonce from the answer to a request that nobody waited for."""
        if answer.status == 401 and self._login is not None:
            self._challenge = strongest(list(answer.challenges)) or self._challenge

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask_once(self, method: str, url: str, fields: dict[str, str] | None, deadline_ns: int) -> Answer:
        self.send(method, url, fields)
        while _left_s(deadline_ns) > 0.001:
            for part in self.receive().parts:
                if isinstance(part, Answer) and part.fields.get("cseq", str(self._sequence)) == str(self._sequence):
                    return part
        raise fault(LostReason.TIMEOUT, address=self.address)

    def _ready(self, timeout_s: float, also: tuple[socket.socket, ...]) -> bool:
        own = self._connection
        if isinstance(own, ssl.SSLSocket) and own.pending():
            return True
        poll = select.poll()  # select() ends at descriptor 1024
        for each in (own, *also):
            poll.register(each, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _chunk(self) -> bytes | None:
        """Return what is there, or None at the end."""
        self._connection.setblocking(False)
        try:
            return self._connection.recv(_CHUNK) or None
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):  # a TLS record that is not complete yet
            return b""
        except OSError:  # reset
            return None

    def _parts(self) -> Iterator[Answer | Interleaved]:
        """Cut complete frames and answers off the buffer."""
        at, data = 0, self._buffer
        while at < len(data):
            if data[at] == 0x24:  # $
                end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
                if at + 4 > len(data) or end > len(data):
                    break
                yield Interleaved(channel=data[at + 1], data=bytes(data[at + 4 : end]))
                at = end
            elif data[at] in b"\r\n":  # some cameras pad between
                at += 1
            else:
                answer, end = _answer(data, at)
                if answer is None:
                    break
                yield answer
                at = end
        del data[:at]


def _answer(data: bytearray, at: int) -> tuple[Answer | None, int]:
    """Return the answer (or the camera's own request, as status 0) at a place, and where it ends."""
    head_end = data.find(b"\r\n\r\n", at)
    if head_end < 0:
        if len(data) - at > _LONGEST_HEAD or not data[at : at + 1].isalpha():
            raise NotUnderstoodError
        return None, at
    first, *lines = data[at:head_end].decode("utf-8", "replace").split("\r\n")
    pairs = [(k.strip().lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]
    fields = dict(pairs)
    words = first.split(" ", 2)
    size = fields.get("content-length", "0")
    if len(words) < 2 or not size.isdigit() or int(size) > _LONGEST_BODY:
        raise NotUnderstoodError
    end = head_end + 4 + int(size)
    if end > len(data):
        return None, at
    status = int(words[1]) if words[0].startswith("RTSP/") and words[1].isdigit() else 0
    challenges = tuple(v for k, v in pairs if k == "www-authenticate")
    body = data[head_end + 4 : end].decode("utf-8", "replace")
    return Answer(status=status, fields=fields, challenges=challenges, body=body), end


def _left_s(deadline_ns: int) -> float:
    return max(0.001, (deadline_ns - time.monotonic_ns()) / NS_PER_S)
