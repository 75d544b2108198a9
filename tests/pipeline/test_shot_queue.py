"""Pictures that wait: in order, one for each event, bounded in bytes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
from event_shots import NBYTES, event, picture, shot

from streamer.evidence.stills import Shot
from streamer.pipeline.shot_queue import ShotQueue, Snap

if TYPE_CHECKING:
    from streamer.pipeline.shot_queue import Job


def taken(queue: ShotQueue) -> list[Job]:
    jobs = []
    while (job := queue.take()) is not None:
        jobs.append(job)
    return jobs


def names(jobs: list[Job]) -> list[str | None]:
    return [job.event_id if isinstance(job, Shot) else None for job in jobs]


def test_first_come_first_made() -> None:
    queue = ShotQueue(100 * NBYTES)
    for number in range(5):
        assert queue.put(shot(number)) == []
    assert names(taken(queue)) == [event(number) for number in range(5)]


def test_a_better_view_takes_the_place_of_one_that_still_waits() -> None:
    queue = ShotQueue(100 * NBYTES)
    better = shot(1, picture(200), first=False)
    for job in (shot(1), shot(2), better):
        queue.put(job)
    one, two = taken(queue)
    assert names([one, two]) == [event(1), event(2)]  # it has waited as long
    assert one.picture is better.picture
    assert isinstance(one, Shot)
    assert one.first  # nothing of that event has been made yet


def test_events_of_two_cameras_and_what_was_asked_for_are_apart() -> None:
    queue = ShotQueue(100 * NBYTES)
    for job in (shot(1), shot(1, camera="yard"), Snap(camera="porch", picture=picture())):
        queue.put(job)
    assert [job.camera for job in taken(queue)] == ["porch", "yard", "porch"]


def test_who_asks_twice_gets_the_newer_picture_once() -> None:
    queue, newer = ShotQueue(100 * NBYTES), picture()
    queue.put(Snap(camera="porch", picture=picture()))
    queue.put(Snap(camera="porch", picture=newer))
    (job,) = taken(queue)
    assert job.picture is newer


def test_the_oldest_go_when_too_many_wait() -> None:
    queue = ShotQueue(3 * NBYTES)
    dropped = [gone for number in range(5) for gone in queue.put(shot(number))]
    assert names(dropped) == [event(0), event(1)]
    assert names(taken(queue)) == [event(2), event(3), event(4)]


def test_what_is_only_better_goes_before_what_is_an_events_only_picture() -> None:
    queue = ShotQueue(3 * NBYTES)
    firsts = (True, False, True, True, False)
    dropped = [gone for number, first in enumerate(firsts) for gone in queue.put(shot(number, first=first))]
    assert names(dropped) == [event(1), event(4)]
    assert names(taken(queue)) == [event(0), event(2), event(3)]


def test_a_picture_that_several_events_share_counts_once() -> None:
    queue, one = ShotQueue(2 * NBYTES), picture()
    assert not any(queue.put(shot(number, one)) for number in range(9))
    assert queue.put(shot(9)) == []
    assert names(queue.put(shot(10))) == [event(number) for number in range(9)]  # only with all of them does it go


def test_a_picture_larger_than_all_that_may_wait_may_wait_alone() -> None:
    queue = ShotQueue(NBYTES // 2)
    assert queue.put(shot(1)) == []
    assert names(queue.put(shot(2))) == [event(1)]
    assert names(taken(queue)) == [event(2)]


def test_bytes_are_given_back_in_full(seed: int) -> None:
    """However jobs come, are replaced and dropped: what is held is what waits, and never too much."""
    dice, queue = np.random.default_rng(seed), ShotQueue(3 * NBYTES)
    shared = [picture() for _ in range(4)]
    for _ in range(500):
        if dice.random() < 0.3:
            queue.take()
        else:
            of = shared[dice.integers(4)] if dice.random() < 0.5 else None
            queue.put(shot(int(dice.integers(8)), of, first=bool(dice.random() < 0.5)))
        held = {id(job.picture) for job in queue._jobs.values()}
        assert queue._nbytes == NBYTES * len(held) <= 3 * NBYTES
    taken(queue)
    assert queue._nbytes == 0
    assert not queue._held


def test_closed_it_gives_back_what_waited_and_takes_no_more() -> None:
    queue = ShotQueue(100 * NBYTES)
    queue.put(shot(1))
    queue.put(shot(2))
    assert names(queue.close()) == [event(1), event(2)]
    late = shot(3)
    assert queue.put(late) == [late]
    assert queue.take() is None
    assert queue.close() == []


def test_any_number_of_threads_may_put() -> None:
    queue, gone = ShotQueue(10 * NBYTES), []
    made: list[Job] = []

    def put(first: int) -> None:
        for number in range(first, first + 200):
            gone.extend(queue.put(shot(number)))

    threads = [threading.Thread(target=put, args=(1000 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (job := queue.take()) is not None:
            made.append(job)
    for thread in threads:
        thread.join(5.0)
    made += taken(queue)
    assert len(made) + len(gone) == 600
    assert len(set(names(made + gone))) == 600
