"""The verdicts of a run, put together: which frames are items, what fails them, and what a decision sets off."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from made_cameras import SPECS, made_cameras, made_frame

from streamer.core.clock import NS_PER_S, FakeClock, SystemClock
from streamer.core.decision import Verdict
from streamer.core.look import Classified
from streamer.core.results import Classification, Detections, ModelRef, Result, Timing
from streamer.factory import Factory
from streamer.gpio.memory_lines import MemoryOutput
from streamer.ops.health import Beats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.clock import Clock
    from streamer.core.decision import Decision
    from streamer.settings import Camera

LIVE = "source: 'rtsp://192.0.2.1/x'"
DETECT = "detect: {model: net, classes: {scratch: 0.5, car: 0.5}, fps: 5}"
VIEW = "classify: [{name: view, model: kind}, {name: weather, model: flaws}]"


def rule(decide: str = "deadline: 1s", judged: str = "class: scratch") -> str:
    return f"events: [{{name: bad, {judged}, decide: {{{decide}}}}}]"


def camera(keys: str, source: str = LIVE) -> Camera:
    return made_cameras(cam=f"{{{source}, {keys}}}")["cam"]


def factory(only: Camera, clock: Clock | None = None) -> Factory:
    clock = clock or FakeClock()
    return Factory({"cam": only}, SPECS, clock=clock, beats=Beats(clock))


def items(only: Camera, count: int) -> list[bool]:
    """Return which of so many frames, 20 a second, show an item."""
    clock = FakeClock()
    asked = factory(only, clock).is_item("cam", only)
    began_ns = clock.monotonic_ns()
    found = []
    for seq in range(count):
        found.append(asked(made_frame(seq, at_ns=began_ns + seq * NS_PER_S // 20)))
        clock.advance(0.05)
    return found


def test_where_nobody_decides_there_is_nothing_to_do() -> None:
    plain = camera(f"{DETECT}")
    it = factory(plain)
    assert (it.items, it.triggers(), it.first_states()) == ({}, {}, {})
    assert not it.is_item("cam", plain)(made_frame())
    it.lost(made_frame().info, "overrun")
    it.end("cam")
    it.stop()
    with ExitStack() as stack:
        workers = it.workers(
            stop=threading.Event(), states=lambda *_: None, tell=lambda _: None, count=lambda *_: None,
            left=lambda: None, stack=stack,
        )  # fmt: skip
    assert workers == ([], [])


def test_each_frame_that_the_detector_takes_is_an_item() -> None:
    assert items(camera(f"{DETECT}, {rule()}"), 9) == [True, False, False, False] * 2 + [True]
    every = camera(f"detect: {{model: net}}, frames: every, {rule('deadline: 1s', 'class: car')}")
    assert items(every, 3) == [True] * 3


@pytest.mark.parametrize(
    ("classify", "expected"),
    [
        ("[{name: view, model: kind, fps: 0}]", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("[{name: view, model: kind, every: 100ms}]", [0, 2, 4, 6, 8]),
        ("[{name: view, model: kind, fps: 0}, {name: weather, model: flaws, every: 10s}]", list(range(9))),
        ("[{name: view, model: kind}]", [0, 4, 8]),
    ],
)
def test_without_a_detector_items_come_at_the_rate_of_what_judges_them(classify: str, expected: list[int]) -> None:
    found = items(camera(f"classify: {classify}, {rule('deadline: 1s', 'labels: {view: [box]}')}"), 9)
    assert [seq for seq, item in enumerate(found) if item] == expected


def test_a_trigger_makes_the_next_frame_an_item_whatever_the_rate() -> None:
    only, clock = camera(f"{DETECT}, {rule('deadline: 1s, trigger: command')}"), FakeClock()
    it = factory(only, clock)
    asked, trigger = it.is_item("cam", only), it.triggers()["cam"]
    now_ns = clock.monotonic_ns()
    assert not asked(made_frame(0, at_ns=now_ns))
    trigger("A-1", now_ns)
    assert not asked(made_frame(1, at_ns=now_ns - 1))  # it was taken before
    assert asked(made_frame(2, at_ns=now_ns + 1))
    assert not asked(made_frame(3, at_ns=now_ns + 2))


def test_only_cameras_that_wait_for_commands_take_them() -> None:
    cameras = made_cameras(
        a=f"{{{LIVE}, {DETECT}, {rule()}}}",
        b=f"{{{LIVE}, {DETECT}, {rule('deadline: 1s, trigger: command')}}}",
        c=f"{{{LIVE}, {DETECT}}}",
    )
    clock = FakeClock()
    assert Factory(cameras, SPECS, clock=clock, beats=Beats(clock)).triggers().keys() == {"b"}


LOSSES = [
    pytest.param("class: scratch", None, "overrun", "overrun", id="the detector's frame"),
    pytest.param("class: scratch", None, "too_old", "failed", id="too old for it"),
    pytest.param("class: scratch", "weather", "overrun", None, id="a look that judges nothing"),
    pytest.param("labels: {view: [box]}", "view", "overrun", "overrun", id="the look that judges"),
    pytest.param("labels: {view: [box]}", None, "overrun", None, id="a frame of a detector that judges nothing"),
]


@pytest.mark.parametrize(("judged", "name", "cause", "reason"), LOSSES)
def test_what_is_lost_fails_an_item_only_where_it_is_judged_by_that(
    judged: str, name: str | None, cause: str, reason: str | None
) -> None:
    only, clock = camera(f"{DETECT}, {VIEW}, {rule('deadline: 1s', judged)}"), FakeClock()
    it = factory(only, clock)
    frame = made_frame(0, at_ns=clock.monotonic_ns())
    assert it.is_item("cam", only)(frame)
    it.lost(frame.info, cause, name=name)
    decided = it.items["cam"].take_decided(clock.monotonic_ns())
    assert [decision.reason for decision in decided] == ([] if reason is None else [reason])


def test_a_frame_is_judged_by_what_the_models_say_of_it_at_once() -> None:
    """In the thread of whoever tells it: the one that deals with events waits for the disk now and then."""
    both = f"{DETECT}, {VIEW}, {rule('deadline: 1s', 'class: scratch, labels: {view: [paper bag]}')}"
    only, clock = camera(both), FakeClock()
    it = factory(only, clock)
    asked = it.is_item("cam", only)
    frames = [made_frame(seq, at_ns=clock.monotonic_ns() - (1 - seq) * NS_PER_S // 5) for seq in range(2)]
    assert [asked(frame) for frame in frames] == [True, True]
    timing = Timing(captured_ns=0, taken_ns=0, inferred_ns=0)
    model = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
    for frame, best in zip(frames, (0, 1), strict=True):
        it.learn(Result(info=frame.info, output=Detections.empty(), timing=timing, model=model))
        output = Classification(class_ids=np.array([best, 1 - best], np.int32), scores=np.array([0.9, 0.1], np.float32))
        for name in ("weather", "view"):
            assert it.items["cam"].take_decided(clock.monotonic_ns()) == []
            it.learn(Classified(info=frame.info, name=name, track=None, output=output, timing=timing, model=model))
        (decision,) = it.items["cam"].take_decided(clock.monotonic_ns())
        assert decision.reason == (None, "Paper bag")[best]
    elsewhere = made_frame(0, camera="other").info
    it.learn(Result(info=elsewhere, output=Detections.empty(), timing=timing, model=model))  # it gives no verdicts


def test_what_has_its_verdict_need_not_be_looked_at_where_nothing_else_is_wanted() -> None:
    for keys, wanted in ((rule(), True), (f"{rule()}, publish_detections: true", False)):
        only, clock = camera(f"{DETECT}, {keys}"), FakeClock()
        it = factory(only, clock)
        frame = made_frame(0, at_ns=clock.monotonic_ns())
        assert it.is_item("cam", only)(frame)
        assert it.due_ns(frame.info) == (frame.info.captured_ns + NS_PER_S if wanted else None)
        clock.advance(2)
        (late,) = it.items["cam"].take_decided(clock.monotonic_ns())
        assert late.reason == "late"
        assert it.due_ns(frame.info) == (0 if wanted else None)


class Told:
    """What the decide thread hands out."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.came = threading.Semaphore(0)
        self.left = threading.Event()

    def __call__(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.came.release()


@contextmanager
def deciding(it: Factory, told: Told, states: dict[str, bytes] | None = None) -> Iterator[None]:
    """The decide thread of a factory, until it ends by itself or is stopped."""
    said: dict[str, bytes] = {} if states is None else states
    with ExitStack() as stack:
        (worker,), inputs = it.workers(
            stop=threading.Event(), states=said.__setitem__, tell=told, count=lambda *_: None, left=told.left.set,
            stack=stack,
        )  # fmt: skip
        assert inputs == []
        worker.start()
        try:
            yield
        finally:
            it.stop()
            assert worker.join(5)
            assert worker.failure is None
    assert told.left.is_set()


def test_a_judged_frame_leaves_at_once_and_a_stop_decides_what_is_open() -> None:
    clock = SystemClock()
    only = camera(f"{DETECT}, {rule('deadline: 60s, otherwise: accept')}")
    it, told = factory(only, clock), Told()
    asked = it.is_item("cam", only)
    frames = [made_frame(seq, at_ns=clock.monotonic_ns() - (2 - seq) * NS_PER_S) for seq in range(3)]
    with deciding(it, told):
        assert [asked(frame) for frame in frames] == [True] * 3
        scratch = Detections(
            boxes=np.array([[8, 8, 24, 24]], np.float32), scores=np.array([0.9], np.float32),
            class_ids=np.array([3], np.int32),
        )  # fmt: skip
        it.items["cam"].result(frames[0].info, scratch)
        assert told.came.acquire(timeout=5)
    verdicts = [(decision.number, decision.verdict, decision.reason) for decision in told.decisions]
    assert verdicts == [(1, Verdict.REJECT, "Scratch"), (2, Verdict.ACCEPT, "failed"), (3, Verdict.ACCEPT, "failed")]


def test_the_thread_ends_when_the_last_source_is_over() -> None:
    only = camera(f"detect: {{model: net}}, {rule('deadline: 1ms', 'class: car')}", "source: a.mp4")
    it, told = factory(only), Told()
    with deciding(it, told):
        frame = made_frame(0, at_ns=5, live=False)
        assert it.is_item("cam", only)(frame)
        it.items["cam"].result(frame.info, Detections.empty())
        it.end("cam")
        assert told.left.wait(5)
    assert [(decision.verdict, decision.late) for decision in told.decisions] == [(Verdict.ACCEPT, False)]


@pytest.mark.parametrize("live", [True, False], ids=["live", "recording"])
def test_a_reject_is_pulsed_once(monkeypatch: pytest.MonkeyPatch, *, live: bool) -> None:
    """A live item's pulse counts from the item; a recording's items went by long ago, so that it counts from now."""
    line = MemoryOutput()
    monkeypatch.setattr("streamer.factory.open_output", lambda _spec: line)
    monkeypatch.setattr("streamer.factory.require_gpiod", lambda: None)
    output = "output: {chip: gpiochip0, line: 4, pulse: 20ms}"
    only = camera(
        f"detect: {{model: net}}, frames: every, {rule(f'deadline: 60s, {output}', 'class: car')}",
        LIVE if live else "source: a.mp4",
    )
    clock = SystemClock()
    it, told = factory(only, clock), Told()
    states: dict[str, bytes] = {}
    assert {topic: json.loads(payload) for topic, payload in it.first_states().items()} == {"cam/alarm": None}
    with deciding(it, told, states):
        frame = made_frame(0, at_ns=clock.monotonic_ns() if live else 5, live=live)
        assert it.is_item("cam", only)(frame)
        car = Detections(
            boxes=np.array([[8, 8, 24, 24]], np.float32), scores=np.array([0.9], np.float32),
            class_ids=np.array([1], np.int32),
        )  # fmt: skip
        it.items["cam"].result(frame.info, car)
        assert told.came.acquire(timeout=5)
    assert [decision.verdict for decision in told.decisions] == [Verdict.REJECT]
    assert [level for _, level in line.told].count(True) == 1
    assert line.told[-1][1] is False
    assert states.get("cam/alarm", b"null") == b"null"
