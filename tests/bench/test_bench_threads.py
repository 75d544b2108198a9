from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from streamer.bench import threads
from streamer.bench.threads import STAGES, ThreadTimes, spent, stage_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("streamer-capture-porch", "capture"),
        ("streamer-infer-coco", "infer"),
        ("streamer-openvino-0", "runtime"),
        (None, "runtime"),
        ("streamer-events", "events"),
        ("streamer-publish", "publish"),
        ("streamer-mqtt", "publish"),
        ("MainThread", "other"),
        ("streamer-bench-gauge", "other"),
    ],
)
def test_every_thread_belongs_to_a_stage(name: str | None, stage: str) -> None:
    assert stage_of(name) == stage
    assert stage in STAGES


def test_what_was_used_between_two_looks() -> None:
    names = {1: "MainThread", 2: "streamer-capture-porch", 3: "streamer-capture-yard"}
    before = ThreadTimes({1: 1.0, 2: 5.0, 4: 7.0, 5: 1.0}, names, 14.0)
    after = ThreadTimes({1: 1.5, 2: 6.0, 3: 0.25, 4: 9.0}, names, 18.0)  # 3 began, 5 ended, 4 is the runtime's own
    used = spent(before, after)
    assert used.stages == {
        "capture": 1.25,
        "infer": 0,
        "runtime": 2.0,
        "events": 0,
        "decide": 0,
        "publish": 0,
        "other": 0.75,
    }
    assert used.cameras == {"porch": 1.0, "yard": 0.25}
    assert used.process_s == 4.0


def test_a_kernel_that_does_not_tell(tmp_path: Path) -> None:
    looked = threads.look(tmp_path / "nowhere")
    assert spent(looked, looked).stages is None


def test_a_busy_thread_is_seen() -> None:
    if not threads.look().cpu_s:
        pytest.skip("needs /proc")
    stop = threading.Event()

    def burn() -> None:
        while not stop.is_set():
            sum(range(1000))

    worker = threading.Thread(target=burn, name="streamer-capture-x")
    before = threads.look()
    worker.start()
    until_s = time.monotonic() + 8.0
    while spent(before, after := threads.look()).cameras.get("x", 0.0) < 0.05 and time.monotonic() < until_s:
        stop.wait(0.01)
    stop.set()
    worker.join(5.0)
    used = spent(before, after)
    assert used.stages is not None
    assert used.cameras["x"] == used.stages["capture"] >= 0.05


def test_ticks_where_the_kernel_counts_no_ns(tmp_path: Path) -> None:
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "stat").write_text("77 (a) b) R " + " ".join(["0"] * 10) + " 150 50 0\n")
    assert threads.look(tmp_path).cpu_s == {77: 200 / threads._TICKS_PER_S}
