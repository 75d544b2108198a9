from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from servers.made_events import encode, make_event

from streamer.core.clock import FakeClock
from streamer.store.store import EventStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(tmp_path, encode=encode, clock=FakeClock())
    yield opened
    opened.close()


def test_rows_come_in_order_in_steps(store: EventStore) -> None:
    store.append([make_event(f"e{i}") for i in range(10)])
    outbox = store.outbox()
    first = outbox.pending(0, 4)
    rest = outbox.pending(first[-1].id, 100)
    assert [json.loads(row.payload)["id"] for row in first + rest] == [f"e{i}" for i in range(10)]
    outbox.confirm([row.id for row in first])
    assert outbox.undelivered() == 6
    assert outbox.pending(0, 100) == rest
    outbox.close()


def test_five_refusals_park_a_row_over_restarts_too(store: EventStore, caplog: pytest.LogCaptureFixture) -> None:
    store.append([make_event("bad"), make_event("good")])
    outbox = store.outbox()
    bad, good = outbox.pending(0, 10)
    assert [outbox.refuse(bad.id, "Not authorized") for _ in range(3)] == [False] * 3
    outbox.close()
    outbox = store.outbox()  # as a new run has it
    assert [outbox.refuse(bad.id, "Not authorized") for _ in range(2)] == [False, True]
    assert outbox.pending(0, 10) == [good]
    assert outbox.undelivered() == 1
    (parked,) = outbox.parked()
    assert (parked.event, parked.topic, parked.refusals, parked.reason) == ("bad", "porch/event", 5, "Not authorized")
    assert "event bad parked: porch/event was refused 5 times (Not authorized)" in caplog.text
    outbox.close()


def test_counting_reads_no_row(store: EventStore) -> None:
    store.append([make_event(f"e{i}", kind, i) for i in range(5) for kind in ("start", "update")])
    outbox = store.outbox()
    first, *_ = outbox.pending(0, 1)
    assert [outbox.refuse(first.id, "no") for _ in range(5)][-1]
    asked: list[str] = []
    db = outbox._connection()
    db.set_trace_callback(asked.append)
    assert outbox.undelivered() == 9
    db.set_trace_callback(None)
    for statement in asked:
        plan = [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        looks = [detail for detail in plan if detail.startswith(("SCAN", "SEARCH")) and "CONSTANT" not in detail]
        assert len(looks) == 2
        assert all("COVERING INDEX" in detail or "_parked" in detail for detail in looks), looks
    outbox.close()


def test_a_failed_look_is_told_from_an_empty_outbox(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.append([make_event("a")])
    outbox = store.outbox()

    def unreadable() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_connection", unreadable)
        assert outbox.pending(0, 10) == []
        assert outbox.unread
        assert outbox.undelivered() is None
    assert "the outbox can't be read: disk I/O error" in caplog.text
    assert len(outbox.pending(0, 10)) == 1
    assert not outbox.unread
    assert outbox.undelivered() == 1
    outbox.close()


def test_retained_topics_are_remembered(store: EventStore) -> None:
    outbox = store.outbox()
    outbox.remember_retained(["porch/status", "porch/objects/dog"])
    outbox.remember_retained(["porch/status"])
    outbox.forget_retained(["porch/objects/dog"])
    outbox.close()
    outbox = store.outbox()
    assert outbox.retained() == {"porch/status"}
    outbox.close()


def test_a_disk_that_does_not_take_a_deletion_is_asked_again(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([make_event("a"), make_event("b")])
    outbox = store.outbox()
    a, b = outbox.pending(0, 10)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_write", lambda *_: False)
        outbox.confirm([a.id])
    assert outbox.pending(0, 10) == [b]  # not sent again meanwhile
    assert outbox.undelivered() == 1
    outbox.confirm([])
    assert outbox.undelivered() == 1
    outbox.close()
    outbox = store.outbox()
    assert outbox.pending(0, 10) == [b]
    outbox.close()
