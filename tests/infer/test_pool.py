from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.infer.backends.base import IN_FLIGHT
from streamer.infer.backends.pool import Outputs, Pool

BATCH = np.zeros((1, 2, 2, 3), np.uint8)
LIMIT_S = 0.05  # for what is meant to hang


def answer(slot: int, batch: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Outputs:
    del slot
    return (batch.astype(np.float32),)


def test_no_thread_before_the_first_batch_and_none_after_close() -> None:
    before = threading.active_count()
    pool = Pool(name="x", threads=2, run=answer, on_ready=lambda: None)
    assert threading.active_count() == before
    pool.collect(pool.submit(BATCH))
    assert any(t.name.startswith("streamer-x") for t in threading.enumerate())
    pool.close()
    assert threading.active_count() == before


def test_slots_run_at_once() -> None:
    both = threading.Barrier(2)

    def meet(slot: int, batch: object) -> Outputs:
        del slot, batch
        both.wait(5)
        return ()

    pool = Pool(name="x", threads=2, run=meet, on_ready=lambda: None)
    tickets = [pool.submit(BATCH), pool.submit(BATCH)]
    assert [pool.collect(t) for t in tickets] == [(), ()]
    pool.close()


class Hung:
    """A runtime that gives no answer until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, slot: int, batch: object) -> Outputs:
        del slot, batch
        assert self.go.wait(8)
        return ()


def test_a_hang_is_an_error_of_collect_and_submit_and_close_waits_for_it_no_more() -> None:
    hung = Hung()
    # Were its limit waited for again at the close, this would be the test's end.
    pool = Pool(name="x", threads=1, run=hung, on_ready=lambda: None, limit_s=LIMIT_S)
    tickets = [pool.submit(BATCH) for _ in range(IN_FLIGHT)]
    assert not pool.hung
    with pytest.raises(BackendError, match=r"x: no answer within 0\.05 s"):
        pool.collect(tickets[0])
    assert pool.hung
    assert not pool.ready(tickets[0])
    with pytest.raises(BackendError, match="no answer"):
        pool.submit(BATCH)
    pool._limit_s = 60.0
    pool.close()
    pool.close()
    (left,) = [t for t in threading.enumerate() if t.name == "streamer-x-0"]
    hung.go.set()
    left.join(timeout=5)  # a late answer ends it: nothing that waited behind is begun
    assert not left.is_alive()


def test_a_hang_that_nobody_has_seen_is_an_error_of_close() -> None:
    hung = Hung()
    pool = Pool(name="x", threads=1, run=hung, on_ready=lambda: None, limit_s=LIMIT_S)
    pool.submit(BATCH)
    with pytest.raises(BackendError, match=r"could not be closed within 0\.05 s"):
        pool.close()
    assert pool.hung
    pool.close()
    hung.go.set()


def test_only_the_first_answer_has_the_longer_limit() -> None:
    go = threading.Semaphore(0)

    def slow(slot: int, batch: object) -> Outputs:
        del slot, batch
        assert go.acquire(timeout=8)
        return ()

    pool = Pool(name="x", threads=1, run=slow, on_ready=lambda: None, limit_s=LIMIT_S, first_limit_s=5.0)
    first = pool.submit(BATCH)
    later = threading.Timer(3 * LIMIT_S, go.release)
    later.start()
    pool.collect(first)
    with pytest.raises(BackendError, match=r"no answer within 0\.05 s"):
        pool.collect(pool.submit(BATCH))
    pool.close()
    go.release()
    later.join(timeout=5)


def test_a_hung_runtime_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import threading
import numpy as np
from streamer.core.errors import BackendError
from streamer.infer.backends.pool import Pool
hang = lambda slot, batch: threading.Event().wait()
pool = Pool(name="x", threads=1, run=hang, on_ready=lambda: None, limit_s=0.05)
try:
    pool.collect(pool.submit(np.zeros((1, 2, 2, 3), np.uint8)))
except BackendError as exc:
    print(exc)
pool.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=9, check=True)
    assert done.stdout == "x: no answer within 0.05 s\n"


def test_what_run_raises_is_raised_by_collect_each_time() -> None:
    def fail(slot: int, batch: object) -> Outputs:
        del batch
        raise BackendError(f"slot {slot}")

    ready = threading.Semaphore(0)
    pool = Pool(name="x", threads=1, run=fail, on_ready=ready.release)
    ticket = pool.submit(BATCH)
    assert ready.acquire(timeout=5)
    for _ in range(2):
        assert pool.ready(ticket)
        with pytest.raises(BackendError, match="slot 0"):
            pool.collect(ticket)
    pool.close()


def test_a_failure_that_nobody_collected_is_not_lost() -> None:
    def fail(slot: int, batch: object) -> Outputs:
        del batch
        raise BackendError(f"slot {slot}")

    pool = Pool(name="x", threads=1, run=fail, on_ready=lambda: None)
    for _ in range(IN_FLIGHT):
        pool.submit(BATCH)
    with pytest.raises(BackendError, match="slot 0"):
        pool.submit(BATCH)
    pool.close()


def test_batches_of_changing_size() -> None:
    pool = Pool(name="x", threads=2, run=answer, on_ready=lambda: None)
    for count in (1, 4, 2, 4):
        batch = np.full((count, 2, 2, 3), count, np.uint8)
        (output,) = pool.collect(pool.submit(batch))
        np.testing.assert_array_equal(output, batch)
    pool.close()


class Thing:
    """What is submitted in place of a batch."""


def test_an_idle_thread_holds_nothing_of_a_batch_that_is_answered() -> None:
    def nothing(slot: int, thing: Thing) -> Outputs:
        del slot, thing
        return ()

    pool: Pool[Thing] = Pool(name="x", threads=1, run=nothing, on_ready=lambda: None)
    thing = Thing()
    held = weakref.ref(thing)
    ticket = pool.submit(thing)
    del thing
    pool.collect(ticket)
    assert held() is None
    pool.close()


def test_a_failure_does_not_keep_what_it_saw_beyond_the_end_of_the_pool() -> None:
    """No ring of the failure, its traceback and the pool: what it holds goes now, not when the collector comes."""

    def fail(slot: int, thing: Thing) -> Outputs:
        del slot
        raise BackendError(f"no {thing}")

    pool: Pool[Thing] = Pool(name="x", threads=1, run=fail, on_ready=lambda: None)
    thing = Thing()
    held = weakref.ref(thing)
    ticket = pool.submit(thing)
    del thing
    gc.disable()
    try:
        with pytest.raises(BackendError, match="no "):
            pool.collect(ticket)
        pool.close()
        assert held() is None
    finally:
        gc.enable()


def test_a_closed_pool_has_no_outputs_any_more() -> None:
    pool = Pool(name="x", threads=1, run=answer, on_ready=lambda: None)
    ticket = pool.submit(BATCH)
    pool.collect(ticket)
    pool.close()
    with pytest.raises(BackendError, match="x: is closed"):
        pool.collect(ticket)
