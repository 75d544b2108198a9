from __future__ import annotations

from streamer.publish.url import BrokerAddress


def test_it_is_shown_as_host_and_port() -> None:
    assert str(BrokerAddress(host="localhost", port=1883, tls=False)) == "localhost:1883"
    assert str(BrokerAddress(host="::1", port=1883, tls=False)) == "[::1]:1883"
    assert (
        repr(BrokerAddress(host="broker.example", port=8883, tls=True)) == "BrokerAddress(mqtts://broker.example:8883)"
    )
