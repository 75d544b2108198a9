from __future__ import annotations

import random

from streamer.capture.base import DropCause
from streamer.capture.losses import GapCounter, KeyGate

MS = 1_000_000


def test_nothing_is_decoded_before_the_first_key_frame() -> None:
    gate = KeyGate(drop_late=True, shut=True)
    assert not gate.takes(key=False, lag_ns=0, waited=True)
    assert gate.takes(key=True, lag_ns=0, waited=True)
    assert gate.takes(key=False, lag_ns=0, waited=True)


def test_late_packets_are_left_up_to_the_next_key_frame() -> None:
    gate = KeyGate(drop_late=True, shut=False)
    assert gate.takes(key=False, lag_ns=499 * MS, waited=False)
    assert not gate.takes(key=False, lag_ns=501 * MS, waited=False)
    assert gate.cause is DropCause.LATE
    assert not gate.takes(key=False, lag_ns=0, waited=True)  # it refers to what was left
    assert gate.takes(key=True, lag_ns=900 * MS, waited=False)  # one picture, at least
    assert not gate.takes(key=False, lag_ns=900 * MS, waited=False)


def test_a_packet_that_was_waited_for_shows_a_slow_network_not_a_backlog() -> None:
    gate = KeyGate(drop_late=True, shut=False)
    assert gate.takes(key=False, lag_ns=2_000 * MS, waited=True)


def test_every_leaves_nothing_for_being_late() -> None:
    gate = KeyGate(drop_late=False, shut=False)
    assert gate.takes(key=False, lag_ns=9_000 * MS, waited=False)


def test_after_a_loss_nothing_is_decoded_up_to_the_next_key_frame_and_the_first_cause_counts() -> None:
    gate = KeyGate(drop_late=True, shut=False)
    gate.shut(DropCause.MISSING)
    gate.shut(DropCause.CORRUPT)
    assert not gate.takes(key=False, lag_ns=0, waited=True)
    assert gate.cause is DropCause.MISSING
    assert gate.takes(key=True, lag_ns=0, waited=True)


def test_gaps_in_a_steady_rate_are_counted() -> None:
    gaps, chance = GapCounter(), random.Random(1)
    lost = {30, 31, 60, 100}
    found = sum(gaps.observe(n * 40 * MS + chance.randint(-3, 3) * MS) for n in range(200) if n not in lost)
    assert found == len(lost)


def test_an_unsteady_rate_and_a_change_of_rate_are_no_loss() -> None:
    gaps, chance, at = GapCounter(), random.Random(1), 0
    for _ in range(300):
        at += chance.choice((20, 40, 90, 200)) * MS
        assert gaps.observe(at) == 0
    for _ in range(50):
        gaps.observe(at := at + 40 * MS)
    found = sum(gaps.observe(at + n * 80 * MS) for n in range(1, 101))
    assert found <= 5  # then it knows the new rate


def test_stamps_that_jump_are_no_loss() -> None:
    gaps = GapCounter()
    for n in range(20):
        gaps.observe(n * 40 * MS)
    assert gaps.observe(3_600_000 * MS) == 0
    assert gaps.observe(0) == 0
