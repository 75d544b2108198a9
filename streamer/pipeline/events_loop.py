"""The thread that owns tracks, rules and the store's writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed
from streamer.core.results import Result

from .frames import Lost, SourceEnd
from .messages import CameraChange, Still

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.event import Event
    from streamer.store.store import EventStore

    from .channel import Channel
    from .deliver import Delivery
    from .desk import CameraDesk, Outcome

Item = Result | Still | SourceEnd | Lost | CameraChange

_IDLE_S = 0.25
_TICK_NS = NS_PER_S // 4  # how often time passes without a frame
_TOUCH_NS = NS_PER_S  # how often the last sightings of open events are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsPlan:
    """What the events thread needs."""

    inbox: Channel[Item]
    desks: Mapping[str, CameraDesk]
    store: EventStore
    delivery: Delivery
    states: Callable[[str, bytes], None]  # a retained topic has a new payload
    release: Callable[[str], None]  # a taken frame of this camera has been dealt with
    count: Callable[[str, str, int], None]  # (camera, cause or counter, how many)
    aged: Callable[[str, int], None]  # (camera, ns from capture to now)
    told: Callable[[Event], None]  # an event was stored: shown to people


class Events:
    """Turns results into stored events and published states."""

    def __init__(self, plan: EventsPlan, *, clock: Clock, beat: Callable[[], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._beat = beat
        self._touched_ns = self._ticked_ns = clock.monotonic_ns()

    def loop(self) -> None:
        """Deal with everything that waits, then commit once; at the end, end what is open.

        Thread: events.  Ends: every capture and inference thread has left, or `inbox` was closed; what waits is dealt
        with first.
        Blocks on: inbox.take_all (put, leave, close, 0.25 s), the store's commit (the disk).
        """
        try:
            while True:
                self._beat()
                self._settle([self._step(item) for item in self._plan.inbox.take_all(_IDLE_S)])
                self._tick()
        except ChannelClosed:
            utc_ns = self._clock.utc_ns()
            self._settle([desk.stop(utc_ns) for desk in self._plan.desks.values()])
            raise

    def _step(self, item: Item) -> Outcome:
        plan = self._plan
        if isinstance(item, Result):
            camera = item.info.camera
            outcome = plan.desks[camera].result(item, self._clock.monotonic_ns())
            if outcome.dropped is not None:
                plan.count(camera, outcome.dropped, 1)
            for message in outcome.feed:  # at once: its readers want it now, and it needs no disk
                plan.delivery.feed(message, outcome.feed_deadline_ns)
            if outcome.age_ns is not None:
                plan.aged(camera, outcome.age_ns)
            plan.release(camera)
            return outcome
        if isinstance(item, Still):
            return plan.desks[item.info.camera].still(item.info)
        if isinstance(item, SourceEnd):
            plan.release(item.camera)
            return plan.desks[item.camera].source_end()
        if isinstance(item, Lost):
            plan.release(item.camera)
            return plan.desks[item.camera].lost(item.connection)
        return plan.desks[item.camera].change(item)

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Make the events durable in one commit, then tell of them."""
        events = [event for outcome in outcomes for event in outcome.events]
        if events:
            self._plan.store.append(events)
        states = {topic: payload for outcome in outcomes for topic, payload in outcome.states.items()}
        for topic, payload in states.items():
            self._plan.states(topic, payload)
        if events or states:
            self._plan.delivery.poke()
        for event in events:
            self._plan.told(event)

    def _tick(self) -> None:
        """Let time pass where no frame comes, and keep the last sightings: a crash ends events where they were."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._ticked_ns < _TICK_NS:
            return
        self._ticked_ns = now_ns
        desks = self._plan.desks.values()
        self._settle([desk.tick(now_ns) for desk in desks])
        if now_ns - self._touched_ns >= _TOUCH_NS:
            self._touched_ns = now_ns
            # Also with nothing open: the store heals after a full disk, and keeps its bounds, in here.
            self._plan.store.touch({key: at for desk in desks for key, at in desk.open_events().items()})
