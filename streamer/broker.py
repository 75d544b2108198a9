"""Where a run's broker is: somewhere else, or in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.publish.embedded import EmbeddedBroker
from streamer.publish.url import BrokerAddress

if TYPE_CHECKING:
    from contextlib import ExitStack

    from streamer.settings import Settings


def broker_address(settings: Settings, stack: ExitStack) -> BrokerAddress:
    """Return where the broker is, after starting it if it is to be inside this process."""
    url = settings.mqtt.url
    if not url.embedded:
        return BrokerAddress(host=url.host, port=url.port, tls=url.tls)
    broker = EmbeddedBroker(url.port)
    address = broker.start()
    stack.callback(broker.stop)
    return address
