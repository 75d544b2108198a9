"""Where a broker is: `mqtt://host:port` or `mqtts://host:port`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from streamer.core.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_ALLOWED = "allowed: mqtt://HOST[:PORT], mqtts://HOST[:PORT]"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Host and port of a broker. A login in the URL is taken out of it, and shown nowhere."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"BrokerAddress({'mqtts' if self.tls else 'mqtt'}://{self})"


def parse_broker_url(url: str) -> BrokerAddress:
    """Read the `mqtt.url` of the configuration.

    Raises:
        ConfigError: it is not of that form; the message does not repeat the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"not a broker's URL (a port is a number up to 65535); {_ALLOWED}") from exc
    if parts.scheme not in _PORTS:
        raise ConfigError(f"not a broker's URL (it begins with {parts.scheme or 'no scheme'!r}); {_ALLOWED}")
    if not parts.hostname or port == 0 or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"not a broker's URL (only a host and a port may follow); {_ALLOWED}")
    return BrokerAddress(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
