from __future__ import annotations

import pytest

from streamer.core.errors import ConfigError
from streamer.publish.url import parse_broker_url


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://localhost", "localhost", 1883, False),
        ("mqtt://192.0.2.7:2883/", "192.0.2.7", 2883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://[2001:db8::1]:1884", "2001:db8::1", 1884, False),
    ],
)
def test_addresses(url: str, host: str, port: int, tls: bool) -> None:  # noqa: FBT001  a column
    address = parse_broker_url(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)


def test_a_login_is_taken_out_and_not_shown() -> None:
    address = parse_broker_url("mqtt://me:s%40cret@localhost:1884")
    assert (address.username, address.password) == ("me", "s@cret")
    assert "cret" not in repr(address) + str(address)
    assert str(parse_broker_url("mqtt://[::1]")) == "[::1]:1883"


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "http://host",
        "mqtt://",
        "mqtt://host:99999",
        "mqtt://host:x",
        "mqtt://host/topic",
        "",
        "mqtt://h:0",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="allowed: mqtt://HOST") as caught:
        parse_broker_url(url)
    assert not url or f"{url} " not in str(caught.value)
