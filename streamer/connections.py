"""How a configuration's cameras and its broker are connected to: from settings to what is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.capture.base import Delivery, SourceSpec
from streamer.publish.mqtt import MqttOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.capture.tape import Tape
    from streamer.publish.url import BrokerAddress
    from streamer.settings import Camera, Mqtt, Source

_IDLE_LOOK_S = 4.0  # a key frame of an idle camera is looked at so often, or at each heartbeat


def mqtt_options(mqtt: Mqtt, address: BrokerAddress) -> MqttOptions:
    """Return how a configuration talks to its broker."""
    password = mqtt.login_password
    return MqttOptions(
        address=address,
        topic_prefix=mqtt.topic_prefix,
        username=mqtt.login_name,
        password=None if password is None else password.get_secret_value(),
        ca_file=mqtt.ca_file,
        client_id=mqtt.client_id,
        # What is inside the process is known; asking it for MQTT 5 first would only take time.
        version="3.1.1" if mqtt.url.embedded else None,
    )


def source_spec(
    name: str,
    camera: Camera,
    *,
    epoch_ns: int | None = None,
    hardware: int | None = None,
    device: int = 0,
    idle: Callable[[], bool] | None = None,
    tape: Tape | None = None,
) -> SourceSpec:
    """Return how a camera is opened.

    Args:
        name: of the camera.
        camera: its settings.
        epoch_ns: the run's start, at which the time of every file begins.
        hardware: index of the GPU that computes its model; its pictures may be decoded there, and stay.
        device: the GPU of its model by the configuration; it decodes a camera that is told to, whatever computes the
            model.
        idle: whether nothing moves, so that key frames are enough; None: every frame is wanted.
        tape: takes its packets, for clips.
    """
    if hardware is None and camera.decode == "gpu":
        hardware = device
    return SourceSpec(
        camera=name,
        url=camera.source.reveal(),
        delivery=Delivery(camera.delivery),
        transport=camera.transport,
        epoch_ns=epoch_ns,
        decode=camera.decode,
        hardware=hardware,
        idle=idle,
        idle_look_s=min(_IDLE_LOOK_S, camera.motion.heartbeat_s),
        tape=tape,
    )


def record_spec(name: str, record: Source, *, transport: str = "auto", tape: Tape | None = None) -> SourceSpec:
    """Return how the stream is opened that a camera's clips come from."""
    return SourceSpec(camera=name, url=record.reveal(), delivery=Delivery.NEWEST, transport=transport, tape=tape)
