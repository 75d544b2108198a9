"""Why there is no connection, as a sentence for a person, and how soon it is worth another try."""

from __future__ import annotations

import socket
import ssl
from enum import Enum
from typing import TYPE_CHECKING

from streamer.core.errors import SinkError

if TYPE_CHECKING:
    from .url import BrokerAddress


class LostKind(Enum):
    """What the sink does about a lost or refused connection."""

    SOON = "soon"
    SLOWLY = "slowly"  # a person must act, and many tries may lock an account
    OLDER_VERSION = "older version"  # the broker says that it does not speak MQTT 5
    SILENT = "silent"  # closed without an answer to CONNECT: perhaps it does not speak MQTT 5


class BrokerError(SinkError):
    """The connection to the broker is gone, or did not come to be. The message holds no secret."""

    def __init__(self, kind: LostKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_CONNACK = {
    0x84: (LostKind.OLDER_VERSION, "{address} does not speak this version of MQTT"),
    0x85: (LostKind.SLOWLY, "{address} does not take the client id (mqtt.client_id)"),
    0x86: (LostKind.SLOWLY, "login refused by {address} (wrong username or password)"),
    0x87: (LostKind.SLOWLY, "login refused by {address}"),
    0x8A: (LostKind.SLOWLY, "{address} has banned this client"),
    0x8C: (LostKind.SLOWLY, "{address} wants another way of login"),
}


def refused(address: BrokerAddress, code: int, name: str) -> BrokerError:
    """Return what a CONNACK that refuses means."""
    kind, text = _CONNACK.get(code, (LostKind.SOON, "refused by {address}: " + name.lower()))
    return BrokerError(kind, text.format(address=address))


def disconnected(address: BrokerAddress, code: int, name: str) -> BrokerError:
    """Return what a DISCONNECT from the broker means."""
    if code == 0x8E:
        text = f"another client with our client id has taken the place at {address} (mqtt.client_id must be unique)"
        return BrokerError(LostKind.SLOWLY, text)
    return BrokerError(LostKind.SOON, f"{address} ended the connection: {name.lower()}")


def unreachable(address: BrokerAddress, error: OSError | ValueError) -> BrokerError:
    """Return what a failed connect means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {address} is not trusted ({error.verify_message}); see mqtt.ca_file"
        return BrokerError(LostKind.SLOWLY, text)
    return BrokerError(LostKind.SOON, _why_unreachable(address, error))


def _why_unreachable(address: BrokerAddress, error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "reason", None) or "handshake failed"
        return f"no TLS with {address} ({why}); is it a port for mqtt:// ?"
    if isinstance(error, socket.gaierror):
        return f"the name {address.host} is not known"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {address}"
    if isinstance(error, TimeoutError):
        return f"no answer from {address}"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"{address} can't be reached ({why or type(error).__name__})"


def silent(address: BrokerAddress, *, tls: bool) -> BrokerError:
    """Return what a peer means that closes, or says nothing, instead of answering CONNECT."""
    hint = "" if tls else "; is it a port for mqtts:// ?"
    return BrokerError(LostKind.SILENT, f"{address} did not answer as a broker{hint}")


def broken(address: BrokerAddress) -> BrokerError:
    """Return what the end of a working connection means."""
    return BrokerError(LostKind.SOON, f"the connection to {address} broke")
