from __future__ import annotations

import threading

from streamer.core.errors import ChannelClosed
from streamer.pipeline.worker import Worker


def test_a_closed_channel_is_a_normal_end() -> None:
    ended = threading.Event()

    def loop() -> None:
        raise ChannelClosed

    worker = Worker("x", loop, at_end=ended.set)
    worker.start()
    assert worker.join(2)
    assert ended.is_set()
    assert worker.failure is None


def test_a_fault_is_kept_for_the_supervisor_and_the_end_is_still_announced() -> None:
    ended = threading.Event()

    def loop() -> None:
        raise ValueError("broken")

    worker = Worker("x", loop, at_end=ended.set)
    worker.start()
    assert worker.join(2)
    assert ended.is_set()
    assert isinstance(worker.failure, ValueError)


def test_a_stuck_worker_is_told_by_join() -> None:
    release = threading.Event()
    worker = Worker("x", lambda: (release.wait(5), None)[1])
    worker.start()
    assert not worker.join(0.01)
    assert worker.alive()
    release.set()
    assert worker.join(2)


def test_joining_one_that_never_started_is_no_fault() -> None:
    assert Worker("x", lambda: None).join(0.1)
