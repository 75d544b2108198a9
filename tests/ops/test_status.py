from __future__ import annotations

import io
import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from streamer.ops.log import LineFormatter, StderrHandler
from streamer.ops.status import (
    BrokerRow,
    CameraRow,
    ItemsRow,
    LiveStatus,
    ModelRow,
    SinkRow,
    Snapshot,
    one_line,
    render,
)

if TYPE_CHECKING:
    import pytest

SNAPSHOT = Snapshot(
    cameras=(
        CameraRow(
            camera="porch",
            state="online",
            size=(1280, 720),
            fps_in=25.04,
            inferred_per_s=5.0,
            drops=12_345,
            age_p50_ms=84.2,
            open_events=2,
        ),
        CameraRow(camera="yard[1]", state="offline", reason="login"),
        CameraRow(camera="attic", state="disabled"),
    ),
    models=(ModelRow(name="yolox-nano", backend="openvino", precision="f32", infer_ms=7.04),),
    broker=BrokerRow(address="localhost:1883", connected=False, undelivered=1_234, parked=1),
)


def drawn(snapshot: Snapshot, width: int = 110) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(snapshot))
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip(" ─")]


def test_every_number_is_in_its_row() -> None:
    title, porch, yard, attic, broker, model = drawn(SNAPSHOT)
    assert " ".join(title) == "camera state size fps in inferred/s dropped age p50 events"
    assert " ".join(porch) == "porch online 1280x720 25.0 5.0 12,345 84 ms 2"
    assert yard == ["yard[1]", "offline:", "login", "–", "–", "–", "0", "–", "0"]  # noqa: RUF001  the table's dash
    assert attic[:2] == ["attic", "disabled"]
    assert " ".join(broker) == "broker localhost:1883 not connected 1,234 waiting in the outbox 1 refused"
    assert " ".join(model) == "model yolox-nano openvino f32 7.0 ms"


def test_that_eighty_columns_are_enough() -> None:
    cameras = tuple(replace(row, camera=f"{row.camera:<9}".replace(" ", "x")) for row in SNAPSHOT.cameras)
    rows = drawn(replace(SNAPSHOT, cameras=cameras), width=80)
    assert not [word for row in rows for word in row if "…" in word]


def test_what_is_built_beside_a_model_stands_in_its_row() -> None:
    building = replace(SNAPSHOT.models[0], doing="building tensorrt f16: build 40%")
    *_, model = drawn(replace(SNAPSHOT, models=(building,)))
    assert " ".join(model) == "model yolox-nano openvino f32 7.0 ms building tensorrt f16: build 40%"


def test_a_model_that_is_built_before_it_is_opened_is_shown() -> None:
    building = ModelRow(name="yolox-nano", backend="", precision="", doing="building tensorrt f16: build 40%")
    *_, model = drawn(replace(SNAPSHOT, models=(building,)))
    assert " ".join(model) == "model yolox-nano building tensorrt f16: build 40%"


def test_a_sink_tells_its_trouble_behind_the_broker() -> None:
    sinks = (SinkRow(name="siren", undelivered=0), SinkRow(name="alarm", undelivered=12, parked=1, trouble="HTTP 503"))
    *_, siren, alarm, _ = drawn(replace(SNAPSHOT, sinks=sinks))
    assert " ".join(siren) == "sink siren 0 waiting in the outbox"
    assert " ".join(alarm) == "sink alarm 12 waiting in the outbox 1 refused HTTP 503"


def test_frames_saved_stand_apart_from_those_lost_and_only_where_there_are_any() -> None:
    porch, yard, _ = SNAPSHOT.cameras
    title, first, second, *_ = drawn(replace(SNAPSHOT, cameras=(replace(porch, still=67_890), yard)))
    assert " ".join(title) == "camera state size fps in inferred/s still dropped age p50 events"
    assert " ".join(first) == "porch online 1280x720 25.0 5.0 67,890 12,345 84 ms 2"
    assert second[4:] == ["–", "–", "–", "0", "–", "0"]  # noqa: RUF001  the table's dash


def test_what_became_of_items_stands_in_a_line_for_each_camera_that_decides() -> None:
    belt = ItemsRow(
        camera="belt",
        items=1_204,
        accepted=1_190,
        rejected=14,
        why_rejected=(("short", 9), ("open circuit", 3), ("late", 2)),
    )
    press = ItemsRow(camera="press", items=3, accepted=3, rejected=0, why_accepted=(("unsure", 1),))
    _, _, _, _, first, second, broker, _ = drawn(replace(SNAPSHOT, items=(belt, press)))
    assert " ".join(first) == "items belt 1,204 | accepted 1,190 | rejected 14 (short 9, open circuit 3, late 2)"
    assert " ".join(second) == "items press 3 | accepted 3 (unsure 1) | rejected 0"
    assert broker[0] == "broker"


def test_decisions_that_did_not_arrive_are_told_of() -> None:
    *_, broker, _ = drawn(replace(SNAPSHOT, broker=replace(SNAPSHOT.broker, parked=0, missed=1_003)))
    assert " ".join(broker).endswith("1,234 waiting in the outbox 1,003 decisions not delivered in time")


def test_no_line_is_wider_than_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(render(SNAPSHOT))
    assert isinstance(console.file, io.StringIO)
    assert all(len(line) <= 60 for line in console.file.getvalue().splitlines())


def test_one_line_for_systemctl() -> None:
    assert one_line(SNAPSHOT) == "1 of 2 cameras online, broker not connected, 1234 messages waiting"


def test_log_lines_scroll_above_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    console = Console(file=terminal, force_terminal=True, width=110)
    handler = StderrHandler()
    handler.setFormatter(LineFormatter())
    stderr = sys.stderr
    with LiveStatus(console) as live:
        live.update(SNAPSHOT)
        record = logging.LogRecord("streamer.x", logging.INFO, __file__, 1, "hello", None, None)
        handler.handle(record)
        live.update(SNAPSHOT)
    assert sys.stderr is stderr
    text = terminal.getvalue()
    assert "hello" in text
    assert text.index("porch") < text.index("hello") < text.rindex("porch")


def test_results_on_a_pipe_stay_on_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    results, terminal = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", results)
    with LiveStatus(Console(file=terminal, force_terminal=True, width=110)) as live:
        live.update(SNAPSHOT)
        sys.stdout.write('{"event":1}\n')
    assert results.getvalue() == '{"event":1}\n'
    assert '"event"' not in terminal.getvalue()
