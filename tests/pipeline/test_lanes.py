from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from servers.made_events import encode, make_event

from streamer.core.clock import FakeClock
from streamer.pipeline.feed_lane import FeedLane
from streamer.pipeline.lanes import RowLane, StateLane
from streamer.publish.base import Message
from streamer.publish.memory import MemorySink
from streamer.publish.states import StateBoard
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamer.store.outbox import Outbox


class Wakes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[EventStore]:
    opened = open_store(tmp_path, encode=encode, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def outbox(store: EventStore) -> Iterator[Outbox]:
    opened = store.outbox()
    yield opened
    opened.close()


def sent(sink: MemorySink) -> list[str]:
    return [json.loads(message.payload)["id"] for message in sink.sent]


def refusing(*ids: str) -> MemorySink:
    sink = MemorySink()
    sink.refuse = lambda message: "no" if json.loads(message.payload)["id"] in ids else None
    return sink


def unreadable() -> sqlite3.Connection:
    raise sqlite3.OperationalError("disk I/O error")


def turn(lane: RowLane) -> None:
    lane.send()
    lane.take_answers()


def test_rows_go_out_in_order_and_wait_when_the_sink_is_full(
    store: EventStore, outbox: Outbox, clock: FakeClock
) -> None:
    sink = MemorySink(window=3, answers=False)
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event(f"e{i}") for i in range(5)])
    turn(lane)
    assert sent(sink) == ["e0", "e1", "e2"]
    assert not lane.idle()
    sink.answer()
    turn(lane)
    assert sent(sink) == ["e0", "e1", "e2", "e3", "e4"]
    sink.answer()
    turn(lane)
    assert lane.idle()
    assert lane.delivered == 5
    assert lane.undelivered() == 0


def test_a_row_stays_until_5_s_after_it_was_taken(store: EventStore, outbox: Outbox, clock: FakeClock) -> None:
    lane = RowLane(outbox, MemorySink(), clock=clock, wake=Wakes())
    store.append([make_event("a")])
    turn(lane)
    clock.advance(4.9)
    lane.confirm()
    assert outbox.undelivered() == 1
    clock.advance(0.2)
    lane.confirm()
    assert outbox.undelivered() == 0


def test_after_a_break_everything_unsafe_is_sent_again_in_order(
    store: EventStore, outbox: Outbox, clock: FakeClock
) -> None:
    sink = MemorySink()
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event("safe")])
    turn(lane)
    clock.advance(6.0)
    lane.confirm()
    store.append([make_event("taken"), make_event("waiting")])
    lane.stored()
    turn(lane)
    sink.lose()
    lane.start_over()
    store.append([make_event("new")])
    lane.stored()
    turn(lane)
    sink.connect()
    turn(lane)
    assert sent(sink) == ["safe", "taken", "waiting", "taken", "waiting", "new"]


def test_a_read_that_failed_is_done_again_when_house_is_kept(
    store: EventStore, outbox: Outbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes, sink = Wakes(), MemorySink()
    lane = RowLane(outbox, sink, clock=clock, wake=wakes)
    store.append([make_event("a"), make_event("b")])
    assert lane.undelivered() == 2
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_connection", unreadable)
        turn(lane)
        lane.look_again()
        turn(lane)
        assert lane.undelivered() == 2  # as far as anybody knows
        assert sent(sink) == []
        assert not lane.idle()
    turn(lane)
    assert sent(sink) == []  # not in each turn: a disk that does not answer takes seconds to say so
    before = wakes.count
    lane.look_again()
    assert wakes.count == before + 1
    turn(lane)
    assert sent(sink) == ["a", "b"]
    assert lane.idle()
    lane.look_again()
    assert wakes.count == before + 3  # two answers
    assert lane.undelivered() == 0


def test_what_is_in_memory_goes_out_although_the_disk_can_not_be_read(
    store: EventStore, outbox: Outbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MemorySink()
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event("on-disk")])
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_connection", unreadable)
        store._hold([make_event("in-memory")])
        turn(lane)
    assert sent(sink) == ["in-memory"]
    lane.look_again()
    turn(lane)
    assert sent(sink) == ["in-memory", "on-disk"]
    assert lane.idle()


def test_a_late_answer_of_a_broken_connection_counts_for_nothing(
    store: EventStore, outbox: Outbox, clock: FakeClock
) -> None:
    sink = MemorySink(answers=False)
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event("a")])
    turn(lane)
    late = list(sink._open)
    sink.lose()
    lane.start_over()
    sink.connect()
    turn(lane)
    late[0](None)
    lane.take_answers()
    clock.advance(5.0)
    lane.confirm()
    assert outbox.undelivered() == 1
    sink.answer()
    lane.take_answers()
    clock.advance(5.0)
    lane.confirm()
    assert outbox.undelivered() == 0


def test_a_refused_row_is_parked_after_five_and_the_others_go_on(
    store: EventStore, outbox: Outbox, clock: FakeClock
) -> None:
    sink = refusing("bad")
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event("bad", camera="porch"), make_event("good", camera="yard")])
    turn(lane)
    assert sent(sink) == ["bad", "good"]
    for _ in range(100):
        clock.advance(1.0)
        turn(lane)
    assert sent(sink).count("bad") == 5
    assert sent(sink).count("good") == 1
    assert lane.parked == 1
    assert [row.event for row in outbox.parked()] == ["bad"]
    assert lane.idle()


def test_what_stands_behind_a_refused_row_of_its_topic_goes_again_behind_it(
    store: EventStore, outbox: Outbox, clock: FakeClock
) -> None:
    sink = refusing("first")
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event("first"), make_event("second"), make_event("other", camera="yard")])
    turn(lane)
    sink.refuse = lambda _message: None
    turn(lane)
    assert sent(sink) == ["first", "second", "other"]  # not at once
    clock.advance(1.1)
    turn(lane)
    assert sent(sink)[3:] == ["first", "second"]
    clock.advance(5.0)
    lane.confirm()
    assert outbox.undelivered() == 0


def test_a_refusal_is_tried_again_ever_more_slowly(store: EventStore, outbox: Outbox, clock: FakeClock) -> None:
    sink = refusing(*(f"e{i}" for i in range(30)))
    lane = RowLane(outbox, sink, clock=clock, wake=Wakes())
    store.append([make_event(f"e{i}") for i in range(30)])
    times: list[int] = []
    for second in range(200):
        before = len(sink.sent)
        turn(lane)
        turn(lane)
        times += [second] if len(sink.sent) > before else []
        clock.advance(1.0)
    assert times == [0, 1, 3, 7, 15]
    assert lane.parked == 30


def test_states_are_sent_when_they_change_and_all_of_them_on_a_new_connection(outbox: Outbox) -> None:
    board, sink = StateBoard(), MemorySink()
    lane = StateLane(board, outbox, sink, clock=FakeClock(), wake=Wakes())
    board.set("porch/status", b"1")
    board.set("yard/status", b"1")
    lane.start_over()
    lane.send()
    board.set("porch/status", b"2")
    lane.send()
    assert [(m.topic, m.payload) for m in sink.sent] == [
        ("porch/status", b"1"),
        ("yard/status", b"1"),
        ("porch/status", b"2"),
    ]
    assert all(m.retain and m.qos == 1 for m in sink.sent)
    sink.lose()
    sink.connect()
    lane.start_over()
    lane.send()
    assert [(m.topic, m.payload) for m in sink.sent[3:]] == [("yard/status", b"1"), ("porch/status", b"2")]
    lane.take_answers()
    assert lane.idle()
    assert outbox.retained() == {"porch/status", "yard/status"}


def test_topics_of_earlier_runs_are_cleared_and_forgotten(outbox: Outbox) -> None:
    outbox.remember_retained(["gone/status", "kept/status", "later/status"])
    board, sink = StateBoard(), MemorySink()
    lane = StateLane(board, outbox, sink, clock=FakeClock(), wake=Wakes())
    board.expect({"kept/status", "later/status"})
    board.set("kept/status", b"1")
    lane.start_over()
    lane.send()
    assert {(m.topic, m.payload) for m in sink.sent} == {("kept/status", b"1"), ("gone/status", b"")}
    lane.take_answers()
    assert outbox.retained() == {"kept/status", "later/status"}


def test_a_state_that_the_sink_has_no_room_for_goes_later(outbox: Outbox) -> None:
    board, sink = StateBoard(), MemorySink(window=1, answers=False)
    lane = StateLane(board, outbox, sink, clock=FakeClock(), wake=Wakes())
    lane.start_over()
    board.set("a", b"1")
    board.set("b", b"1")
    lane.send()
    assert not lane.idle()
    sink.answer()
    lane.take_answers()
    lane.send()
    assert [m.topic for m in sink.sent] == ["a", "b"]
    sink.answer()
    lane.take_answers()
    assert lane.idle()


def feed_message(number: int) -> Message:
    return Message(topic="porch/detections", payload=b"%d" % number, qos=0, retain=False)


def test_the_feed_drops_the_oldest_when_full_and_everything_without_a_connection() -> None:
    sink = MemorySink()
    lane = FeedLane(sink, clock=FakeClock(), capacity=3, wake=Wakes())
    assert not lane.put(feed_message(0))
    assert lane.dropped["disconnected"] == 1
    lane.start_over(connected=True)
    for i in range(1, 6):
        assert lane.put(feed_message(i))
    assert lane.dropped["full"] == 2
    lane.send()
    assert [m.payload for m in sink.sent] == [b"3", b"4", b"5"]
    lane.put(feed_message(6))
    lane.start_over(connected=False)
    assert lane.dropped["connection_lost"] == 1
    assert lane.sent == 3


def test_the_feed_is_bounded_in_bytes_as_pictures_are_among_it() -> None:
    sink = MemorySink()
    lane = FeedLane(sink, clock=FakeClock(), capacity=100, wake=Wakes())
    lane.start_over(connected=True)
    pictures = [replace(feed_message(i), payload=bytes([i]) * (12 << 20)) for i in range(4)]
    for picture in pictures:
        assert lane.put(picture)
    assert lane.dropped["full"] == 2  # 32 MiB are two of them
    lane.send()
    assert lane.put(replace(feed_message(9), payload=bytes(40 << 20)))  # one there always may be
    lane.send()
    assert [m.payload[:1] for m in sink.sent] == [b"\2", b"\3", b"\0"]
    assert lane.dropped["full"] == 2


def test_a_feed_message_that_found_no_room_wakes_when_there_is_some() -> None:
    sink, wakes = MemorySink(window=1, answers=False), Wakes()
    lane = FeedLane(sink, clock=FakeClock(), capacity=3, wake=wakes)
    lane.start_over(connected=True)
    lane.put(feed_message(1))
    lane.put(feed_message(2))
    lane.send()
    before = wakes.count
    sink.answer()
    assert wakes.count == before + 1
    lane.send()
    assert [m.payload for m in sink.sent] == [b"1", b"2"]


def test_a_feed_message_is_dropped_once_it_is_too_old_also_when_it_is_the_next_to_go() -> None:
    clock, sink = FakeClock(), MemorySink(window=1, answers=False)
    lane = FeedLane(sink, clock=clock, capacity=9, wake=Wakes())
    lane.start_over(connected=True)
    lane.put(feed_message(0))
    for i in range(1, 4):
        lane.put(feed_message(i), clock.monotonic_ns() + i * 1_000_000_000)
    lane.put(feed_message(4))
    lane.send()
    clock.advance(2.0)
    for _ in range(3):
        sink.answer()
        lane.send()
    assert [m.payload for m in sink.sent] == [b"0", b"3", b"4"]
    assert lane.dropped["too_old"] == 2
    assert lane.sent == 3
