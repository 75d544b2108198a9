"""Events out over HTTP: each is posted to an address, signed, until that says it has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from streamer.core.clock import NS_PER_S

from .courier import Answer, Courier, Later, Refused

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from streamer.core.clock import Clock

    from .base import Message

_AGAIN = frozenset({408, 425, 429})  # of the 4xx: not the message's fault
_REUSED_NS = NS_PER_S  # a connection is used again while a backlog is sent; one that has rested may just be closed
_MOST_ANSWER_BYTES = 1 << 16  # read of an answer, so that its connection can be used again
_SAFE = "/?%:@!$&'()*+,;=~-._"  # of an address's path and query: stays as it is
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,100}")
_OURS = frozenset(
    {"content-length", "content-type", "host", "idempotency-key", "transfer-encoding", "x-streamer-signature",
     "x-streamer-timestamp"}
)  # fmt: skip

_WHY: tuple[tuple[type[Exception], str], ...] = (
    (socket.gaierror, "the host's name is not known"),
    (ConnectionRefusedError, "nothing listens there"),
    (ConnectionError, "it closed the connection without an answer"),
    (http.client.HTTPException, "it did not answer in HTTP"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Where events are posted, and what goes with them.

    Raises:
        ValueError: the address or a header can't be used; the message holds no secret.
    """

    name: str
    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)  # signs each message
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0  # for one try: to connect, and from there to the end of the answer
    agent: str = "streamer"

    def __post_init__(self) -> None:
        """Refuse what would fail at each event."""
        try:
            parts = urlsplit(self.url)
            usable = (
                parts.scheme in ("http", "https") and bool((parts.hostname or "").encode("idna")) and parts.port != 0
            )
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("a webhook's address must be http://HOST/PATH or https://HOST/PATH")
        for name, value in self.headers.items():
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is Streamer's own; others may be set")
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t\x20-\xff]*", value):
                raise ValueError(
                    f"the header {name!r} can't be sent: letters, digits and - in its name, one line of text"
                )


class WebhookSink(Courier):
    """A `Sink`. 2xx is taken; 408, 425, 429, 5xx, a redirect and no answer are tried again; other 4xx are refusals.

    A redirect is not followed: what is posted, and the headers with it, are meant for the configured address only.
    """

    def __init__(self, options: WebhookOptions, *, clock: Clock, rng: random.Random) -> None:
        """Store the parts; `start` starts."""
        super().__init__("webhook", options.name, clock=clock, rng=rng)
        parts = urlsplit(options.url)
        self._options = options
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._where = f"{parts.scheme}://{shown}:{self._port}"  # for people: the path may be a secret
        query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
        self._target = quote(parts.path or "/", safe=_SAFE) + query
        self._login = _basic(parts.username, parts.password)
        self._secure = parts.scheme == "https"
        self._tls: ssl.SSLContext | None = None
        self._line: http.client.HTTPConnection | None = None
        self._used_ns = 0  # when the line was used last
        self._cut = threading.Event()  # whether this attempt was broken off

    def _run(self) -> None:
        """As a courier's, and close the connection behind it.

        Thread: webhook-<name>.  Ends: `close`.
        Blocks on: what a courier does; the host's name (the system's limit), connecting to each of its addresses, and
        the answer (`timeout_s` each; `close`).
        """
        try:
            super()._run()
        finally:
            self._hang_up()

    def _attempt(self, message: Message) -> Answer:
        headers = self._headers(message.payload)
        self._cut.clear()
        # The socket's own limit is one for each piece that comes: this one is for all of them.
        limit = threading.Timer(self._options.timeout_s, self._break_off)
        limit.daemon = True
        limit.start()
        try:
            return self._post(message.payload, headers)
        except (OSError, http.client.HTTPException) as exc:
            self._hang_up()
            return Later(reason=f"{self._where}: {self._why(exc)}")
        finally:
            limit.cancel()
            limit.join()  # if it is just breaking this one off, it must not go on to the next

    def _break_off(self) -> None:
        self._cut.set()
        line = self._line
        sock = None if line is None else line.sock
        if sock is not None:
            with suppress(OSError):  # it is closed, or still shakes hands: then its own limit ends it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which is not for two threads

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        if self._line is not None and self._clock.monotonic_ns() - self._used_ns <= _REUSED_NS:
            try:
                return self._exchange(self._line, body, headers)
            except (ConnectionError, ssl.SSLEOFError):
                if self._cut.is_set():
                    raise
                # It was closed since the last answer; the key in the headers tells a repeat.
        self._hang_up()
        self._line = line = self._new_line()
        line.connect()
        if self._cut.is_set() or self._ending.is_set():  # while there was no socket to be shut
            raise TimeoutError
        return self._exchange(line, body, headers)

    def _new_line(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._options.timeout_s)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._options.timeout_s, context=self._tls)

    def _exchange(self, line: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> Answer:
        line.request("POST", self._target, body=body, headers=headers)
        with line.getresponse() as response:
            answer = self._read(response)
            reusable = not response.will_close and _emptied(response)
        self._used_ns = self._clock.monotonic_ns()
        if not reusable:
            self._hang_up()
        return answer

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        status = response.status
        if 200 <= status < 300:
            return None
        said = f"{self._where} answered {_words(status)}"
        if 400 <= status < 500 and status not in _AGAIN:
            return Refused(reason=said)
        if 300 <= status < 400:
            return Later(reason=f"{said}, a redirect, which is not followed: give the address that it leads to")
        return Later(reason=said, wait_s=_retry_after_s(response.headers.get("Retry-After"), self._clock))

    def _headers(self, body: bytes) -> dict[str, str]:
        at = str(self._clock.utc_ns() // NS_PER_S)
        given = self._options.headers
        named = {name.lower() for name in given}
        defaults = {"User-Agent": self._options.agent, **self._login}
        headers = {
            **{name: value for name, value in defaults.items() if name.lower() not in named},
            **given,
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key(body),
            "X-Streamer-Timestamp": at,
        }
        if self._options.secret is not None:
            headers["X-Streamer-Signature"] = signature(self._options.secret, at, body)
        return headers

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) or self._cut.is_set():
            return f"no answer within {self._options.timeout_s:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return f"no TLS ({error.reason or 'handshake failed'}); is it a port for http:// ?"
        known = next((text for kind, text in _WHY if isinstance(error, kind)), "it can't be reached")
        return f"{known} ({getattr(error, 'strerror', None) or type(error).__name__})"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return what proves who sent a message, and when: `sha256=` and the HMAC of the time, a dot and the body, in hex.

    Args:
        secret: shared with the receiver.
        timestamp: as in `X-Streamer-Timestamp`: seconds since 1970.
        body: as it is posted.
    """
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


def idempotency_key(body: bytes) -> str:
    """Return what is the same for each repeat of a message: an event's `<id>-<seq>`, else a digest of the body."""
    try:
        event = json.loads(body)
        key = f"{event['id']}-{event['seq']}"
    except (ValueError, TypeError, KeyError):
        key = ""
    return key if _PLAIN.fullmatch(key) else hashlib.sha256(body).hexdigest()


def open_webhook(options: WebhookOptions, *, clock: Clock, rng: random.Random) -> WebhookSink:
    """Begin to post to an address; whether anybody is there is seen with the first event."""
    sink = WebhookSink(options, clock=clock, rng=rng)
    sink.start()
    return sink


def _basic(username: str | None, password: str | None) -> dict[str, str]:
    if username is None:
        return {}
    login = f"{unquote(username)}:{unquote(password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}


def _emptied(response: http.client.HTTPResponse) -> bool:
    """Read the rest of an answer, so that its connection can be used again; False if that is too much, or breaks."""
    try:
        response.read(_MOST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):  # it has said what it had to
        return False
    return response.isclosed()


def _words(status: int) -> str:
    """Return a status with the words of the standard: an answer's own are the receiver's."""
    return f"{status} {http.client.responses.get(status, '')}".strip()


def _retry_after_s(value: str | None, clock: Clock) -> float | None:
    """Return how long a `Retry-After` asks to wait, in seconds; None if there is none that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    return max(0.0, at.timestamp() - clock.utc_ns() / NS_PER_S)
