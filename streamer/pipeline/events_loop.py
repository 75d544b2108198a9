"""The thread that owns tracks, rules and the store's writing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.errors import ChannelClosed
from streamer.core.look import Classified, camera_of, look_lane
from streamer.core.results import Result

from .frames import Lost, SourceEnd
from .messages import CameraChange, Decided, Still

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.clock import Clock
    from streamer.core.event import Event
    from streamer.core.frame import FrameInfo
    from streamer.store.store import EventStore

    from .channel import Channel
    from .deliver import Delivery
    from .desk import CameraDesk
    from .outcome import Outcome

Taken = Result | Classified | Still | SourceEnd | Lost | CameraChange
Item = Taken | Decided

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
    stored: Callable[[], None]  # events were stored, or states changed
    states: Callable[[str, bytes], None]  # a retained topic has a new payload
    done: Callable[[FrameInfo], None]  # nobody wants the picture of a frame any more
    release: Callable[[str], None]  # a taken frame of this camera, or a mark, has been dealt with
    ended: Callable[[str], None]  # a camera's finite source is over: no object of it will be looked at any more
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
        self._behind: dict[str, deque[Taken]] = {camera: deque() for camera in plan.desks}  # what waits for an answer

    def loop(self) -> None:
        """Deal with everything that waits, then commit once; at the end, end what is open.

        Thread: events.  Ends: every capture and inference thread has left, or `inbox` was closed; what waits is dealt
        with first.
        Blocks on: inbox.take_all (put, leave, close, 0.25 s), the store's commit (the disk).
        """
        try:
            while True:
                self._beat()
                self._settle([done for item in self._plan.inbox.take_all(_IDLE_S) for done in self._deal(item)])
                self._tick()
        except ChannelClosed:
            self._settle([self._step(item) for behind in self._behind.values() for item in behind])
            utc_ns = self._clock.utc_ns()
            self._settle([desk.stop(utc_ns) for desk in self._plan.desks.values()])
            raise

    def _deal(self, item: Item) -> list[Outcome]:
        """Take the next step of a camera, and those that it had to wait for.

        While a recording's desk waits for a classifier, all but its answers stand behind: at most what is outstanding
        in the camera's lane.
        """
        if isinstance(item, Decided):  # it has been told already
            self._plan.store.decided([(item.decision, item.payload)])
            return []
        camera = _camera_of(item)
        desk, behind = self._plan.desks[camera], self._behind[camera]
        if not isinstance(item, Classified) and (behind or desk.waiting()):
            behind.append(item)
            return []
        outcomes = [self._step(item)]
        while behind and not desk.waiting():
            outcomes.append(self._step(behind.popleft()))
        return outcomes

    def _step(self, item: Taken) -> Outcome:
        plan, desk = self._plan, self._plan.desks[_camera_of(item)]
        if isinstance(item, Result):
            outcome = desk.result(item, self._clock.monotonic_ns())
            for message in outcome.feed:  # at once: its readers want it now, and it needs no disk
                plan.delivery.feed(message, outcome.feed_deadline_ns)
            self._count(item.info.camera, outcome)
            plan.done(item.info)
            plan.release(item.info.camera)
            return outcome
        if isinstance(item, Classified):
            outcome = desk.classified(item, self._clock.monotonic_ns())
            self._count(item.info.camera, outcome)
            plan.release(look_lane(item.info.camera, item.name))
            return outcome
        if isinstance(item, Still):
            return desk.still(item.info)
        if isinstance(item, CameraChange):
            return desk.change(item)
        plan.release(item.lane)
        if isinstance(item, Lost):
            return desk.lost(item)
        outcome = desk.source_end()
        if outcome.over:
            plan.ended(_camera_of(item))
        return outcome

    def _count(self, camera: str, outcome: Outcome) -> None:
        if outcome.dropped is not None:
            self._plan.count(camera, outcome.dropped, 1)
        if outcome.age_ns is not None:
            self._plan.aged(camera, outcome.age_ns)

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Make the events durable in one commit, then tell of them."""
        events = [event for outcome in outcomes for event in outcome.events]
        if events:
            self._plan.store.append(events)
        states = {topic: payload for outcome in outcomes for topic, payload in outcome.states.items()}
        for topic, payload in states.items():
            self._plan.states(topic, payload)
        if events or states:
            self._plan.stored()
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


def _camera_of(item: Taken) -> str:
    if isinstance(item, (Result, Classified, Still)):
        return item.info.camera
    return item.camera if isinstance(item, CameraChange) else camera_of(item.lane)
