from __future__ import annotations

import random
from itertools import pairwise

import av
import pytest

from streamer.capture.clip_times import HZ, ClipTimes
from streamer.capture.tape import Taped

S = 1_000_000_000
STEP = S // 25


def taped(pts_ns: int | None, captured_ns: int) -> Taped:
    return Taped(packet=av.Packet(), pts_ns=pts_ns, key=False, captured_ns=captured_ns)


def test_what_is_not_reordered_is_decoded_when_it_is_shown() -> None:
    times = ClipTimes(0)
    found = [times.of(taped(n * STEP + 99 * S, n * STEP + 12345 * S)) for n in range(10)]
    assert [(pts, dts) for pts, dts, _ in found] == [(n * HZ // 25, n * HZ // 25) for n in range(10)]
    assert {duration for _, _, duration in found[1:]} == {HZ // 25}


@pytest.mark.parametrize(
    ("order", "depth"), [((0, 2, 1, 4, 3, 6, 5), 1), ((0, 4, 2, 1, 3, 8, 6, 5, 7), 2), ((0, 3, 2, 1, 6, 5, 4), 2)]
)
def test_reordered_pictures_keep_their_distances_and_are_decoded_before_they_are_shown(
    order: tuple[int, ...], depth: int
) -> None:
    times = ClipTimes(depth)
    found = [times.of(taped(n * STEP, n * STEP)) for n in order]
    assert found[0][1] == 0
    assert all(a[1] < b[1] for a, b in pairwise(found))
    assert all(pts >= dts for pts, dts, _ in found)
    assert [pts - found[0][0] for pts, _, _ in found] == [n * HZ // 25 for n in order]


def test_whatever_the_stamps_the_times_can_be_written(seed: int) -> None:
    draw = random.Random(seed)
    for depth in range(4):
        times = ClipTimes(depth)
        last = -1
        for n in range(300):
            jump = draw.choice((0, 0, 0, 0, 3 * S, -3 * S, STEP, -STEP))
            pts, dts, duration = times.of(taped(draw.choice((None, n * STEP + jump)), n * STEP))
            assert pts >= dts > last
            assert duration > 0
            last = dts


def test_where_the_camera_sets_its_clock_the_capture_times_tell() -> None:
    times = ClipTimes(0)
    stamps = [n * STEP + (0 if n < 10 else -900 * S if n < 20 else 7000 * S) for n in range(30)]
    found = [times.of(taped(pts_ns, n * STEP)) for n, pts_ns in enumerate(stamps)]
    assert [pts for pts, _, _ in found] == [n * HZ // 25 for n in range(30)]


def test_a_burst_at_the_start_of_a_connection_does_not_squeeze_what_was_sent_before() -> None:
    times = ClipTimes(0)
    arrived = [max(n * STEP, 2 * S) for n in range(100)]  # what a server had kept comes at once
    found = [times.of(taped(n * STEP, at_ns)) for n, at_ns in enumerate(arrived)]
    assert [pts for pts, _, _ in found] == [n * HZ // 25 for n in range(100)]


def test_arrival_that_wavers_does_not_show_where_the_stamps_are_even(seed: int) -> None:
    draw = random.Random(seed)
    times = ClipTimes(0)
    found = [times.of(taped(n * STEP, n * STEP + draw.randrange(S // 2))) for n in range(100)]
    assert {b[0] - a[0] for a, b in pairwise(found)} == {HZ // 25}
