"""The events thread: in which order things are dealt with, what is released, and what a recording waits for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from streamer.core.clock import FakeClock
from streamer.core.decision import Decision, Verdict
from streamer.core.errors import ChannelClosed
from streamer.core.frame import FrameInfo
from streamer.core.look import Classified
from streamer.core.results import Classification, Detections, ModelRef, Result, Timing
from streamer.pipeline.channel import Channel
from streamer.pipeline.events_loop import Events, EventsPlan, Item
from streamer.pipeline.frames import Lost, SourceEnd
from streamer.pipeline.messages import CameraChange, CameraState, Decided, Still
from streamer.pipeline.outcome import Outcome
from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.event import Event
    from streamer.pipeline.desk import CameraDesk

MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
TIMING = Timing(captured_ns=0, taken_ns=0, inferred_ns=0)


def info(seq: int, camera: str = "film") -> FrameInfo:
    return FrameInfo(camera=camera, connection=0, seq=seq, captured_ns=seq, utc_ns=seq, width=64, height=48, live=False)


def result(seq: int, camera: str = "film") -> Result:
    return Result(info=info(seq, camera), output=Detections.empty(), timing=TIMING, model=MODEL)


def answer(seq: int, track: int | None = 1, name: str = "kind", camera: str = "film") -> Classified:
    output = Classification(class_ids=np.zeros(1, np.int32), scores=np.ones(1, np.float32))
    return Classified(info=info(seq, camera), name=name, track=track, output=output, timing=TIMING, model=MODEL)


def change(camera: str = "film") -> CameraChange:
    return CameraChange(camera=camera, state=CameraState.ONLINE, reason=None, since_utc_ns=0, connection=0)


@dataclass
class Desk:
    """Notes its steps; after each result so many looks are on their way as `asks` says."""

    asks: dict[int, int] = field(default_factory=dict)  # number of a result -> looks
    lanes: int = 1
    steps: list[str] = field(default_factory=list)
    open_looks: int = 0
    marks: int = 0
    states: dict[str, bytes] = field(default_factory=dict)
    feed: list[Message] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def waiting(self) -> bool:
        return self.open_looks > 0

    def result(self, result: Result, now_ns: int) -> Outcome:
        assert now_ns
        self.steps.append(f"result {result.info.seq}")
        self.open_looks += self.asks.get(result.info.seq, 0)
        return Outcome(states=dict(self.states), feed=list(self.feed), events=list(self.events), age_ns=5)

    def classified(self, classified: Classified, now_ns: int) -> Outcome:
        assert now_ns
        self.steps.append(f"answer {classified.info.seq}")
        self.open_looks -= classified.track is not None
        return Outcome(dropped="camera_lost" if classified.info.seq < 0 else None)

    def still(self, info: FrameInfo) -> Outcome:
        self.steps.append(f"still {info.seq}")
        return Outcome()

    def change(self, change: CameraChange) -> Outcome:
        self.steps.append(change.state.value)
        return Outcome()

    def lost(self, mark: Lost) -> Outcome:
        self.steps.append(f"lost {mark.connection}")
        return Outcome()

    def source_end(self) -> Outcome:
        self.marks += 1
        self.steps.append("end")
        return Outcome(over=self.marks == self.lanes)

    def tick(self, _now_ns: int) -> Outcome:
        return Outcome()

    def stop(self, _utc_ns: int) -> Outcome:
        self.steps.append("stop")
        return Outcome()

    def open_events(self) -> dict[str, int]:
        return {}


class Rig:
    """An events thread, run in the test's own thread."""

    def __init__(self, **desks: Desk) -> None:
        self.clock = FakeClock()
        self.inbox: Channel[Item] = Channel(64, writers=1, lost=lambda *_: None)
        self.done: list[str] = []  # what the loop told others, in order
        self.counts: Counter[tuple[str, str]] = Counter()
        self.aged: list[tuple[str, int]] = []
        self.kept: list[Sequence[tuple[Decision, bytes]]] = []
        self.states: dict[str, bytes] = {}
        store = SimpleNamespace(
            append=lambda events: self.done.append(f"append {len(events)}"),
            touch=lambda _: None,
            decided=self.kept.append,
        )
        delivery = SimpleNamespace(
            feed=lambda message, _deadline: self.done.append(f"feed {message.topic}"),
        )
        self.events = Events(
            EventsPlan(
                inbox=self.inbox,
                desks=cast("dict[str, CameraDesk]", desks),
                store=cast("Any", store),
                delivery=cast("Any", delivery),
                stored=lambda: self.done.append("poke"),
                states=self.states.__setitem__,
                done=lambda _info: None,
                release=lambda lane: self.done.append(f"release {lane}"),
                ended=lambda camera: self.done.append(f"ended {camera}"),
                count=lambda camera, name, n: self.counts.update({(camera, name): n}),
                aged=lambda camera, ns: self.aged.append((camera, ns)),
                told=lambda _event: self.done.append("told"),
            ),
            clock=self.clock,
            beat=lambda: None,
        )

    def deal(self, *items: Item) -> None:
        """Let the loop deal with these, all at once, and end."""
        for item in items:
            lane = item.lane if isinstance(item, (SourceEnd, Lost)) else "any"
            self.inbox.put(lane, item, keep=True)
        self.inbox.leave()
        with pytest.raises(ChannelClosed):
            self.events.loop()


def test_a_recordings_next_result_waits_for_the_answers_to_the_looks_of_this_one() -> None:
    desk = Desk(asks={0: 2, 1: 0, 2: 1})
    Rig(film=desk).deal(
        change(), result(0), result(1), Still(info=info(2)), answer(0), result(2), answer(0), result(3), answer(2)
    )
    order = "online, result 0, answer 0, answer 0, result 1, still 2, result 2, answer 2, result 3, stop"
    assert desk.steps == order.split(", ")


def test_what_waits_is_not_released_so_that_no_more_than_a_lane_holds_comes() -> None:
    rig = Rig(film=Desk(asks={0: 1}))
    rig.deal(result(0), result(1), SourceEnd("film"), answer(0))
    assert rig.done == ["release film", "release film/kind", "release film", "release film", "ended film"]


def test_one_camera_that_waits_holds_up_no_other() -> None:
    film, other = Desk(asks={0: 1}), Desk()
    Rig(film=film, other=other).deal(result(0), result(1), result(0, "other"), result(1, "other"), answer(0))
    assert other.steps == ["result 0", "result 1", "stop"]
    assert film.steps == ["result 0", "answer 0", "result 1", "stop"]


def test_answers_that_never_come_are_not_waited_for_when_the_run_ends() -> None:
    desk = Desk(asks={0: 1})
    rig = Rig(film=desk)
    rig.deal(result(0), result(1), Lost("film", 0), SourceEnd("film"))
    assert desk.steps == ["result 0", "result 1", "lost 0", "end", "stop"]
    assert rig.done.count("release film") == 4


def test_a_source_is_over_when_each_of_its_lanes_is() -> None:
    rig = Rig(film=Desk(lanes=3))
    rig.deal(SourceEnd("film/view"), result(0), SourceEnd("film"), answer(1, None, "door"), SourceEnd("film/door"))
    assert rig.done == [
        "release film/view", "release film", "release film", "release film/door", "release film/door", "ended film",
    ]  # fmt: skip


def test_answers_are_counted_and_aged_under_their_camera() -> None:
    rig = Rig(film=Desk())
    rig.deal(result(0), answer(-1), answer(1))
    assert rig.counts == {("film", "camera_lost"): 1}
    assert rig.aged == [("film", 5)]


def test_the_feed_goes_at_once_and_events_are_stored_before_anyone_is_told() -> None:
    message = Message(topic="film/detections", payload=b"", qos=0, retain=False)
    event = cast("Event", object())
    rig = Rig(film=Desk(feed=[message], states={"film/objects/person": b"1"}, events=[event]))
    rig.deal(result(0), result(1))
    assert rig.done == [
        "feed film/detections", "release film", "feed film/detections", "release film", "append 2", "poke", "told",
        "told",
    ]  # fmt: skip
    assert rig.states == {"film/objects/person": b"1"}


def test_verdicts_are_kept_whatever_a_camera_waits_for() -> None:
    decision = Decision(
        camera="film", item="1", number=1, verdict=Verdict.ACCEPT, reason=None, captured_utc_ns=None,
        captured_ns=None, began_ns=0, decided_ns=0, expires_ns=None, late=False,
    )  # fmt: skip
    rig = Rig(film=Desk(asks={0: 1}))
    rig.deal(result(0), Decided(decision=decision, payload=b"{}"))
    assert rig.kept == [[(decision, b"{}")]]
