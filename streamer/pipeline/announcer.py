"""Announce each camera to Home Assistant, and again when it has got something new to show."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.publish.discovery import device_of, with_topic
from streamer.store.announced import renewed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.clock import Clock
    from streamer.publish.discovery import Discovery
    from streamer.publish.entities import DeviceFacts
    from streamer.publish.states import StateBoard
    from streamer.store.announced import AnnouncedFile, Components

# Home Assistant may pass over an announcement that comes while it still works at the last one of the device.
_TOGETHER_NS = 5 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncerPlan:
    """What the announcer needs."""

    board: StateBoard
    file: AnnouncedFile
    by: Discovery
    cameras: Sequence[DeviceFacts]  # what is known of each before its topics are


class Announcer:
    """Stands before the board of states: an entity belongs to a retained topic, and comes with it."""

    def __init__(self, plan: AnnouncerPlan, *, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._lock = threading.Lock()  # guards the next three
        self._facts = {facts.camera: facts for facts in plan.cameras}
        self._seen: set[str] = set()  # topics
        self._changed_ns: int | None = None  # since when there is something to announce
        self._devices: dict[str, Components] = {}  # by id; with _topics of whoever calls `begin` and `look` only
        self._topics: tuple[str, ...] = ()  # of the announcements; replaced as a whole

    def set(self, topic: str, payload: bytes) -> None:
        """Say what a topic's state is, as `StateBoard.set`, and learn of the topic. Any thread; never waits."""
        self._plan.board.set(topic, payload)
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            if topic not in self._seen:
                self._seen.add(topic)
                self._learn_locked(topic, now_ns)

    def begin(self) -> None:
        """Announce all cameras, with the topics that have been set so far. Main thread, before the others begin."""
        self._devices = self._plan.file.load()
        self._announce()

    def look(self) -> None:
        """Announce what has come since, a little later. Main thread, about once a second."""
        with self._lock:
            changed_ns = self._changed_ns
        if changed_ns is not None and self._clock.monotonic_ns() - changed_ns >= _TOGETHER_NS:
            self._announce()

    def renew(self) -> None:
        """Announce everything again: Home Assistant has just started. Any thread; never waits."""
        self._plan.board.renew(self._topics)

    def _learn_locked(self, topic: str, now_ns: int) -> None:
        camera = topic.split("/", 1)[0]
        facts = self._facts.get(camera)
        if facts is None:
            return
        more = with_topic(facts, topic)
        if more is not facts:
            self._facts[camera] = more
            self._changed_ns = now_ns if self._changed_ns is None else self._changed_ns

    def _announce(self) -> None:
        with self._lock:
            cameras = list(self._facts.values())
            self._changed_ns = None
        utc_s = self._clock.utc_ns() // NS_PER_S
        plan, devices, states = self._plan, {}, {}
        for facts in cameras:
            device = device_of(facts, plan.by)
            components = renewed(self._devices.get(device.id, {}), device.components, utc_s)
            gone = {name: it.platform for name, it in components.items() if it.gone_s is not None}
            devices[device.id] = components
            states[device.topic] = device_of(facts, plan.by, gone=gone).config
        if devices != self._devices:
            self._devices = devices
            plan.file.save(devices)  # before the broker has it: what is announced must be known to be taken back
        self._topics = tuple(states)
        for topic, config in states.items():
            plan.board.set(topic, config)
