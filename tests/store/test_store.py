from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from servers.made_events import NOON_NS, SECOND_NS, encode, encode_interrupted, make_event

from streamer.core.clock import FakeClock
from streamer.core.errors import StoreError
from streamer.store.history import open_history
from streamer.store.store import EventStore, open_store
from streamer.store.trim import Bounds, used_bytes

if TYPE_CHECKING:
    from pathlib import Path


def opened(data_dir: Path, *, clock: FakeClock | None = None) -> EventStore:
    return open_store(data_dir, encode=encode, clock=clock or FakeClock())


def pending_ids(store: EventStore) -> list[tuple[str, int]]:
    outbox = store.outbox()
    rows = outbox.pending(0, 1_000_000)
    outbox.close()
    return [(json.loads(row.payload)["id"], json.loads(row.payload)["seq"]) for row in rows]


def test_what_was_appended_is_there_after_a_crash(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([make_event("a"), make_event("b", camera="yard")])
    store.append([make_event("a", "end", 1, at_s=3)])
    with closing(sqlite3.connect(tmp_path / "events.db")) as other:  # no close of ours before
        assert other.execute("SELECT count(*) FROM outbox").fetchone() == (3,)
    assert pending_ids(store) == [("a", 0), ("b", 0), ("a", 1)]
    store.close()


def test_a_row_knows_its_topic_and_quality(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([make_event("a", camera="yard")])
    outbox = store.outbox()
    (row,) = outbox.pending(0, 10)
    assert (row.topic, row.qos) == ("yard/event", 1)
    outbox.close()
    store.close()


def test_the_age_runs_to_the_moment_of_storing_and_is_null_for_a_file(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    captured_ns = clock.monotonic_ns()
    clock.advance(0.25)
    store.append([make_event("live", captured_ns=captured_ns), make_event("file", captured_ns=None)])
    outbox = store.outbox()
    live, file = (json.loads(row.payload)["age_ms"] for row in outbox.pending(0, 10))
    assert 250.0 <= live <= 260.0  # 250 ms and the estimate of a commit
    assert file is None
    outbox.close()
    store.close()


def test_ids_rise_over_runs_also_when_nothing_is_left(tmp_path: Path) -> None:
    seen: list[int] = []
    for run in range(3):
        store = opened(tmp_path)
        store.append([make_event(f"run-{run}")])
        outbox = store.outbox()
        rows = outbox.pending(0, 10)
        seen += [row.id for row in rows]
        outbox.confirm([row.id for row in rows])
        outbox.close()
        store.close()
    assert seen == sorted(set(seen))
    assert len(seen) == 3


def test_a_crash_leaves_open_events_that_the_next_run_ends_at_their_last_sighting(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([make_event("open"), make_event("over"), make_event("over", "end", 1, at_s=1)])
    store.touch({"open": NOON_NS + 7 * SECOND_NS, "unknown": NOON_NS})
    store._db.close()  # as a crash does
    store._lock.close()
    again = opened(tmp_path)
    assert again.interrupted(encode_interrupted) == 1
    assert again.interrupted(encode_interrupted) == 0
    outbox = again.outbox()
    last = json.loads(outbox.pending(0, 10)[-1].payload)
    assert (last["id"], last["seq"], last["end_reason"], last["at"]) == (
        "open",
        1,
        "interrupted",
        NOON_NS + 7 * SECOND_NS,
    )
    outbox.close()
    again.close()
    with closing(open_history(tmp_path)) as history:
        rows = {row.id: row for row in history.query()}
    assert rows["open"].end_reason == "interrupted"
    assert rows["open"].ended_utc_ns == NOON_NS + 7 * SECOND_NS
    assert rows["over"].end_reason == "gone"


def test_a_full_store_drops_delivered_events_then_updates_then_the_oldest_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 60.0)
    store = opened(tmp_path)

    def bound_to(share: float) -> None:
        store._bounds = Bounds(max_bytes=round(used_bytes(store._db) * share), max_age_s=1e9)
        store.touch({})

    store.append([make_event(f"old-{i}", "end", 1) for i in range(600)])
    outbox = store.outbox()
    outbox.confirm([row.id for row in outbox.pending(0, 1_000)])
    for i in range(1_000):
        store.append([make_event(f"e{i}"), make_event(f"e{i}", "update", 1), make_event(f"e{i}", "end", 2)])
    bound_to(0.99)
    assert set(store.dropped) == {"history_size"}
    bound_to(0.95)
    assert store.dropped["history_size"] == 600
    assert 0 < store.dropped["update_size"] < 1_000
    assert store.dropped["event_size"] == 0
    assert ("e999", 1) in pending_ids(store)  # the newest updates are there
    assert ("e0", 1) not in pending_ids(store)
    bound_to(0.5)
    assert store.dropped["update_size"] == 1_000
    left = pending_ids(store)
    assert len(left) == 2_000 - store.dropped["event_size"] > 0
    oldest = int(left[0][0][1:])
    assert left == [(f"e{i}", seq) for i in range(oldest, 1_000) for seq in (0, 2)]  # whole events, the newest
    outbox.close()
    store.close()


def test_a_full_store_with_nothing_delivered_looks_through_its_history_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.append([make_event(f"e{i}", "end", 1) for i in range(3_000)])
    store._bounds = Bounds(max_bytes=round(used_bytes(store._db) * 0.5), max_age_s=1e9)
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    store.touch({})
    store._db.set_trace_callback(None)
    assert store.dropped["event_size"] > 0
    looks = [statement for statement in asked if "ended > -1" in statement]
    assert len(looks) == 1
    store.close()


def test_trimming_holds_nobody_up_for_long_and_goes_on_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 0.0)  # each step is over the limit
    store = opened(tmp_path)
    store.append([make_event(f"e{i}", "end", 1) for i in range(1_000)])
    store._bounds = Bounds(max_bytes=1, max_age_s=1e9)
    for dropped in range(200, 1_001, 200):
        store.touch({})
        assert store.dropped == {"event_size": dropped}
    store.touch({})
    assert store.dropped == {"event_size": 1_000}
    store.close()


def test_what_is_too_old_goes_and_is_counted_by_whether_it_was_delivered(tmp_path: Path) -> None:
    clock = FakeClock(utc_ns=NOON_NS)
    store = open_store(tmp_path, encode=encode, clock=clock, max_age_s=3_600.0)
    store.append([make_event("sent", "end"), make_event("waiting", "end"), make_event("open")])
    outbox = store.outbox()
    outbox.confirm([outbox.pending(0, 1)[0].id])
    clock.advance(3_000.0)
    store.touch({})
    assert not store.dropped
    clock.advance(700.0)
    store.touch({})
    assert store.dropped == {"history_age": 1, "event_age": 1}
    assert pending_ids(store) == [("open", 0)]
    outbox.close()
    store.close()


def test_what_was_stored_before_the_machine_knew_the_time_is_not_old(tmp_path: Path) -> None:
    clock = FakeClock(utc_ns=NOON_NS)
    store = opened(tmp_path, clock=clock)
    store.append([make_event("in-1970", "end", at_s=-1_700_000_000 + 60)])
    store.touch({})
    assert pending_ids(store) == [("in-1970", 0)]
    store.close()


class _FullDisk:
    """Stands before a connection and lets nothing be committed while `full`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.full = True

    def execute(self, sql: str, *args: object) -> object:
        if self.full and sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, *args)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)


def test_a_full_disk_takes_the_ballast_first_then_memory_and_heals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    store = opened(tmp_path, clock=clock)
    ballast = tmp_path / "ballast"
    assert ballast.stat().st_size == 8 << 20
    disk = _FullDisk(store._db)
    store._db = disk  # type: ignore[assignment]
    store.append([make_event("a"), make_event("b")])
    assert not ballast.exists()
    assert store.not_durable == 2
    assert store.refusal is not None
    outbox = store.outbox()
    rows = outbox.pending(0, 10)
    assert [json.loads(row.payload)["id"] for row in rows] == ["a", "b"]  # sent from memory
    outbox.confirm([rows[0].id])
    assert outbox.undelivered() == 1
    disk.full = False
    clock.advance(2.0)
    store.append([make_event("a", "end", 1)])
    assert store.refusal is None
    assert pending_ids(store) == [("b", 0), ("a", 1)]
    assert outbox.pending(0, 10)[0] == rows[1]  # under the id it had in memory
    clock.advance(20.0)
    store.touch({})
    assert ballast.exists()
    with closing(open_history(tmp_path)) as history:
        assert {row.id: row.seq for row in history.query()} == {"a": 1, "b": 0}
    assert len([r for r in caplog.records if "takes nothing" in r.message]) == 1
    outbox.close()
    store.close()


def test_what_the_broker_has_taken_from_memory_is_not_called_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path)
    store._db = _FullDisk(store._db)  # type: ignore[assignment]
    store.append([make_event("a"), make_event("b")])
    outbox = store.outbox()
    outbox.leave([outbox.pending(0, 10)[0].id])
    assert outbox.undelivered() == 2  # the next run repeats it, if the disk takes it at the end
    outbox.close()
    store.close()
    assert "1 messages were neither stored nor delivered" in caplog.text


def test_memory_is_bounded_and_updates_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.store.store._HELD_BYTES", 50_000)
    store = opened(tmp_path)
    store._db = _FullDisk(store._db)  # type: ignore[assignment]
    for i in range(40):
        store.append([make_event(f"e{i}"), make_event(f"e{i}", "update", 1)])
    assert store.dropped["update_memory"] >= 20
    outbox = store.outbox()
    kinds = [json.loads(row.payload)["type"] for row in outbox.pending(0, 1_000)]
    assert kinds.count("start") == 40 - store.dropped["event_memory"]
    assert len(kinds) == 80 - store.dropped["update_memory"] - store.dropped["event_memory"]
    outbox.close()
    store.close()


@pytest.mark.parametrize("damage", ["header", "middle", "tail"])
def test_a_damaged_store_is_kept_aside_and_what_is_readable_carried_over(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(tmp_path)
    store.append([make_event(f"e{i}") for i in range(2_000)])
    store.close()
    path = tmp_path / "events.db"
    content = bytearray(path.read_bytes())
    start = {"header": 0, "middle": len(content) // 2, "tail": len(content) - 20_000}[damage]
    content[start : start + 20_000] = b"\xa5" * 20_000
    path.write_bytes(content)
    again = opened(tmp_path)
    again.append([make_event("new")])
    left = pending_ids(again)
    assert left[-1] == ("new", 0)
    if damage != "header":
        assert len(left) > 1_000
    assert [p for p in tmp_path.iterdir() if p.name.startswith("events.db.damaged-")]
    assert "is damaged" in caplog.text
    again.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        (known,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Streamer"):
        opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.execute(f"PRAGMA user_version = {known}")
    opened(tmp_path).close()  # the refusal has given the lock back


def test_close_is_idempotent_and_frees_the_directory(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.close()
    store.close()
    with closing(opened(tmp_path)) as again:
        assert again.refusal is None
