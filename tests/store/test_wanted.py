"""Rows for others than the broker: who gets which, and that what is one's costs no other anything."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.made_events import NOON_NS, encode, encode_interrupted, make_event

from streamer.core.clock import FakeClock
from streamer.core.event import EventType
from streamer.store.history import open_history
from streamer.store.store import EventStore, open_store
from streamer.store.trim import Bounds, used_bytes
from streamer.store.wanted import SinkFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = SinkFilter(name="alarm")


def opened(
    data_dir: Path, *sinks: SinkFilter, clock: FakeClock | None = None, max_age_s: float = 86_400.0
) -> EventStore:
    clock = clock or FakeClock()
    return open_store(data_dir, encode=encode, clock=clock, sinks=sinks, max_age_s=max_age_s)


def waiting(store: EventStore, sink: str = "alarm") -> list[tuple[str, int]]:
    with closing(store.outbox(sink)) as outbox:
        rows = [json.loads(row.payload) for row in outbox.pending(0, 1_000_000)]
        assert outbox.undelivered() == len(rows)
    return [(row["id"], row["seq"]) for row in rows]


def deliver(store: EventStore, sink: str, count: int | None = None) -> None:
    with closing(store.outbox(sink)) as outbox:
        outbox.confirm([row.id for row in outbox.pending(0, 1_000_000)][:count])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ALL, ["a0", "a1", "a2", "b0", "c0"]),
        (replace(ALL, cameras=frozenset({"yard"})), ["b0"]),
        (replace(ALL, rules=frozenset({"person"})), ["a0", "a1", "a2", "b0"]),
        (replace(ALL, types=frozenset({EventType.START, EventType.END})), ["a0", "a2", "b0", "c0"]),
        (replace(ALL, cameras=frozenset({"porch"}), types=frozenset({EventType.END})), ["a2"]),
        (replace(ALL, rules=frozenset()), []),
    ],
)
def test_a_sink_gets_what_it_wants_and_the_broker_all(tmp_path: Path, wanted: SinkFilter, expected: list[str]) -> None:
    store = opened(tmp_path, wanted)
    store.append([make_event("a"), make_event("a", "update", 1), make_event("a", "end", 2)])
    store.append([make_event("b", camera="yard"), replace(make_event("c"), rule="parcel")])
    assert [f"{name}{seq}" for name, seq in waiting(store)] == expected
    assert len(waiting(store, "")) == 5
    store.close()


def test_rows_of_a_message_are_stored_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path, ALL, SinkFilter(name="siren"))
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    store.append([make_event("a"), make_event("a", "update", 1)])
    store._db.set_trace_callback(None)
    assert asked.count("COMMIT") == 1
    monkeypatch.setattr("streamer.store.store.UPSERT_EVENT", "INSERT INTO nowhere VALUES (1)")
    store.append([make_event("b")])  # fails behind the rows: kept in memory, not on the disk
    for sink in ("", "alarm", "siren"):
        with closing(sqlite3.connect(tmp_path / "events.db")) as db:
            count = db.execute("SELECT count(*) FROM outbox WHERE sink = ?", (sink,)).fetchone()
        assert count == (1,)
        assert waiting(store, sink) == [("a", 0), ("a", 1), ("b", 0)]
    store._db.close()
    store._lock.close()


def test_what_one_confirms_or_refuses_is_still_there_for_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path, ALL, SinkFilter(name="siren"))
    store.append([make_event("a"), make_event("b")])
    deliver(store, "siren", 1)
    with closing(store.outbox("alarm")) as outbox:
        first, _ = outbox.pending(0, 10)
        assert [outbox.refuse(first.id, "403 Forbidden") for _ in range(5)][-1]
        assert [row.event for row in outbox.parked()] == ["a"]
    assert "sink alarm: event a parked: porch/event was refused 5 times (403 Forbidden)" in caplog.text
    assert [waiting(store, sink) for sink in ("", "alarm", "siren")] == [[("a", 0), ("b", 0)], [("b", 0)], [("b", 0)]]
    for other in ("", "siren"):
        with closing(store.outbox(other)) as outbox:
            assert outbox.parked() == []
    store.close()


def test_an_event_that_a_crash_left_open_is_ended_for_those_who_want_ends(tmp_path: Path) -> None:
    starts = SinkFilter(name="starts", types=frozenset({EventType.START}))
    store = opened(tmp_path, ALL, starts)
    store.append([make_event("open")])
    store._db.close()  # as a crash does
    store._lock.close()
    again = opened(tmp_path, ALL, starts)
    assert again.interrupted(encode_interrupted) == 1
    assert waiting(again, "") == waiting(again, "alarm") == [("open", 0), ("open", 1)]
    assert waiting(again, "starts") == [("open", 0)]
    with closing(open_history(tmp_path)) as history:
        (row,) = history.query()
    assert (row.end_reason, row.seq) == ("interrupted", 1)
    again.close()


def test_history_is_what_nobody_waits_for_any_more(tmp_path: Path) -> None:
    clock = FakeClock(utc_ns=NOON_NS)
    store = opened(tmp_path, ALL, clock=clock, max_age_s=3_600.0)
    store.append([make_event("sent", "end"), make_event("wanted", "end")])
    deliver(store, "")
    deliver(store, "alarm", 1)
    clock.advance(3_700.0)
    store.touch({})
    assert store.dropped == {"history_age": 1}
    assert store.sink_dropped == {"alarm": {"event_age": 1}}
    assert waiting(store) == []
    with closing(open_history(tmp_path)) as history:
        assert history.query() == []
    store.close()


def bound_to(store: EventStore, share: float) -> None:
    store._bounds = Bounds(max_bytes=round(used_bytes(store._db) * share), max_age_s=1e9)
    store.touch({})


def test_a_full_store_takes_from_the_sink_that_is_away_and_leaves_the_broker_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 60.0)
    store = opened(tmp_path, ALL)
    kinds = ("start", "update", "end")
    store.append([make_event(f"e{i}", kind, seq) for i in range(1_000) for seq, kind in enumerate(kinds)])
    deliver(store, "", 2_700)  # the broker waits for the newest hundred events, the alarm for all
    brokers = waiting(store, "")
    assert len(brokers) == 300
    bound_to(store, 0.9)
    assert store.dropped == {}
    assert set(store.sink_dropped["alarm"]) == {"update_size"}
    bound_to(store, 0.5)
    assert store.sink_dropped["alarm"]["update_size"] >= 900
    assert store.sink_dropped["alarm"]["event_size"] > 0
    assert waiting(store, "") == [row for row in brokers if row[1] != 1 or not store.dropped["update_size"]]
    assert store.dropped["event_size"] == 0
    left = waiting(store)
    assert left == [row for row in left if row[0] >= left[0][0] or len(row[0]) > len(left[0][0])]  # the newest
    assert "update_size of sink alarm" in caplog.text
    store.close()


def test_dropping_finds_an_event_s_rows_by_the_event_not_among_all_of_a_sink(tmp_path: Path) -> None:
    store = opened(tmp_path, ALL)
    store.append([make_event(f"e{i}", "end", 1) for i in range(300)])
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    bound_to(store, 0.5)
    store._db.set_trace_callback(None)
    deletions = [s for s in asked if s.startswith("DELETE FROM") and "WHERE event = " in s]
    assert len(deletions) >= 200
    plans = [detail for s in deletions[:3] for *_, detail in store._db.execute(f"EXPLAIN QUERY PLAN {s}")]
    assert all("_event (event=?)" in plan for plan in plans), plans
    store.close()


def test_a_long_event_keeps_the_broker_s_end_when_the_away_sink_loses_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 60.0)
    store = opened(tmp_path, ALL)
    store.append([make_event("long")])
    store.append([make_event(f"e{i}", "end", 1) for i in range(1_000)])
    deliver(store, "")
    store.append([make_event("long", "end", 1)])
    bound_to(store, 0.6)
    assert store.sink_dropped["alarm"]["event_size"] > 0
    assert ("long", 0) not in waiting(store)
    assert waiting(store, "") == [("long", 1)]
    with closing(open_history(tmp_path)) as history:
        assert "long" in {row.id for row in history.query()}
    store.close()


def test_memory_is_given_up_by_the_sink_that_holds_most_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.store.store._HELD_BYTES", 100_000)
    store = opened(tmp_path, ALL)
    store._db.execute("PRAGMA query_only = ON")  # a disk that takes nothing
    with closing(store.outbox()) as outbox:
        for i in range(100):
            store.append([make_event(f"e{i}")])
            outbox.confirm([row.id for row in outbox.pending(0, 10)])  # the broker keeps up
    assert store.not_durable == 100  # events, however many want them
    assert store.dropped == {}
    assert store.sink_dropped["alarm"]["event_memory"] > 50
    assert waiting(store)[-1] == ("e99", 0)
    store._db.execute("PRAGMA query_only = OFF")
    store._next_try_ns = 0
    store.touch({})
    assert store.refusal is None
    assert waiting(store, "") == []
    assert waiting(store)[-1] == ("e99", 0)
    with closing(open_history(tmp_path)) as history:
        rows = history.query()
    assert rows[-1].id == "e99"
    store.close()


def test_memory_spares_a_sink_that_holds_little_although_that_is_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.store._HELD_BYTES", 100_000)
    few = SinkFilter(name="few", types=frozenset({EventType.START}))
    store = opened(tmp_path, ALL, few)
    store._db.execute("PRAGMA query_only = ON")
    store.append([make_event(f"e{i}") for i in range(5)])
    store.append([make_event(f"e{i}", "end", 1) for i in range(100)])
    assert waiting(store, "few") == [(f"e{i}", 0) for i in range(5)]
    assert store.sink_dropped["few"] == {}
    assert store.dropped["event_memory"] > 20
    assert store.sink_dropped["alarm"]["event_memory"] > 20
    store._db.execute("PRAGMA query_only = OFF")
    store.close()


def test_counting_and_reading_look_at_no_other_sink_s_rows(tmp_path: Path) -> None:
    store = opened(tmp_path, ALL)
    store.append([make_event("a")])
    with closing(store.outbox()) as outbox:
        db = outbox._connection()
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        outbox.pending(0, 10)
        outbox.undelivered()
        outbox.parked()
        db.set_trace_callback(None)
        plans = [detail for s in asked for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {s}")]
    looks = [plan for plan in plans if plan.startswith(("SCAN", "SEARCH")) and "CONSTANT" not in plan]
    assert looks
    assert all("(sink=?" in plan for plan in looks), looks
    store.close()


def test_what_waits_for_a_sink_that_is_not_configured_is_named_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(tmp_path, ALL)
    first.append([make_event("a"), make_event("a", "update", 1)])
    first.close()
    opened(tmp_path).close()
    assert "2 messages wait for the sink alarm, which is not configured any more" in caplog.text
    caplog.clear()
    again = opened(tmp_path, ALL)
    assert waiting(again) == [("a", 0), ("a", 1)]
    assert caplog.text == ""
    again.close()


def test_the_broker_s_mark_is_nobody_s_name() -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        SinkFilter(name="")


@pytest.fixture
def second_version(tmp_path: Path) -> Path:
    """A data directory that the second version has left: some rows refused, one parked."""
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.executescript(Path(__file__).with_name("written_by_schema_2.sql").read_text())
    return tmp_path


def ids(rows: Sequence[tuple[str, int]]) -> list[str]:
    return [name for name, _ in rows]


def test_a_store_of_the_second_version_is_the_broker_s(second_version: Path) -> None:
    store = opened(second_version, ALL)
    assert ids(waiting(store, "")) == ["over", "over", "over", "open"]
    assert waiting(store) == []
    with closing(store.outbox()) as outbox:
        assert [row.event for row in outbox.parked()] == ["bad"]
        assert outbox.retained() == {"porch/status"}
    assert store.interrupted(encode_interrupted) == 1
    assert ids(waiting(store)) == ["open"]
    store.append([make_event("new")])
    assert ids(waiting(store, "")) == ["over", "over", "over", "open", "open", "new"]
    store.close()
    with closing(open_history(second_version)) as history:
        assert len(history.decisions()) == 1


def test_a_damaged_store_of_the_second_version_gives_all_its_rows(
    second_version: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(second_version / "events.db")) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_started'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    content = bytearray((second_version / "events.db").read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    (second_version / "events.db").write_bytes(content)
    store = opened(second_version)
    assert ids(waiting(store, "")) == ["over", "over", "over", "open"]
    store.close()
    assert "is damaged" in caplog.text
    assert "read no further" not in caplog.text


def test_a_damaged_store_keeps_each_sink_its_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(tmp_path, ALL)
    store.append([make_event(f"e{i}") for i in range(2_000)])
    deliver(store, "", 1_000)
    store.close()
    path = tmp_path / "events.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = b"\xa5" * 20_000
    path.write_bytes(content)
    again = opened(tmp_path, ALL)
    assert "is damaged" in caplog.text
    assert len(waiting(again)) > 1_000
    assert waiting(again, "") == [row for row in waiting(again, "") if int(row[0][1:]) >= 1_000]
    again.close()
