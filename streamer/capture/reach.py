"""Connecting by TCP and TLS in slices, so that a run which stops need not wait for a camera that is switched off."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import EndOfStream

from .resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.2  # so often `stopping` is asked


def reach(host: str, port: int, *, stopping: Callable[[], bool], deadline_ns: int) -> socket.socket:
    """Return a non-blocking connection to the first of a host's addresses that answers; each gets its share of time.

    Raises:
        OSError: none answers; the last one's error. TimeoutError: not in time. socket.gaierror: there is no such host.
        EndOfStream: the pipeline is stopping.
    """
    infos = resolve(host, port, stopping=stopping, deadline_ns=deadline_ns)
    refused: OSError = TimeoutError()
    for at, (family, kind, protocol, _, address) in enumerate(infos):
        limit_ns = time.monotonic_ns() + max(0, deadline_ns - time.monotonic_ns()) // (len(infos) - at)
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            code = connection.connect_ex(address)
            if code == errno.EINPROGRESS:
                _wait(connection, select.POLLOUT, stopping=stopping, deadline_ns=limit_ns)
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as exc:
            connection.close()
            refused = exc
            continue
        except BaseException:
            connection.close()
            raise
        if code == 0:
            return connection
        connection.close()
        refused = OSError(code, os.strerror(code))
    raise refused


def hide(plain: socket.socket, host: str, *, stopping: Callable[[], bool], deadline_ns: int) -> ssl.SSLSocket:
    """Speak TLS over a connection. Cameras sign their own certificates: this hides the stream, it proves no identity.

    `plain` is used up, whatever happens.

    Raises:
        OSError: it speaks no TLS, or not in time.
        EndOfStream: the pipeline is stopping.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        hidden = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        while wanted := _shaken(hidden):
            _wait(hidden, wanted, stopping=stopping, deadline_ns=deadline_ns)
    except BaseException:
        hidden.close()
        raise
    return hidden


def _shaken(hidden: ssl.SSLSocket) -> int:
    """Go on with a handshake; return what to wait for, 0 when it is done."""
    try:
        hidden.do_handshake()
    except ssl.SSLWantReadError:
        return select.POLLIN
    except ssl.SSLWantWriteError:
        return select.POLLOUT
    return 0


def _wait(connection: socket.socket, wanted: int, *, stopping: Callable[[], bool], deadline_ns: int) -> None:
    poll = select.poll()  # select() ends at descriptor 1024
    poll.register(connection, wanted)
    while not stopping():
        left_s = (deadline_ns - time.monotonic_ns()) / NS_PER_S
        if poll.poll(max(0.0, min(_POLL_S, left_s)) * 1000):
            return
        if left_s <= 0:
            raise TimeoutError
    raise EndOfStream
