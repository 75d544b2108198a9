"""paho, set up: a client for one connection, and what only MQTT 5 can say."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    import ssl

    from .base import Message

MOST_HEARD_BYTES = 1 << 16  # of a packet that the broker may send us: commands are short


def make_client(
    *,
    v5: bool,
    client_id: str,
    login: tuple[str, str | None] | None,
    tls: ssl.SSLContext | None,
    will_topic: str,
) -> Client:
    """Return a paho client for one connection."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if v5 else True,  # paho wants it in `connect` for MQTT 5, and sets it there
        protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    if login is not None:
        client.username_pw_set(*login)
    if tls is not None:
        client.tls_set_context(tls)
    client.max_inflight_messages_set(0)  # no queue of paho's own: `Session` bounds what waits
    client.will_set(will_topic, b"offline", qos=1, retain=True)
    return client


def connect_properties(*, v5: bool) -> Properties | None:
    """Return what is said with CONNECT: how large a packet we take. Only MQTT 5 can say that."""
    if not v5:
        return None
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MOST_HEARD_BYTES
    return properties


def subscribe_options() -> SubscribeOptions:
    """Return how commands are subscribed by MQTT 5: those that are retained are of another time."""
    return SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)


def publish_properties(message: Message) -> Properties | None:
    """Return what only MQTT 5 can say of a message."""
    if message.reply is None or message.reply.correlation is None:
        return _usual(message.expiry_s, message.content_type)
    properties = _usual.__wrapped__(message.expiry_s, message.content_type) or _new()  # its own: nobody asks twice
    properties.CorrelationData = message.reply.correlation
    return properties


@lru_cache(maxsize=64)  # paho is slow to make one, and only reads it; few are in use at a time
def _usual(expiry_s: int | None, content_type: str | None) -> Properties | None:
    if expiry_s is None and content_type is None:
        return None
    properties = _new()
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if content_type is not None:
        properties.ContentType = content_type
    return properties


def _new() -> Properties:
    return Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
