"""Why a download failed, in one sentence each: what a server, a network or a disk has said, and what to do."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import urllib.error
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_STATUS = {
    401: "does not give it to us (HTTP 401: it wants a login)",
    403: "does not give it to us (HTTP 403)",
    404: "there is no such file (HTTP 404)",
    407: "the proxy wants a login (HTTP 407)",
    410: "there is no such file any more (HTTP 410)",
    429: "was asked too often (HTTP 429); try again later",
}


def reason(exc: Exception, idle_s: float) -> str:
    """Say why an address gave nothing, or stopped giving.

    Args:
        exc: what urllib, http.client or a socket has raised.
        idle_s: the limit of every wait for data.
    """
    cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(cause, ssl.SSLError):
        return _tls(cause)
    if isinstance(cause, socket.gaierror):
        return "its name can't be resolved: there is no network or no DNS here, or the name is wrong"
    if isinstance(cause, TimeoutError):
        return f"nothing came for {idle_s:.0f} s"
    if isinstance(cause, OSError):
        return _connection(cause)
    if isinstance(cause, http.client.HTTPException):
        return f"does not answer as a web server does ({type(cause).__name__})"
    return " ".join(str(cause).split())[:200]


def status_said(code: int, words: str) -> str:
    """Say what an HTTP status means that is no success."""
    if code in _STATUS:
        return _STATUS[code]
    if code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the server has a fault of its own (HTTP {code}); try again later"
    return f"answers HTTP {code} ({' '.join(words.split())[:120]})"


def disk_said(path: Path, exc: OSError) -> str:
    """Say why a file can't be written."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full; make room, or choose another folder with STREAMER_CACHE"
    return f"{path}: can't be written ({exc.strerror}); STREAMER_CACHE chooses another folder"


def _tls(exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({exc.verify_message}): is this machine's clock right, and is the package"
            " ca-certificates installed? SSL_CERT_FILE names the authorities of a network that has its own"
        )
    return f"no encrypted connection comes about ({exc.reason or exc})"


def _connection(exc: OSError) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return "refuses the connection"
    if exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "can't be reached from here: there is no network, or no way to it"
    return f"the connection failed ({exc.strerror or exc})"
