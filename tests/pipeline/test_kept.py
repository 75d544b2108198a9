"""Frames kept for crops: found again by the result, bounded in number and bytes."""

from __future__ import annotations

import numpy as np

from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.pipeline.frames import OUTSTANDING
from streamer.pipeline.kept import KeptFrames


def frame(seq: int, *, camera: str = "a", connection: int = 0, side: int = 4) -> Frame:
    picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((side, side), np.uint8),), width=side, height=side)
    info = FrameInfo(
        camera=camera, connection=connection, seq=seq, captured_ns=seq, utc_ns=0, width=side, height=side, live=True
    )
    return Frame(info=info, picture=picture)


def kept(frames: KeptFrames, candidates: list[Frame]) -> list[bool]:
    """Take each, and tell whether its own picture was still there."""
    found = []
    for candidate in candidates:
        picture = frames.take(candidate.info)
        assert picture is None or picture is candidate.picture
        found.append(picture is not None)
    return found


def test_a_frame_is_given_until_it_is_done_with() -> None:
    frames, (older, one, other) = KeptFrames(), (frame(1), frame(2), frame(2, camera="b"))
    for each in (older, one, other):
        frames.keep(each)
    assert kept(frames, [one, one, older]) == [True, True, False]
    frames.done(one.info)
    assert kept(frames, [one, other]) == [False, True]


def test_to_take_one_lets_go_of_the_older_ones_of_its_camera_alone() -> None:
    frames, mine = KeptFrames(), [frame(n) for n in range(5)]
    others = [frame(n, camera=camera) for camera in ("A", "b") for n in range(5)]
    for one in (*mine, *others):
        frames.keep(one)
    assert kept(frames, [mine[3], mine[0], mine[2], mine[4]]) == [True, False, False, True]
    assert kept(frames, others) == [True] * 10


def test_what_a_lost_connection_has_left_goes_with_the_next_ones_first_frame() -> None:
    frames = KeptFrames(max_bytes=100)
    old = [frame(n) for n in range(90, 94)]
    new = frame(0, connection=1)
    for one in (*old, new):
        frames.keep(one)
    assert kept(frames, [new, *old]) == [True, False, False, False, False]
    for one in (again := [frame(n, connection=1) for n in range(1, 7)]):  # 96 bytes: there is room for all of them
        frames.keep(one)
    assert kept(frames, again) == [True] * 6


def test_a_camera_keeps_no_more_than_wait_for_their_results() -> None:
    frames, many, other = KeptFrames(), [frame(n) for n in range(OUTSTANDING + 5)], frame(0, camera="b")
    frames.keep(other)
    for one in many:
        frames.keep(one)
    assert kept(frames, many) == [False] * 5 + [True] * OUTSTANDING
    assert kept(frames, [other]) == [True]


def test_all_together_are_bounded_in_bytes_and_the_oldest_go_first() -> None:
    frames = KeptFrames(max_bytes=3 * 16)
    four = [frame(0), frame(0, camera="b"), frame(0, camera="c"), frame(0, camera="d")]
    for one in four:
        frames.keep(one)
    assert kept(frames, four) == [False, True, True, True]


def test_one_that_is_too_large_by_itself_is_not_kept_and_does_no_harm() -> None:
    frames, large, small = KeptFrames(max_bytes=20), frame(0, side=8), frame(1)
    frames.keep(large)
    assert kept(frames, [large]) == [False]
    frames.keep(small)
    assert kept(frames, [small]) == [True]
