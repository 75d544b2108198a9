"""Who hears of the retained states: the broker alone, or Home Assistant along with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer import __version__
from streamer.pipeline.announcer import Announcer, AnnouncerPlan
from streamer.publish.discovery import Discovery
from streamer.publish.entities import DeviceFacts
from streamer.store.announced import AnnouncedFile

if TYPE_CHECKING:
    from streamer.core.clock import Clock
    from streamer.publish.states import StateBoard
    from streamer.settings import Camera, Settings


def announcer_of(settings: Settings, board: StateBoard, *, clock: Clock) -> Announcer | None:
    """Return what announces a run's cameras to Home Assistant, or None where it is not wanted."""
    mqtt = settings.mqtt
    if not mqtt.home_assistant:
        return None
    by = Discovery(prefix=mqtt.topic_prefix, discovery_prefix=mqtt.discovery_prefix, version=__version__)
    cameras = [
        DeviceFacts(
            camera=name,
            events=_tells_events(camera),
            snapshot=camera.enabled,
            switch=camera.enabled and camera.source.live,
        )
        for name, camera in settings.cameras.items()
    ]
    plan = AnnouncerPlan(board=board, file=AnnouncedFile(settings.data_dir), by=by, cameras=cameras)
    return Announcer(plan, clock=clock)


def _tells_events(camera: Camera) -> bool:
    """Whether a camera has a rule that makes events; where it names none, there is one for each class."""
    return camera.detect is not None and (camera.events is None or any(rule.decide is None for rule in camera.events))
