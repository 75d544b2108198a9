from __future__ import annotations

import pytest

from streamer.core.errors import ChannelClosed
from streamer.pipeline.channel import Channel


def channel(capacity: int, writers: int = 1) -> tuple[Channel[int], list[tuple[str, int]]]:
    lost: list[tuple[str, int]] = []
    return Channel(capacity, writers=writers, lost=lambda lane, item: lost.append((lane, item))), lost


def test_items_come_in_order_of_arrival_whatever_their_lane() -> None:
    inbox, lost = channel(8)
    for i in range(6):
        inbox.put("ab"[i % 2], i)
    assert inbox.take_all(0) == [0, 1, 2, 3, 4, 5]
    assert inbox.take_all(0) == []
    assert not lost


def test_a_full_lane_drops_its_own_oldest_and_no_other() -> None:
    inbox, lost = channel(2)
    inbox.put("a", 1)
    inbox.put("b", 2)
    inbox.put("a", 3)
    inbox.put("a", 4)
    assert inbox.take_all(0) == [2, 3, 4]
    assert lost == [("a", 1)]


def test_what_is_kept_is_never_dropped() -> None:
    inbox, lost = channel(1)
    inbox.put("a", 1, keep=True)
    for i in (2, 3, 4):
        inbox.put("a", i)
    assert inbox.take_all(0) == [1, 4]
    assert lost == [("a", 2), ("a", 3)]


def test_the_room_is_free_again_after_a_take() -> None:
    inbox, lost = channel(1)
    inbox.put("a", 1)
    inbox.take_all(0)
    inbox.put("a", 2)
    assert inbox.take_all(0) == [2]
    assert not lost


def test_the_last_writer_ends_it_and_what_waits_is_still_given() -> None:
    inbox, _ = channel(4, writers=2)
    inbox.put("a", 1)
    inbox.leave()
    inbox.leave()
    assert inbox.take_all(60) == [1]
    with pytest.raises(ChannelClosed):
        inbox.take_all(60)


def test_close_refuses_writers() -> None:
    inbox, _ = channel(4)
    inbox.close()
    with pytest.raises(ChannelClosed):
        inbox.put("a", 1)
    with pytest.raises(ChannelClosed):
        inbox.take_all(60)
