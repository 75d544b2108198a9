"""What a run says of a factory's items: in the status table, in `stats` and with its last words."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from servers.made_decisions import make_decision
from servers.made_events import encode

from streamer.core.clock import FakeClock
from streamer.figures import Figures
from streamer.ops.metrics import Metrics
from streamer.ops.status import ItemsRow, SinkRow
from streamer.pipeline.deliver import Delivery
from streamer.publish.memory import MemorySink
from streamer.publish.states import StateBoard
from streamer.report import Report, items_row
from streamer.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamer.outgoing import Outgoing

SINKS = {"alarm": {"delivered": 3, "undelivered": 2, "parked": 1, "trouble": "HTTP 503"}}
COUNTS = {
    "items": 1_204, "accepted": 1_190, "rejected": 14, "late": 2,
    "rejected_open": 3, "rejected_short": 9, "otherwise_late": 2,
}  # fmt: skip


class Rig:
    """A report over a real store and delivery, of two cameras of which one decides."""

    def __init__(self, data_dir: Path) -> None:
        self.clock, self.sink, self.metrics = FakeClock(), MemorySink(), Metrics()
        self.store = open_store(data_dir, encode=encode, clock=self.clock)
        self.outbox = self.store.outbox()
        self.delivery = Delivery(self.outbox, self.sink, StateBoard(), clock=self.clock)
        self.figures = Figures(["belt", "yard"], self.metrics, self.clock)
        self.figures.count_items("belt", lambda: COUNTS)
        others = SimpleNamespace(figures=lambda: SINKS, undelivered=lambda: {"alarm": 2})
        out = SimpleNamespace(sink=self.sink, delivery=self.delivery, store=self.store, others=others)
        self.report = Report(
            self.figures,
            cast("Outgoing", out),
            names=[],
            models={},
            doing=lambda _model: None,
            address="localhost:1883",
        )

    def decide(self, number: int) -> None:
        self.delivery.decide(make_decision(number, now_ns=self.clock.monotonic_ns(), lasts_s=1.0))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.outbox.close()
    made.store.close()


def test_the_table_and_the_statistics_have_what_is_counted_elsewhere(rig: Rig) -> None:
    assert [row.camera for row in rig.report.snapshot({}).items] == ["belt"]
    cameras = json.loads(rig.report.statistics().payload)["cameras"]
    assert cameras["belt"]["items"] == COUNTS
    assert "items" not in cameras["yard"]
    numbers = rig.metrics.snapshot()
    assert numbers["rejected_short", (("camera", "belt"),)] == 9
    assert list(numbers) == sorted(numbers)


def test_what_did_not_arrive_is_in_all_three(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.decide(1)
    rig.sink.lose()
    rig.decide(2)
    rig.decide(3)
    rig.clock.advance(2.0)
    rig.decide(4)
    rig.delivery._keep_house(lambda: None)
    outbox = json.loads(rig.report.statistics().payload)["outbox"]
    assert (outbox["decisions_sent"], outbox["decisions_dropped"]) == (1, {"expired": 2, "refused": 0, "full": 0})
    assert json.loads(rig.report.statistics().payload)["sinks"] == SINKS
    assert rig.report.snapshot({}).sinks == (SinkRow(name="alarm", undelivered=2, parked=1, trouble="HTTP 503"),)
    assert rig.report.snapshot({}).broker.missed == 2
    with caplog.at_level(logging.INFO):
        rig.report.last_words()
    assert "items 1,204 | accepted 1,190 | rejected 14 (short 9, open 3, late 2)" in caplog.text
    assert "3 decisions did not reach the broker in their time" in caplog.text
    assert "sink alarm: 2 messages are not delivered" in caplog.text


def test_what_could_not_be_judged_is_rejected_or_accepted_as_the_configuration_wants_it() -> None:
    assert items_row("belt", COUNTS) == ItemsRow(
        camera="belt",
        items=1_204,
        accepted=1_190,
        rejected=14,
        why_rejected=(("short", 9), ("open", 3), ("late", 2)),
    )
    accepting = {**COUNTS, "accepted": 1_192, "rejected": 12}
    assert items_row("belt", accepting) == ItemsRow(
        camera="belt",
        items=1_204,
        accepted=1_192,
        rejected=12,
        why_accepted=(("late", 2),),
        why_rejected=(("short", 9), ("open", 3)),
    )
    unsure = {"items": 2, "accepted": 0, "rejected": 2, "late": 0, "rejected_late": 1, "otherwise_late": 1}
    assert items_row("belt", unsure).why_rejected == (("late", 2),)  # a class may be called so
    assert items_row("belt", dict.fromkeys(("items", "accepted", "rejected", "late"), 0)).why_rejected == ()
