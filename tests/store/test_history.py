from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from servers.made_events import NOON_NS, SECOND_NS, encode, make_event

from streamer.core.clock import FakeClock
from streamer.core.errors import StoreError
from streamer.store.history import open_history
from streamer.store.store import open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_it_reads_while_a_run_writes_and_follows_it(tmp_path: Path) -> None:
    store = open_store(tmp_path, encode=encode, clock=FakeClock())
    store.append([make_event("a"), make_event("b", camera="yard")])
    with closing(open_history(tmp_path)) as history:
        rows = history.query()
        assert [(row.id, row.camera, row.rule, row.ended_utc_ns) for row in rows] == [
            ("a", "porch", "person", None),
            ("b", "yard", "person", None),
        ]
        assert [row.id for row in history.query(camera="yard")] == ["b"]
        assert history.query(after=rows[-1].changed) == []
        store.append([make_event("a", "end", 1, at_s=5)])
        (changed,) = history.query(after=rows[-1].changed)
        assert (changed.id, changed.end_reason, changed.seq) == ("a", "gone", 1)
        assert changed.ended_utc_ns == NOON_NS + 5 * SECOND_NS
        assert history.last() == changed.changed
    store.close()


def test_since_keeps_what_was_going_on_then(tmp_path: Path) -> None:
    store = open_store(tmp_path, encode=encode, clock=FakeClock())
    store.append([make_event("early", "end", at_s=1), make_event("late", "end", at_s=9), make_event("open")])
    store.close()
    with closing(open_history(tmp_path)) as history:  # no run is on
        assert [row.id for row in history.query(since_utc_ns=NOON_NS + 5 * SECOND_NS)] == ["late", "open"]
        first = history.query(limit=2)
        assert [row.id for row in first + history.query(limit=2, after=first[-1].changed)] == ["early", "late", "open"]


def test_no_store_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no events yet"):
        open_history(tmp_path)
    (tmp_path / "events.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="can't be read"):
        open_history(tmp_path)
