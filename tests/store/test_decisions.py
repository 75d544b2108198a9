"""A factory's decisions in the store: grouped, bounded, kept while the disk is full, and in files of older versions."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.made_decisions import SECOND_NS, make_decision
from servers.made_events import NOON_NS, encode, encode_interrupted, make_event

from streamer.core.clock import FakeClock
from streamer.core.decision import Verdict
from streamer.store.decisions import NotedDecisions
from streamer.store.history import open_history
from streamer.store.store import EventStore, open_store
from streamer.store.trim import Bounds, used_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.decision import Decision
    from streamer.store.rows import DecisionRow

OLD = Path(__file__).with_name("written_by_schema_1.sql")  # a file of the first version, as `iterdump` gives it


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(utc_ns=NOON_NS)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[EventStore]:
    opened = open_store(tmp_path, encode=encode, clock=clock)
    yield opened
    opened.close()


def noted(store: EventStore, clock: FakeClock, *numbers: int, camera: str = "belt") -> None:
    made = [make_decision(n, camera=camera, now_ns=clock.monotonic_ns()) for n in numbers]
    store.decided([(decision, payload(decision)) for decision in made])


def payload(decision: Decision) -> bytes:
    return json.dumps({"number": decision.number, "camera": decision.camera}).encode()


def read(data_dir: Path, **wanted: object) -> list[DecisionRow]:
    with closing(open_history(data_dir)) as history:
        return history.decisions(**wanted)  # type: ignore[arg-type]


def numbers(data_dir: Path, **wanted: object) -> list[int]:
    return [json.loads(row.payload)["number"] for row in read(data_dir, **wanted)]


def test_all_that_is_known_of_a_decision_is_kept(tmp_path: Path, store: EventStore, clock: FakeClock) -> None:
    made = make_decision(7, item="A-7", verdict=Verdict.REJECT, reason="short", now_ns=clock.monotonic_ns(), late=True)
    clock.advance(0.5)
    store.decided([(made, b"{}")])
    store.touch({})
    (row,) = read(tmp_path)
    assert (row.camera, row.item, row.verdict, row.reason, row.late) == ("belt", "A-7", "reject", "short", True)
    assert (row.decided_utc_ns, row.payload) == (NOON_NS, b"{}")


def test_they_cost_no_commit_of_their_own(tmp_path: Path, store: EventStore, clock: FakeClock) -> None:
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    for number in range(1, 20):
        noted(store, clock, number)
    assert asked == []
    store.append([make_event("a")])  # they go with the next events
    assert asked.count("COMMIT") == 1
    assert numbers(tmp_path) == list(range(1, 20))
    noted(store, clock, 20)
    store.touch({"a": NOON_NS})  # or with the next sightings, a second later at most
    store._db.set_trace_callback(None)
    assert [what for what in asked if what in {"COMMIT", "ROLLBACK"}][:2] == ["COMMIT", "COMMIT"]
    assert numbers(tmp_path) == list(range(1, 21))


def test_a_clean_end_keeps_those_of_the_last_second(tmp_path: Path, clock: FakeClock) -> None:
    store = open_store(tmp_path, encode=encode, clock=clock)
    noted(store, clock, 1, 2)
    store.close()
    assert numbers(tmp_path) == [1, 2]


def test_they_are_read_in_order_by_camera_and_time_and_followed(
    tmp_path: Path, store: EventStore, clock: FakeClock
) -> None:
    noted(store, clock, 1, 2)
    clock.advance(10.0)
    noted(store, clock, 1, camera="press")
    noted(store, clock, 3)
    store.touch({})
    assert numbers(tmp_path, camera="belt") == [1, 2, 3]
    assert numbers(tmp_path, since_utc_ns=NOON_NS + 5 * SECOND_NS) == [1, 3]
    assert numbers(tmp_path, limit=2) == [1, 2]
    assert numbers(tmp_path, limit=2, newest=True) == [1, 3]
    with closing(open_history(tmp_path)) as history:
        last = history.decisions()[-1].changed
        assert history.decisions(after=last) == []
        noted(store, clock, 4)
        store.append([make_event("a")])
        assert [json.loads(row.payload)["number"] for row in history.decisions(after=last)] == [4]


def test_places_rise_over_runs_and_events_also_when_nothing_is_left(tmp_path: Path, clock: FakeClock) -> None:
    places: list[int] = []
    for run in range(3):
        store = open_store(tmp_path, encode=encode, clock=clock)
        noted(store, clock, 1)
        store.append([make_event(f"run-{run}")])
        places += [row.changed for row in read(tmp_path)]
        store._db.execute("DELETE FROM decisions")
        store.close()
    assert places == sorted(set(places))
    assert len(places) == 3


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


def test_a_full_disk_takes_them_once_it_works_again(tmp_path: Path, store: EventStore, clock: FakeClock) -> None:
    disk = _FullDisk(store._db)
    store._db = disk  # type: ignore[assignment]
    noted(store, clock, 1)
    store.append([make_event("a")])  # gives the ballast up, in vain
    assert store.refusal is not None
    noted(store, clock, 2)
    store.touch({})
    assert numbers(tmp_path) == []
    assert store.not_durable == 1  # the event: a decision is sent before it is stored anyway
    disk.full = False
    clock.advance(2.0)
    noted(store, clock, 3)
    store.touch({})
    assert store.refusal is None
    assert numbers(tmp_path) == [1, 2, 3]
    store.touch({})
    assert numbers(tmp_path) == [1, 2, 3]  # once each


def test_a_full_disk_without_events_is_noticed_and_heals(tmp_path: Path, store: EventStore, clock: FakeClock) -> None:
    disk = _FullDisk(store._db)
    store._db = disk  # type: ignore[assignment]
    noted(store, clock, 1)
    for _ in range(3):  # it has room for ballast, and gives that up first
        store.touch({})
    assert store.refusal is not None
    disk.full = False
    clock.advance(2.0)
    store.touch({})
    assert store.refusal is None
    assert numbers(tmp_path) == [1]


def test_memory_is_bounded_and_the_oldest_go(
    tmp_path: Path, store: EventStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store._decisions = NotedDecisions(most=10)
    disk = _FullDisk(store._db)
    store._db = disk  # type: ignore[assignment]
    noted(store, clock, *range(1, 26))
    assert store.dropped == {"decision_memory": 15}
    store.touch({})
    store.touch({})
    disk.full = False
    clock.advance(2.0)
    store.touch({})
    assert numbers(tmp_path) == list(range(16, 26))
    disk.full = True
    noted(store, clock, 26)
    store.close()
    assert "1 decisions could not be stored" in caplog.text


def test_the_size_bound_takes_the_oldest_of_them_before_any_event(
    tmp_path: Path, store: EventStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 60.0)
    store.append([make_event(f"e{i}", "end", 1) for i in range(300)])
    with closing(store.outbox()) as outbox:  # history, as decisions are
        outbox.confirm([row.id for row in outbox.pending(0, 1_000)])
    noted(store, clock, *range(1, 3_001))
    store.touch({})
    store._bounds = Bounds(max_bytes=round(used_bytes(store._db) * 0.7), max_age_s=1e9)
    store.touch({})
    dropped = store.dropped["decision_size"]
    assert set(store.dropped) == {"decision_size"}
    assert 400 < dropped < 3_000
    assert used_bytes(store._db) <= store._bounds.max_bytes
    assert numbers(tmp_path, limit=10_000) == list(range(dropped + 1, 3_001))


def test_what_is_too_old_goes_a_part_at_a_time(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.trim._LIMIT_S", 0.0)  # each step is over the limit
    store = open_store(tmp_path, encode=encode, clock=clock, max_age_s=3_600.0)
    noted(store, clock, *range(1, 301))
    store.touch({})
    clock.advance(3_700.0)
    noted(store, clock, 301)
    store.touch({})
    assert store.dropped == {"decision_age": 200}
    clock.advance(61.0)
    store.touch({})
    assert store.dropped == {"decision_age": 300}
    assert numbers(tmp_path) == [301]
    store.close()


def test_what_was_decided_before_the_machine_knew_the_time_is_not_old(tmp_path: Path) -> None:
    clock = FakeClock(utc_ns=60 * SECOND_NS)
    store = open_store(tmp_path, encode=encode, clock=clock)
    noted(store, clock, 1)
    store.touch({})
    clock.advance(1.7e9)
    store.touch({})
    assert not store.dropped
    store.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data directory that the first version has left."""
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.executescript(OLD.read_text())
    return tmp_path


def test_a_store_of_the_first_version_is_read_before_and_carried_on(old: Path, clock: FakeClock) -> None:
    with closing(open_history(old)) as history:  # no run of this version was there yet
        assert history.decisions() == []
        before = history.query()
        store = open_store(old, encode=encode, clock=clock)
        assert history.query() == before
        assert history.decisions() == []
        outbox = store.outbox()
        assert [json.loads(r.payload)["id"] for r in outbox.pending(0, 10)] == ["over", "over", "over", "open"]
        assert outbox.retained() == {"porch/status"}
        assert store.interrupted(encode_interrupted) == 1
        noted(store, clock, 1)
        store.append([make_event("new")])
        assert [row.changed for row in history.decisions()] > [before[-1].changed]
        assert [row.id for row in history.query()] == ["over", "sent", "open", "new"]
        outbox.close()
        store.close()
    with closing(sqlite3.connect(old / "events.db")) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
    assert version == 3
    open_store(old, encode=encode, clock=clock).close()
    assert numbers(old) == [1]


def test_a_migrated_store_has_the_tables_of_a_new_one(old: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def tables(data_dir: Path) -> set[tuple[str, str]]:
        open_store(data_dir, encode=encode, clock=FakeClock()).close()
        with closing(sqlite3.connect(data_dir / "events.db")) as db:
            return {
                (name, sql.strip()) for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql > ''")
            }

    assert tables(old) == tables(tmp_path_factory.mktemp("new"))


def test_a_power_cut_while_migrating_leaves_the_old_file(
    old: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {1: "BEGIN IMMEDIATE; CREATE TABLE decisions (id INTEGER); SELECT no_such_function();"}
    with monkeypatch.context() as patch, pytest.raises(Exception, match="no such function"):
        patch.setattr("streamer.store.database._MIGRATIONS", broken)
        open_store(old, encode=encode, clock=clock)
    store = open_store(old, encode=encode, clock=clock)
    noted(store, clock, 1)
    store.close()
    assert numbers(old) == [1]


def test_a_damaged_store_of_the_first_version_is_carried_over_without_a_word_of_what_it_never_had(
    old: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(old / "events.db")) as db:
        db.execute("DROP TABLE meta")
        db.execute("PRAGMA user_version = 1")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_started'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    content = bytearray((old / "events.db").read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    (old / "events.db").write_bytes(content)
    store = open_store(old, encode=encode, clock=clock)
    noted(store, clock, 1)
    store.close()
    with closing(open_history(old)) as history:
        assert [row.id for row in history.query()] == ["over", "sent", "open"]
    assert numbers(old) == [1]
    assert "is damaged" in caplog.text
    assert "read no further" not in caplog.text


def test_a_damaged_store_gives_its_decisions_to_the_new_one(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path, encode=encode, clock=clock)
    noted(store, clock, *range(1, 2_001))
    store.close()
    path = tmp_path / "events.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = b"\xa5" * 20_000
    path.write_bytes(content)
    open_store(tmp_path, encode=encode, clock=clock).close()
    left = numbers(tmp_path, limit=10_000)
    assert 500 < len(left) < 2_000
    assert left == sorted(set(left))
    assert "is damaged" in caplog.text


def test_a_name_from_outside_is_stored_as_it_is(tmp_path: Path, store: EventStore, clock: FakeClock) -> None:
    made = replace(make_decision(1, now_ns=clock.monotonic_ns()), item="'); DROP TABLE decisions; --")
    store.decided([(made, b"{}")])
    store.touch({})
    assert [row.item for row in read(tmp_path)] == ["'); DROP TABLE decisions; --"]
