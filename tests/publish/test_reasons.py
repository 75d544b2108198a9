from __future__ import annotations

import socket
import ssl

import pytest

from streamer.publish import reasons
from streamer.publish.reasons import LostKind
from streamer.publish.url import BrokerAddress

ADDRESS = BrokerAddress(host="broker", port=1883, tls=False)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (0x84, LostKind.OLDER_VERSION, "does not speak this version"),
        (0x86, LostKind.SLOWLY, "login refused by broker:1883"),
        (0x87, LostKind.SLOWLY, "login refused by broker:1883"),
        (0x85, LostKind.SLOWLY, "client id"),
        (0x88, LostKind.SOON, "refused by broker:1883: server unavailable"),
    ],
)
def test_refusals(code: int, kind: LostKind, text: str) -> None:
    lost = reasons.refused(ADDRESS, code, "Server unavailable")
    assert lost.kind is kind
    assert text in str(lost)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens at broker:1883"),
        (socket.gaierror(-2, "Name or service not known"), "the name broker is not known"),
        (TimeoutError("timed out"), "no answer from broker:1883"),
        (OSError(113, "No route to host"), "can't be reached (No route to host)"),
        (ssl.SSLError(1, "wrong version"), "no TLS with broker:1883"),
        (ValueError("odd"), "can't be reached (odd)"),
    ],
)
def test_what_keeps_a_connection_from_being(error: OSError | ValueError, text: str) -> None:
    lost = reasons.unreachable(ADDRESS, error)
    assert lost.kind is LostKind.SOON
    assert text in str(lost)
