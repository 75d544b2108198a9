from __future__ import annotations

import threading

import pytest

from streamer.ops.metrics import Metrics


def test_the_same_name_and_labels_are_one_counter() -> None:
    metrics = Metrics()
    metrics.counter("drops", camera="porch", cause="late").add()
    metrics.counter("drops", cause="late", camera="porch").add(2)
    metrics.counter("drops", camera="yard", cause="late").add(5)
    metrics.gauge("outbox_rows").set(7)
    metrics.gauge("outbox_rows").set(3)
    assert metrics.snapshot() == {
        ("drops", (("camera", "porch"), ("cause", "late"))): 3,
        ("drops", (("camera", "yard"), ("cause", "late"))): 5,
        ("outbox_rows", ()): 3,
    }


def test_a_snapshot_is_a_value() -> None:
    metrics = Metrics()
    counter = metrics.counter("frames")
    before = metrics.snapshot()
    counter.add()
    assert before == {("frames", ()): 0}
    assert counter.value == 1


def test_what_is_counted_elsewhere_is_in_each_snapshot_as_it_is_then() -> None:
    metrics, items = Metrics(), {"items": 1}
    metrics.include(lambda: items, camera="belt")
    metrics.counter("decoded", camera="belt").add(5)
    belt = (("camera", "belt"),)
    assert metrics.snapshot() == {("decoded", belt): 5, ("items", belt): 1}
    items["items"] = 2
    items["rejected_short"] = 1
    assert list(metrics.snapshot().items()) == [
        (("decoded", belt), 5),
        (("items", belt), 2),
        (("rejected_short", belt), 1),
    ]


def test_a_counter_only_grows() -> None:
    with pytest.raises(ValueError, match="only grows"):
        Metrics().counter("frames").add(-1)


def test_threads_lose_no_count() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(5_000):
            metrics.counter("frames", camera="porch").add()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=8)
    assert metrics.snapshot() == {("frames", (("camera", "porch"),)): 20_000}
