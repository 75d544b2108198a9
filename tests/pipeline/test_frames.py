from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.errors import ChannelClosed
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.pipeline.frames import OUTSTANDING, FrameQueue, Lane, Lost, Mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = np.zeros((4, 4), np.uint8)


def frame(
    camera: str, seq: int, *, at_s: float | None = None, recalled: bool = False, pixels: NDArray[np.uint8] = PIXELS
) -> Frame:
    picture = Picture(format=PixelFormat.GRAY, planes=(pixels,), width=4, height=4)
    at_ns = round((seq if at_s is None else at_s) * 1e9)
    info = FrameInfo(
        camera=camera, connection=0, seq=seq, captured_ns=at_ns, utc_ns=at_ns, width=4, height=4, live=True,
        recalled=recalled,
    )  # fmt: skip
    return Frame(info=info, picture=picture)


class Losses:
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def __call__(self, frame: Frame, cause: str) -> None:
        self.counts[frame.lane, cause] += 1


def seqs(items: list[Frame | Mark]) -> list[tuple[str, int]]:
    return [(i.lane, -1) if isinstance(i, Mark) else (i.info.camera, i.info.seq) for i in items]


def test_the_newest_frame_takes_the_slot_and_the_old_one_is_counted() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST}, losses)
    for seq in range(3):
        queue.offer(frame("a", seq))
    assert seqs(queue.take(8, 0)) == [("a", 2)]
    assert losses.counts == {("a", "superseded"): 2}
    assert queue.take(8, 0) == []


def test_cameras_are_served_in_turn() -> None:
    queue = FrameQueue({"a": Lane.NEWEST, "b": Lane.NEWEST, "c": Lane.NEWEST}, Losses())
    served = []
    for seq in range(6):
        for camera in "abc":
            queue.offer(frame(camera, seq))
        served += [camera for camera, _ in seqs(queue.take(1, 0))]
    assert Counter(served) == {"a": 2, "b": 2, "c": 2}


def test_a_batch_takes_one_of_each_camera_first() -> None:
    queue = FrameQueue({"a": Lane.BUFFER, "b": Lane.NEWEST}, Losses())
    queue.offer(frame("a", 0, at_s=0))
    queue.offer(frame("a", 1, at_s=0.1))
    queue.offer(frame("b", 0))
    assert seqs(queue.take(3, 0)) == [("a", 0), ("b", 0), ("a", 1)]


def test_a_file_waits_for_room_and_loses_nothing() -> None:
    losses = Losses()
    queue = FrameQueue({"f": Lane.WAIT}, losses)

    def read() -> None:
        for seq in range(50):
            queue.offer(frame("f", seq))
        queue.finish("f")

    reader = threading.Thread(target=read)
    reader.start()
    got = []
    with pytest.raises(ChannelClosed):
        while True:
            for item in queue.take(1, 1.0):
                got.append(item)
                queue.release("f")
    reader.join(2)
    assert seqs(got) == [("f", seq) for seq in range(50)] + [("f", -1)]
    assert not losses.counts


def test_a_lane_whose_results_wait_is_passed_over_and_others_go_on() -> None:
    queue = FrameQueue({"f": Lane.BUFFER, "live": Lane.NEWEST}, Losses())
    for seq in range(OUTSTANDING + 1):
        queue.offer(frame("f", seq, at_s=seq / 25))
    assert len(queue.take(100, 0)) == OUTSTANDING
    queue.offer(frame("live", 0))
    assert seqs(queue.take(100, 0)) == [("live", 0)]
    queue.release("f")
    assert seqs(queue.take(100, 0)) == [("f", OUTSTANDING)]


def test_a_live_camera_of_which_every_frame_counts_is_buffered_for_two_seconds() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.BUFFER}, losses)
    for seq in range(100):
        queue.offer(frame("a", seq, at_s=seq / 25))
    kept = [item for _ in range(20) for item in take_and_release(queue)]
    assert seqs(kept)[0] == ("a", 0)
    assert len(kept) == 51  # 0 s up to and with 2 s at 25 a second
    assert losses.counts == {("a", "overrun"): 49}


def take_and_release(queue: FrameQueue[Frame]) -> list[Frame | Mark]:
    items = queue.take(4, 0)
    for _ in items:
        queue.release("a")
    return items


def test_close_frees_a_waiting_reader() -> None:
    queue = FrameQueue({"f": Lane.WAIT}, Losses())
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(ChannelClosed):
            for seq in range(3):
                queue.offer(frame("f", seq))
        ended.set()

    reader = threading.Thread(target=read)
    reader.start()
    queue.close()
    assert ended.wait(2)
    reader.join(2)
    with pytest.raises(ChannelClosed):
        queue.take(1, 0)


def test_wake_returns_at_once_with_nothing() -> None:
    queue = FrameQueue({"a": Lane.NEWEST}, Losses())
    queue.wake()
    assert queue.take(1, 60.0) == []


def test_the_end_comes_when_every_source_has_ended() -> None:
    queue = FrameQueue({"a": Lane.NEWEST, "b": Lane.WAIT}, Losses())
    queue.finish("a")
    queue.offer(frame("b", 0))
    assert seqs(queue.take(8, 0)) == [("a", -1), ("b", 0)]
    queue.finish("b")
    assert seqs(queue.take(8, 0)) == [("b", -1)]
    with pytest.raises(ChannelClosed):
        queue.take(8, 0)


def test_a_superseding_end_does_not_lose_the_last_frame() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST}, losses)
    queue.offer(frame("a", 7))
    queue.finish("a")
    assert seqs(queue.take(8, 0)) == [("a", 7), ("a", -1)]
    assert not losses.counts


def test_a_loss_stands_behind_the_last_frame_and_ends_a_batch() -> None:
    queue = FrameQueue({"a": Lane.BUFFER, "b": Lane.NEWEST}, Losses())
    queue.offer(frame("a", 0))
    queue.lose("a", 0)
    queue.offer(frame("a", 1))
    queue.offer(frame("b", 0))
    items = queue.take(8, 0)
    assert items[-1] == Lost("a", 0)
    assert seqs(items) == [("a", 0), ("b", 0), ("a", -1)]
    assert seqs(queue.take(8, 0)) == [("a", 1)]


def test_the_two_seconds_are_those_of_frames_whatever_was_lost_between() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.BUFFER}, losses)
    queue.lose("a", 0)
    queue.offer(frame("a", 0))
    queue.lose("a", 1)
    queue.offer(frame("a", 1, at_s=2))
    queue.offer(frame("a", 2, at_s=2.1))
    assert losses.counts == {("a", "overrun"): 1}


def test_what_waits_when_the_run_ends_is_counted() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.BUFFER, "b": Lane.NEWEST}, losses)
    for seq in range(3):
        queue.offer(frame("a", seq, at_s=seq / 25))
    queue.lose("a", 0)
    queue.offer(frame("b", 0))
    queue.close()
    queue.close()
    with pytest.raises(ChannelClosed):
        queue.offer(frame("a", 3))
    assert losses.counts == {("a", "stopped"): 4, ("b", "stopped"): 1}


def test_a_reader_that_waits_comes_back_now_and_then_with_its_frame() -> None:
    queue = FrameQueue({"f": Lane.WAIT}, Losses())
    assert queue.offer(frame("f", 0))
    assert queue.offer(frame("f", 1))
    assert not queue.offer(frame("f", 2), timeout_s=0.01)
    assert seqs(queue.take(1, 0)) == [("f", 0)]
    assert queue.offer(frame("f", 2))
    assert seqs(queue.take(8, 0)) == [("f", 1), ("f", 2)]


def test_a_recordings_objects_all_wait_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = Losses()
    queue = FrameQueue({"o": Lane.HOLD}, losses)
    assert all(queue.offer(frame("o", seq)) for seq in range(100))
    monkeypatch.setattr("streamer.pipeline.frames._BUFFERED_BYTES", 100 * PIXELS.nbytes)
    assert not queue.offer(frame("o", 100))
    assert seqs(queue.take(200, 0)) == [("o", seq) for seq in range(OUTSTANDING)]
    assert queue.offer(frame("o", 101))
    assert losses.counts == {}


def test_what_is_dropped_behind_the_queue_is_told_and_makes_room() -> None:
    losses = Losses()
    queue = FrameQueue({"b": Lane.BUFFER}, losses)
    for seq in range(OUTSTANDING + 1):
        queue.offer(frame("b", seq, at_s=0))
    first, *_ = queue.take(100, 0)
    assert queue.take(100, 0) == []
    assert isinstance(first, Frame)
    queue.drop(first, "too_old")
    assert seqs(queue.take(100, 0)) == [("b", OUTSTANDING)]
    assert losses.counts == {("b", "too_old"): 1}


def test_recalled_frames_wait_beside_the_newest_one_in_order() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST, "b": Lane.NEWEST}, losses)
    queue.offer(frame("a", 0))
    for seq in range(1, 6):
        queue.offer(frame("a", seq, recalled=True))
    for seq in range(6, 9):
        queue.offer(frame("a", seq))
    queue.offer(frame("b", 0))

    assert seqs(queue.take(3, 0)) == [("a", 1), ("b", 0), ("a", 2)]
    queue.offer(frame("a", 9))
    assert seqs(queue.take(8, 0)) == [("a", 3), ("a", 4), ("a", 5), ("a", 9)]
    assert losses.counts == {("a", "superseded"): 4}  # 0, 6, 7 and 8


def test_of_recalled_frames_sixteen_wait_and_the_oldest_make_room() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST}, losses)
    for seq in range(30):
        queue.offer(frame("a", seq, recalled=True))
    queue.offer(frame("a", 30))
    assert seqs(queue.take(50, 0)) == [("a", seq) for seq in range(14, 31)]
    assert losses.counts == {("a", "superseded"): 14}


def test_recalled_frames_are_bounded_in_bytes_too() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST}, losses)
    heavy = np.broadcast_to(np.zeros(1, np.uint8), (5120, 4096))  # 20 MiB, which nobody has to hold
    for seq in range(5):
        queue.offer(frame("a", seq, recalled=True, pixels=heavy))
    assert seqs(queue.take(8, 0)) == [("a", 2), ("a", 3), ("a", 4)]
    huge = np.broadcast_to(np.zeros(1, np.uint8), (10240, 8192))  # more than all may have together
    queue.offer(frame("a", 5, recalled=True))
    queue.offer(frame("a", 6, recalled=True, pixels=huge))
    assert seqs(queue.take(8, 0)) == [("a", 6)]
    assert losses.counts == {("a", "superseded"): 3}


def test_where_frames_are_buffered_a_recalled_one_is_like_any_other() -> None:
    queue = FrameQueue({"a": Lane.BUFFER}, Losses())
    queue.offer(frame("a", 0))
    queue.offer(frame("a", 1, recalled=True))
    queue.offer(frame("a", 2))
    assert seqs(queue.take(8, 0)) == [("a", 0), ("a", 1), ("a", 2)]


def test_recalled_frames_that_wait_at_the_end_are_counted() -> None:
    losses = Losses()
    queue = FrameQueue({"a": Lane.NEWEST}, losses)
    for seq in range(3):
        queue.offer(frame("a", seq, recalled=True))
    queue.finish("a")
    queue.close()
    assert losses.counts == {("a", "stopped"): 3}
