"""What people read where verdicts come too late: once, with what to do, and not again for a minute."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from streamer.core.clock import FakeClock
from streamer.late_items import LateItems

if TYPE_CHECKING:
    import pytest

    from streamer.figures import Figures
    from streamer.settings import Camera


def test_that_late_items_are_told_with_their_models_and_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    counts = {"items": 0, "late": 0, "otherwise_late": 0}
    belt = SimpleNamespace(
        decides=SimpleNamespace(decide=SimpleNamespace(deadline_s=0.2)),
        classify=[SimpleNamespace(model="print"), SimpleNamespace(model="ink")],
        detect=SimpleNamespace(model="print"),
    )
    yard = SimpleNamespace(decides=None, classify=[], detect=SimpleNamespace(model="coco"))
    figures = SimpleNamespace(
        items=lambda camera: counts if camera == "belt" else None, infer_ms={"print": 412.3, "ink": None}.get
    )
    late = LateItems(cast("dict[str, Camera]", {"belt": belt, "yard": yard}), cast("Figures", figures), clock=clock)

    def told(seconds: int) -> list[str]:
        caplog.clear()
        for _ in range(seconds):
            clock.advance(1)
            counts["items"] += 20
            late.look()
        return [record.getMessage() for record in caplog.records]

    assert told(30) == []
    counts["late"] += 4  # they got no picture: no fault of a model
    assert told(30) == []
    counts["otherwise_late"] += 7
    assert told(5) == []
    (said,) = told(1)
    assert said.startswith("7 of 1320 items had no verdict within the deadline of 200 ms")
    assert "(model ink does not answer yet, model print takes 412 ms)" in said
    assert "a longer deadline" in said
    counts["otherwise_late"] += 3
    assert told(59) == []
    assert told(1)[0].startswith("3 of 1200 items")
